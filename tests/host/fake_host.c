/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fake_host.c - metrics and the page of a host that is made of numbers.
 *
 *   fake-host SOCKET PORT VMS STEPS
 *
 * It stands in for the daemon's VMs and pools (hosted.h, broker.h) with VMs whose memory follows made-up
 * days, always the same ones, and says "ready" when it listens. STEPS of the page's history are there at
 * once: this program's clock jumps through them. Lines on standard input change the host:
 *
 *   end N          VM number N ends: its process is gone
 *   forget N       and it is not known any more
 *   short N        it is short of memory: Warning
 *   rename N NAME  give it that name, whatever is in it
 *   reason N TEXT  and that reason; what is behind a \1 is cut off, and half a character left
 *   label N K V    and a label
 *   state N NAME   and that state
 *   note KIND N    an event of that kind about it
 *   jump MS        the clock jumps
 *   steps N        N steps of the page's history pass in no time
 *   render N       say how many microseconds a text of /metrics takes, best of N
 *   rss            say how many bytes of memory this process has (0 when sanitizers keep what was freed)
 * Each is answered with a line, "done" if there is nothing to say. At the end of its input it ends.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "../support/sanitizers.h"
#include "base/clock.h"
#include "base/log.h"
#include "host/hosted.h"
#include "host/metrics.h"
#include "host/metrics_text.h"
#include "policy/host_policy.h"

enum { VMS_MAX = 5000, STEP_MS = 2000 };

static struct hosted *vms[VMS_MAX], *known[VMS_MAX];
static unsigned vm_count;
static bool is_short[VMS_MAX];
static int64_t jumped_ns;
static uint64_t started_ns;
static void (*listener)(void *ctx, const struct hosted *vm, const char *kind, const json_t *data);
static void *listener_ctx;
static uv_loop_t loop;
static unsigned steps_to_go;
static bool is_over;

/* This program's time. */
int clock_gettime(clockid_t id, struct timespec *ret_time)
{
	long ret = syscall(SYS_clock_gettime, id, ret_time);
	int64_t ns = ret_time->tv_nsec + jumped_ns % (int64_t)NS_PER_S;

	ret_time->tv_sec += jumped_ns / (int64_t)NS_PER_S + ns / (int64_t)NS_PER_S;
	ret_time->tv_nsec = ns % (int64_t)NS_PER_S;
	return (int)ret;
}

/* --- VMs --------------------------------------------------------------------------------------------- */

struct kind {
	const char *name;
	unsigned maximum_mib, minimum_mib;
	double base, swing, period_s; /* demand: share of maximum */
	bool is_square;
};
static const struct kind kinds[] = {
	{ "web", 2048, 512, 0.42, 0.18, 240, false },
	{ "db", 8192, 4096, 0.66, 0.03, 400, false },
	{ "batch", 4096, 512, 0.40, 0.30, 190, true },
	{ "cache", 3072, 1024, 0.70, 0.06, 150, false },
	{ "idle", 1024, 256, 0.28, 0.005, 300, false },
	{ "ci", 2048, 256, 0.35, 0.25, 110, true },
};

/* A number in 0 .. 1 that belongs to a VM. */
static double part(unsigned index, unsigned salt)
{
	uint64_t hash = (index * 2654435761u + salt * 40503u) ^ 0x9e3779b9u;

	hash ^= hash >> 13;
	hash *= 0xff51afd7ed558ccdu;
	hash ^= hash >> 33;
	return (double)(hash % 10007) / 10007.0;
}

static double demand_mib(const struct kind *kind, unsigned index, double seconds)
{
	double phase = seconds / kind->period_s / (0.7 + part(index, 2) * 0.6) + part(index, 1);
	double wave = sin(phase * 2 * M_PI);

	if (kind->is_square)
		wave = tanh(wave * 6);
	wave += 0.12 * sin(phase * 23) + 0.05 * sin(phase * 61);
	return kind->maximum_mib * (kind->base + kind->swing * wave);
}

static uint64_t mib(double value)
{
	return (uint64_t)(value < 0 ? 0 : value) * MIB_BYTES;
}

