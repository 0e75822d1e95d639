/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_broker.c - what a tick of the broker costs with 1,000 registered VMs, beside dividing alone.
 *
 * The pool is files in /tmp. Wants sway each round; on the short host they are twice what there is, so
 * that every grant moves and is told, on the other there is enough for all. CPU time; the best of the
 * rounds is printed beside the median: others work on this machine, too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "host/broker.h"
#include "policy/host_policy.h"

enum { VMS = 1000, ROUNDS = 101, VM_GIB = 4, PATH_BYTES = 128 };

#define POOL_DIR "/sys/kernel/mm/hugepages/hugepages-2048kB"

static char root[] = "/tmp/neap-bench-XXXXXX";
static struct broker_vm *vms[VMS];
static struct host_vm host_vms[VMS];
static uint32_t order[VMS];
static uint64_t held_bytes[VMS], told_bytes[VMS];
static unsigned told;

static void write_file(const char *name, const char *text)
{
	char path[PATH_BYTES];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s%s", root, name);
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		exit(EXIT_FAILURE);
}

static void write_number(const char *name, uint64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", number);
	write_file(name, text);
}

static void set_pool(uint64_t total_bytes)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < VMS; i++)
		used += held_bytes[i];
	write_number(POOL_DIR "/nr_hugepages", total_bytes / HUGE_FRAME_BYTES);
	write_number(POOL_DIR "/free_hugepages",
		     used < total_bytes ? (total_bytes - used) / HUGE_FRAME_BYTES : 0);
}

/* "DOES ROOT/path" for each of the two paths. */
static void run(const char *does, const char *one, const char *other)
{
	char text[4 * PATH_BYTES];

	(void)snprintf(text, sizeof(text), "%s %s%s %s%s", does, root, one, root, other);
	if (system(text) != 0)
		exit(EXIT_FAILURE);
}

static void make_host(void)
{
	if (!mkdtemp(root))
		exit(EXIT_FAILURE);
	run("mkdir -p", POOL_DIR, "/proc");
	write_file("/proc/meminfo", "MemTotal: 1 kB\nMemFree: 1 kB\nMemAvailable: 1 kB\n");
	write_number(POOL_DIR "/resv_hugepages", 0);
	write_number(POOL_DIR "/surplus_hugepages", 0);
	write_number(POOL_DIR "/nr_overcommit_hugepages", 0);
	set_pool(0);
}

static void on_grant(void *vm, uint64_t grant_bytes)
{
	told_bytes[(struct broker_vm **)vm - vms] = grant_bytes;
	told++;
}

static void on_tell(void *ctx, void *vm, const char *kind, json_t *data)
{
	(void)ctx;
	(void)vm;
	(void)kind;
	json_decref(data);
}

static struct broker *start(void)
{
	const struct broker_ops ops = { .grant = on_grant, .tell = on_tell };
	const struct broker_config config = { .root = root, .grants = true };
	struct broker *broker;

	if (broker_create(&config, &ops, &broker, NULL) < 0)
		exit(EXIT_FAILURE);
	for (unsigned i = 0; i < VMS; i++) {
		const struct broker_vm_config vm = { .name = "bench",
						     .frame_bytes = HUGE_FRAME_BYTES,
						     .maximum_bytes = VM_GIB * GIB_BYTES,
						     .weight = 1 + i % 1000 * 10 };

		if (broker_add(broker, &vm, &vms[i], &vms[i], NULL) < 0)
			exit(EXIT_FAILURE);
	}
	return broker;
}

static uint64_t want_of(unsigned i, unsigned round)
{
	return (uint64_t)((i * 37 + round * 13) % 3000 + 1000) * MIB_BYTES;
}

/* It holds what it may, within what it wants. */
static void live(unsigned i, unsigned round)
{
	uint64_t want = want_of(i, round);

	held_bytes[i] = told_bytes[i] < want ? told_bytes[i] : want;
}

static void observe_all(struct broker *broker, unsigned round)
{
	for (unsigned i = 0; i < VMS; i++) {
		struct api_usage usage = { 0 };

		api_usage_put(&usage, API_USAGE_minimum_bytes, 512 * MIB_BYTES);
		api_usage_put(&usage, API_USAGE_want_bytes, want_of(i, round));
		api_usage_put(&usage, API_USAGE_resident_bytes, held_bytes[i]);
		api_usage_put(&usage, API_USAGE_active_percent, i % 101);
		api_usage_put(&usage, API_USAGE_grant_bytes, told_bytes[i]);
		broker_observe(broker, vms[i], &usage);
	}
}

static void divide_all(unsigned round, uint64_t pool_bytes)
{
	for (unsigned i = 0; i < VMS; i++)
		host_vms[i] = (struct host_vm){ .minimum_bytes = 512 * MIB_BYTES,
						.maximum_bytes = VM_GIB * GIB_BYTES,
						.want_bytes = want_of(i, round),
						.held_bytes = held_bytes[i],
						.weight = 1 + i % 1000 * 10,
						.has_active = true,
						.active_percent = i % 101 };
	(void)host_divide(host_vms, VMS, pool_bytes, HUGE_FRAME_BYTES, order);
}

static uint64_t cpu_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print(const char *name, const char *what, uint64_t *times_ns)
{
	qsort(times_ns, ROUNDS, sizeof(*times_ns), compare);
	printf("%s_%s_median %.3f ms\n", name, what,
	       (double)times_ns[ROUNDS / 2] / (double)NS_PER_MS);
	printf("%s_%s_best %.3f ms\n", name, what, (double)times_ns[0] / (double)NS_PER_MS);
	printf("%s_%s_worst %.3f ms\n", name, what,
	       (double)times_ns[ROUNDS - 1] / (double)NS_PER_MS);
}

static void measure(const char *name, uint64_t pool_bytes)
{
	static uint64_t observe_ns[ROUNDS], tick_ns[ROUNDS], divide_ns[ROUNDS];
	struct broker *broker;
	uint64_t from_ns;

	memset(held_bytes, 0, sizeof(held_bytes));
	memset(told_bytes, 0, sizeof(told_bytes));
	set_pool(pool_bytes);
	broker = start();
	told = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < VMS; i++)
			live(i, round);
		set_pool(pool_bytes);
		from_ns = cpu_now_ns();
		observe_all(broker, round);
		observe_ns[round] = cpu_now_ns() - from_ns;
		from_ns = cpu_now_ns();
		broker_tick(broker, (round + 100) * NS_PER_S);
		tick_ns[round] = cpu_now_ns() - from_ns;
		from_ns = cpu_now_ns();
		divide_all(round, pool_bytes);
		divide_ns[round] = cpu_now_ns() - from_ns;
	}
	print(name, "divide_alone", divide_ns);
	print(name, "tick", tick_ns);
	print(name, "observe_all", observe_ns);
	printf("%s_grants_told_per_tick %u count\n", name, told / ROUNDS);
	broker_destroy(broker);
}

int main(void)
{
	make_host();
	measure("broker_1000_short", (uint64_t)VMS * 5 / 4 * GIB_BYTES);
	measure("broker_1000_plenty", (uint64_t)VMS * 2 * VM_GIB * GIB_BYTES);
	run("rm -r", "/sys", "/proc");
	(void)rmdir(root);
	return EXIT_SUCCESS;
}
