/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_policy.c - what a tick of the policy costs: one VM, and a broker's 10,000.
 *
 * The fleet is a day's: demand of each VM sways, statistics come each tick, and the pool holds less
 * than all want, so that there is something to divide. The best of the rounds is printed beside the
 * median: others work on this machine, too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/units.h"
#include "policy/host_policy.h"

enum { VMS = 10000, ROUNDS = 101, VM_GIB = 4 };

struct vm {
	struct policy_settings settings;
	struct policy_input input;
	struct policy_state state;
	struct policy_decision decision;
};

static struct vm vms[VMS];
static struct host_vm host_vms[VMS];
static uint32_t order[VMS];

static void start(void)
{
	for (unsigned i = 0; i < VMS; i++) {
		vms[i].settings = policy_default_settings(VM_GIB * GIB_BYTES, HUGE_FRAME_BYTES);
		vms[i].settings.weight = 1 + i % 1000 * 10;
		vms[i].input = (struct policy_input){
			.now_ns = 3600 * NS_PER_S,
			.driver_ready = true,
			.stats_period_ns = NS_PER_S,
			.present = 1 << POLICY_CLAIM_AVAILABLE_BYTES |
				   1 << POLICY_CLAIM_TOTAL_BYTES | 1 << POLICY_CLAIM_MAJOR_FAULTS,
			.has_active = true,
			.active_percent = i % 101,
			.has_grant = true,
			.grant_bytes = VM_GIB * GIB_BYTES,
		};
		policy_init(&vms[i].state);
	}
}

static void live(struct vm *vm, unsigned i, unsigned round)
{
	uint64_t maximum = vm->settings.maximum_bytes;
	uint64_t used = (uint64_t)((i * 37 + round * 13) % 3000 + 200) * MIB_BYTES, has;

	if (vm->state.started)
		vm->input.taken_bytes = maximum - vm->decision.target_bytes;
	has = maximum - vm->input.taken_bytes;
	vm->input.now_ns += NS_PER_S;
	vm->input.stats_at_ns = vm->input.now_ns;
	vm->input.untrusted_claim[POLICY_CLAIM_TOTAL_BYTES] = has;
	vm->input.untrusted_claim[POLICY_CLAIM_AVAILABLE_BYTES] = has > used ? has - used : 0;
	vm->input.untrusted_claim[POLICY_CLAIM_MAJOR_FAULTS] += i % 100;
}

static void step_all(void)
{
	for (unsigned i = 0; i < VMS; i++)
		policy_step(&vms[i].settings, &vms[i].input, &vms[i].state, &vms[i].decision);
}

static void divide_all(void)
{
	for (unsigned i = 0; i < VMS; i++)
		host_vms[i] = (struct host_vm){
			.minimum_bytes = vms[i].settings.minimum_bytes,
			.maximum_bytes = vms[i].settings.maximum_bytes,
			.want_bytes = vms[i].decision.want_bytes,
			.held_bytes = vms[i].decision.assigned_bytes,
			.weight = vms[i].settings.weight,
			.has_active = vms[i].input.has_active,
			.active_percent = vms[i].input.active_percent,
		};
	(void)host_divide(host_vms, VMS, (uint64_t)VMS * VM_GIB * GIB_BYTES / 4, HUGE_FRAME_BYTES,
			  order);
	for (unsigned i = 0; i < VMS; i++)
		vms[i].input.grant_bytes = host_vms[i].grant_bytes;
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

static void print(const char *name, uint64_t *times_ns)
{
	qsort(times_ns, ROUNDS, sizeof(*times_ns), compare);
	printf("%s_median %.3f ms\n", name, (double)times_ns[ROUNDS / 2] / (double)NS_PER_MS);
	printf("%s_best %.3f ms\n", name, (double)times_ns[0] / (double)NS_PER_MS);
}

int main(void)
{
	static uint64_t step_ns[ROUNDS], divide_ns[ROUNDS], tick_ns[ROUNDS];
	char line[ERR_TEXT_BYTES * 2];
	uint64_t from_ns;

	start();
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < VMS; i++)
			live(&vms[i], i, round);
		from_ns = cpu_now_ns();
		step_all();
		step_ns[round] = cpu_now_ns() - from_ns;
		from_ns = cpu_now_ns();
		divide_all();
		divide_ns[round] = cpu_now_ns() - from_ns;
		tick_ns[round] = step_ns[round] + divide_ns[round];
	}
	print("policy_step_10000_vms", step_ns);
	print("host_divide_10000_vms", divide_ns);
	print("policy_tick_10000_vms", tick_ns);
	printf("policy_step_one_vm %.0f ns\n", (double)step_ns[ROUNDS / 2] / VMS);
	from_ns = cpu_now_ns();
	for (unsigned i = 0; i < VMS; i++)
		policy_explain(&vms[i].settings, &vms[i].input, &vms[i].decision, line,
			       sizeof(line));
	printf("policy_explain %.0f ns\n", (double)(cpu_now_ns() - from_ns) / VMS);
	return 0;
}