static void fill_usage(struct hosted *vm, unsigned index, double seconds)
{
	const struct kind *kind = &kinds[index % ARRAY_LEN(kinds)];
	double need = demand_mib(kind, index, seconds);
	double had = demand_mib(kind, index, seconds - 12);
	double assigned = fmax(fmax(had, need * 0.98) * 1.2, kind->minimum_mib);
	double swapped = kind->is_square ? kind->maximum_mib * 0.02 : 0;

	if (is_short[index])
		assigned = need * 0.86;
	assigned = fmin(assigned, kind->maximum_mib);
	api_usage_put(&vm->usage, API_USAGE_maximum_bytes, mib(kind->maximum_mib));
	api_usage_put(&vm->usage, API_USAGE_minimum_bytes, mib(kind->minimum_mib));
	api_usage_put(&vm->usage, API_USAGE_demand_bytes, mib(need));
	api_usage_put(&vm->usage, API_USAGE_assigned_bytes, mib(assigned));
	api_usage_put(&vm->usage, API_USAGE_resident_bytes, mib(assigned * 0.97 - swapped));
	api_usage_put(&vm->usage, API_USAGE_swapped_bytes, mib(swapped));
	api_usage_put(&vm->usage, API_USAGE_grant_bytes,
		      mib(fmin(assigned * 1.1, kind->maximum_mib)));
	api_usage_put(&vm->usage, API_USAGE_pressure_percent, (uint64_t)(100 * need / assigned));
	api_usage_put(&vm->usage, API_USAGE_status, is_short[index] ? 2 : need > assigned * 0.93);
	api_usage_put(&vm->usage, API_USAGE_weight, 100);
	api_usage_put(&vm->usage, API_USAGE_mode, 0);
	api_usage_put(&vm->usage, API_USAGE_stall_us, (uint64_t)(seconds * 1234.5) + index);
	api_usage_put(&vm->usage, API_USAGE_faults, (uint64_t)(seconds * 77) + index);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct hosted *const *)a)->definition.name,
		      (*(struct hosted *const *)b)->definition.name);
}

struct hosted *const *host_vms(const struct host *host, unsigned *ret_count)
{
	double seconds = (double)(clock_now_ns() - started_ns) / (double)NS_PER_S;
	unsigned count = 0;

	(void)host;
	for (unsigned i = 0; i < vm_count; i++) {
		if (!vms[i])
			continue;
		if (vms[i]->process)
			fill_usage(vms[i], i, seconds);
		known[count++] = vms[i];
	}
	qsort(known, count, sizeof(struct hosted *), by_name);
	*ret_count = count;
	return known;
}

void host_set_listener(struct host *host,
		       void (*on_event)(void *ctx, const struct hosted *vm, const char *kind,
					const json_t *data),
		       void *ctx)
{
	(void)host;
	listener = on_event;
	listener_ctx = ctx;
}

static struct hosted *make_vm(unsigned index)
{
	const struct kind *kind = &kinds[index % ARRAY_LEN(kinds)];
	struct hosted *vm = calloc(1, sizeof(*vm));

	(void)snprintf(vm->definition.name, sizeof(vm->definition.name), "%s-%zu", kind->name,
		       1 + index / ARRAY_LEN(kinds));
	(void)snprintf(vm->definition.uuid, sizeof(vm->definition.uuid),
		       "7d1f0000-0000-4000-8000-%012x", index);
	vm->definition.labels = json_pack("{s:s, s:s}", "role", kind->name, "rack",
					  part(index, 5) < 0.5 ? "a" : "b");
	vm->state = "running";
	vm->process = (void *)vm; /* only ever compared with NULL */
	vm->link = (void *)vm;
	vm->broker_vm = (void *)vm;
	return vm;
}

/* --- pools ------------------------------------------------------------------------------------------- */

struct broker *host_broker(const struct host *host)
{
	(void)host;
	return NULL;
}

const char *broker_vm_pool(const struct broker_vm *vm)
{
	(void)vm;
	return "2M";
}

unsigned broker_pools(const struct broker *broker, struct broker_pool_numbers *ret_pools,
		      unsigned capacity)
{
	struct broker_pool_numbers pool = { .name = "2M", .frame_bytes = HUGE_FRAME_BYTES };
	unsigned count;
	struct hosted *const *all = host_vms(NULL, &count);
	uint64_t most = 0, free_bytes;
	struct host_marks marks;

	(void)broker, (void)capacity;
	for (unsigned i = 0; i < vm_count; i++)
		most += mib(kinds[i % ARRAY_LEN(kinds)].maximum_mib);
	for (unsigned i = 0; i < count; i++) {
		if (!all[i]->process)
			continue;
		pool.used_bytes += api_usage_get(&all[i]->usage, API_USAGE_resident_bytes);
		pool.granted_bytes += api_usage_get(&all[i]->usage, API_USAGE_grant_bytes);
		pool.vms++;
	}
	pool.total_bytes = align_down(most / 100 * 76, GIB_BYTES) + GIB_BYTES;
	pool.others_bytes = pool.total_bytes / 40;
	free_bytes = pool.total_bytes - pool.others_bytes;
	pool.used_bytes = pool.used_bytes < free_bytes ? pool.used_bytes : free_bytes;
	pool.free_bytes = free_bytes - pool.used_bytes;
	pool.promised_bytes = pool.granted_bytes - pool.used_bytes;
	if (pool.promised_bytes > pool.free_bytes)
		pool.promised_bytes = pool.free_bytes;
	marks = host_marks(pool.total_bytes);
	for (unsigned state = HOST_SOFT; state < HOST_STATE_COUNT; state++)
		if (pool.free_bytes < marks.enter_bytes[state])
			pool.state = state;
	ret_pools[0] = pool;
	return 1;
}

/* --- commands ------------------------------------------------------------------------------------------ */

static void daemon_numbers(void *ctx, struct metrics_daemon *ret_daemon)
{
	(void)ctx;
	*ret_daemon = (struct metrics_daemon){ .connections = 3,
					       .events = 4711,
					       .started_ns = started_ns };
}

static void note(const char *kind, struct hosted *vm)
{
	const char *was = strcmp(kind, "host.pool") == 0 ? "clear" : "OK";
	json_t *data = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "reason",
				 "killed by signal 9", "status", "Warning", "was", was, "pool",
				 "2M", "state", "soft", "device", "console", "cause", "request",
				 "startup_bytes", (json_int_t)GIB_BYTES);

	if (listener)
		listener(listener_ctx, vm, kind, data);
	json_decref(data);
}

static void say_render_time(unsigned rounds)
{
	uint64_t best_ns = UINT64_MAX;
	size_t len = 0;

	for (unsigned i = 0; i < rounds; i++) {
		struct broker_pool_numbers pools[4];
		struct metrics_numbers numbers = { .pools = pools, .now_ns = clock_now_ns() };
		uint64_t begin_ns;

		numbers.vms = host_vms(NULL, &numbers.vm_count);
		numbers.pool_count = broker_pools(NULL, pools, ARRAY_LEN(pools));
		daemon_numbers(NULL, &numbers.daemon);
		begin_ns = clock_now_ns();
		free(metrics_render(&numbers, false, &len));
		if (clock_now_ns() - begin_ns < best_ns)
			best_ns = clock_now_ns() - begin_ns;
	}
	(void)printf("%" PRIu64 " %zu\n", best_ns / NS_PER_US, len);
}

static void say_memory(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages = 0;

	if (!file || fscanf(file, "%*u %" SCNu64, &pages) != 1)
		pages = 0;
	if (file)
		(void)fclose(file);
#if WITH_ASAN || WITH_TSAN
	pages = 0;
#endif
	(void)printf("%" PRIu64 "\n", pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void free_vm(struct hosted *vm)
{
	if (vm)
		json_decref(vm->definition.labels);
	free(vm);
}

/* True: it answered. */
static bool obey(const char *what, unsigned number, const char *first, const char *rest)
{
	static char states[VMS_MAX][24];
	struct hosted *vm = number < vm_count ? vms[number] : NULL;

	if (strcmp(what, "render") == 0 || strcmp(what, "rss") == 0) {
		*what == 'r' && what[1] == 'e' ? say_render_time(number) : say_memory();
		return true;
	}
	if (strcmp(what, "steps") == 0) {
		steps_to_go = number;
		return true; /* main() answers when they have passed */
	}
	if (strcmp(what, "jump") == 0)
		jumped_ns += (int64_t)(number * NS_PER_MS);
	else if (strcmp(what, "note") == 0)
		note(first, vm);
	if (!vm)
		return false;
	if (strcmp(what, "end") == 0) {
		vm->process = NULL;
		vm->link = NULL;
		vm->state = "stopped";
	} else if (strcmp(what, "forget") == 0) {
		free_vm(vm);
		vms[number] = NULL;
	} else if (strcmp(what, "short") == 0) {
		is_short[number] = true;
	} else if (strcmp(what, "rename") == 0) {
		(void)snprintf(vm->definition.name, sizeof(vm->definition.name), "%s", first);
	} else if (strcmp(what, "reason") == 0) {
		(void)snprintf(vm->reason, sizeof(vm->reason), "%s %s", first, rest);
		if (strchr(vm->reason, 1))
			(void)strcpy(strchr(vm->reason, 1), "\xc3");
	} else if (strcmp(what, "label") == 0) {
		json_object_set_new(vm->definition.labels, first, json_string(rest));
	} else if (strcmp(what, "state") == 0) {
		(void)snprintf(states[number], sizeof(states[number]), "%s", first);
		vm->state = states[number];
	}
	return false;
}

static void obey_line(char *line)
{
	char what[16] = "", first[256] = "", rest[512] = "";
	unsigned number = 0;

	if (sscanf(line, "note %255s %u", first, &number) == 2)
		(void)strcpy(what, "note");
	else
		(void)sscanf(line, "%15s %u %255s %511[^\n]", what, &number, first, rest);
	if (!obey(what, number, first, rest))
		(void)puts("done");
	(void)fflush(stdout);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
	static char text[65536];
	static size_t len;
	ssize_t got = read(STDIN_FILENO, text + len, sizeof(text) - 1 - len);
	char *line = text, *end;

	(void)status, (void)events;
	if (got <= 0) {
		is_over = true;
		uv_close((uv_handle_t *)poll, NULL);
		return;
	}
	len += (size_t)got;
	text[len] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		obey_line(line);
	}
	len -= (size_t)(line - text);
	memmove(text, line, len);
}

static void pass_steps(void)
{
	for (; steps_to_go > 0; steps_to_go--) {
		jumped_ns += STEP_MS * (int64_t)NS_PER_MS;
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
}

int main(int argc, char **argv)
{
	struct metrics_config config = {
		.loop = &loop, .fd = -1, .mode = 0600, .gid = (gid_t)-1, .daemon = daemon_numbers
	};
	struct metrics *metrics;
	uv_poll_t input;
	struct err err;

	if (argc != 5 || (vm_count = (unsigned)atoi(argv[3])) > VMS_MAX)
		return 2;
	log_set_name("fake-host");
	log_set_level(LOG_LEVEL_INFO);
	started_ns = clock_now_ns();
	for (unsigned i = 0; i < vm_count; i++)
		vms[i] = make_vm(i);
	(void)uv_loop_init(&loop);
	config.path = argv[1];
	config.port = (unsigned)atoi(argv[2]);
	if (metrics_create(&config, &metrics, &err) < 0) {
		(void)fprintf(stderr, "fake-host: %s\n", err.text);
		return 1;
	}
	steps_to_go = (unsigned)atoi(argv[4]);
	pass_steps();
	(void)uv_poll_init(&loop, &input, STDIN_FILENO);
	(void)uv_poll_start(&input, UV_READABLE, on_input);
	(void)puts("ready");
	(void)fflush(stdout);
	while (!is_over) {
		(void)uv_run(&loop, UV_RUN_ONCE);
		if (steps_to_go > 0) {
			pass_steps();
			(void)puts("done");
			(void)fflush(stdout);
		}
	}
	metrics_destroy(metrics);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&loop);
	for (unsigned i = 0; i < vm_count; i++)
		free_vm(vms[i]);
	return 0;
}
