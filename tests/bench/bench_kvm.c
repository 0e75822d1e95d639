/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_kvm.c - what KVM costs on this host: "name value unit", medians.
 *
 * The guest's work is in ring 3, which runs natively on page-table KVM too. The first round of
 * each is a warm-up and does not count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "../kvm/tiny_guest.h"

enum {
	ROUNDS = 41,
	MEDIAN = 1 + (ROUNDS - 1) / 2, /* of all but the first */
	OPERATIONS = 200,	       /* one after the other, inside the guest */
	FLAG = 0x40000,		       /* the guest counts here what it did */
	VECTOR = 0x40,
	GSI = 1,
	HANDLER = TINY_ENTRY + 5,
};

/* esi: how many. r8d counts down; 0x81 says that all are done. */
#define REPEAT(operation)                          \
	LOAD_TABLES TO_RING3 "1: mov %esi, %r8d\n" \
			     "2: " operation "\n"  \
			     "dec %r8d\n"          \
			     "jnz 2b\n"            \
			     "out %al, $0x81\n"    \
			     "jmp 1b\n"

GUEST64(port, REPEAT("out %al, $0x80"));
GUEST64(mmio, "mov $0xd0000000, %ebx\n" REPEAT("movl $1, (%rbx)"));
GUEST64(doorbell, "mov $0xd0000050, %ebx\n" REPEAT("movl $3, (%rbx)"));
GUEST64(spin, LOAD_TABLES TO_RING3 "1: incl 0x40000\n"
				   "jmp 1b\n");

/* The handler counts; ring 3 waits for nothing. */
GUEST64(interrupted, ".byte 0xe9\n.long 773f - . - 4\n"
		     "incl 0x40000\n"
		     "mov $0xfee000b0, %eax\n"
		     "movl $0, (%rax)\n"
		     "iretq\n"
		     "773:\n" LOAD_TABLES "mov $0xfee000f0, %eax\n"
		     "movl $0x1ff, (%rax)\n" TO_RING3 "out %al, $0x81\n"
		     "1: jmp 1b\n");

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void report(const char *name, uint64_t samples_ns[ROUNDS], uint64_t per)
{
	double median_ns;

	/* The first is the warm-up. */
	qsort(samples_ns + 1, ROUNDS - 1, sizeof(samples_ns[0]), compare);
	median_ns = (double)samples_ns[MEDIAN];
	printf("%s %.2f us\n", name, median_ns / (double)per / (double)NS_PER_US);
}

/* How long the guest takes for OPERATIONS, seen from its reports. */
static void time_operations(struct tiny_guest *g, const char *name)
{
	uint64_t samples[ROUNDS], before_ns, now_ns;

	tiny_guest_wait(&g->done);
	before_ns = clock_now_ns();
	for (unsigned i = 0; i < ROUNDS; i++) {
		tiny_guest_wait(&g->done);
		now_ns = clock_now_ns();
		samples[i] = now_ns - before_ns;
		before_ns = now_ns;
	}
	report(name, samples, OPERATIONS);
	vcpus_pause(g->vcpus);
	while (sem_trywait(&g->done) == 0)
		;
}

static void bench_exits(void)
{
	struct tiny_guest g;
	struct err err;
	int fd = event_create();

	tiny_guest_open(&g, 1);
	if (vm_add_ioeventfd(g.vm, GPA(TINY_MMIO_ADDR + 0x50), 3, fd, &err) < 0)
		abort();
	tiny_guest_run64(&g, port, OPERATIONS);
	time_operations(&g, "kvm_port_exit");
	tiny_guest_run64(&g, mmio, OPERATIONS);
	time_operations(&g, "kvm_mmio_exit");
	tiny_guest_run64(&g, doorbell, OPERATIONS);
	time_operations(&g, "kvm_doorbell");
	tiny_guest_close(&g);
	close_fd(&fd);
}

static uint32_t flag(const struct tiny_guest *g)
{
	return __atomic_load_n((const uint32_t *)(const void *)(g->ram + FLAG), __ATOMIC_SEQ_CST);
}

static uint64_t await_flag(const struct tiny_guest *g, uint32_t before)
{
	while (flag(g) == before)
		;
	return clock_now_ns();
}

static void bench_interrupt(void)
{
	const struct vm_msi route = { .addr = 0xfee00000, .data = VECTOR, .enabled = true };
	struct vm_msi other = { .addr = 0xfee00000, .data = VECTOR + 1, .enabled = true };
	uint64_t to_handler[ROUNDS], write_only[ROUNDS], reroute[ROUNDS];
	int fd = event_create();
	struct tiny_guest g;
	struct err err;

	tiny_guest_open(&g, 1);
	tiny_guest_set_gate(&g, VECTOR, HANDLER);
	if (vm_add_irqfd(g.vm, GSI, fd, &err) < 0 || vm_set_route(g.vm, GSI, &route) < 0)
		abort();
	tiny_guest_run64(&g, interrupted, 0);
	tiny_guest_wait(&g.done);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t before = flag(&g);
		uint64_t start_ns = clock_now_ns();

		event_signal(fd);
		write_only[i] = clock_now_ns() - start_ns;
		to_handler[i] = await_flag(&g, before) - start_ns;
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start_ns = clock_now_ns();

		other.enabled = i % 2 == 0;
		(void)vm_set_route(g.vm, GSI + 1, &other);
		reroute[i] = clock_now_ns() - start_ns;
	}
	report("kvm_irqfd_write", write_only, 1);
	report("kvm_irqfd_to_handler", to_handler, 1);
	report("kvm_set_route", reroute, 1);
	tiny_guest_close(&g);
	close_fd(&fd);
}

static void bench_requests(void)
{
	uint64_t pause[ROUNDS], resume[ROUNDS], kick[ROUNDS], reset[ROUNDS];
	struct tiny_guest g;

	tiny_guest_open(&g, 1);
	tiny_guest_run64(&g, spin, 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start_ns, exits;
		uint32_t before;

		(void)await_flag(&g, flag(&g));
		start_ns = clock_now_ns();
		vcpus_pause(g.vcpus);
		pause[i] = clock_now_ns() - start_ns;
		before = flag(&g);
		start_ns = clock_now_ns();
		vcpus_resume(g.vcpus);
		resume[i] = await_flag(&g, before) - start_ns;
		exits = vcpus_exit_count(g.vcpus);
		start_ns = clock_now_ns();
		vcpus_kick(g.vcpus);
		while (vcpus_exit_count(g.vcpus) == exits)
			;
		kick[i] = clock_now_ns() - start_ns;
		vcpus_pause(g.vcpus);
		start_ns = clock_now_ns();
		tiny_guest_start(&g, true, 0);
		reset[i] = clock_now_ns() - start_ns;
	}
	report("kvm_pause", pause, 1);
	report("kvm_resume_to_guest", resume, 1);
	report("kvm_kick_to_exit", kick, 1);
	report("kvm_reset_and_resume", reset, 1);
	tiny_guest_close(&g);
}

static void bench_life(unsigned vcpu_count)
{
	uint64_t create[ROUNDS], destroy[ROUNDS], first[ROUNDS];
	char name[64];

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start_ns = clock_now_ns();
		struct tiny_guest g;

		tiny_guest_open(&g, vcpu_count);
		create[i] = clock_now_ns() - start_ns;
		tiny_guest_load(&g, guest_port, guest_port_end);
		start_ns = clock_now_ns();
		tiny_guest_start(&g, true, 1);
		tiny_guest_wait(&g.done);
		first[i] = clock_now_ns() - start_ns;
		start_ns = clock_now_ns();
		tiny_guest_close(&g);
		destroy[i] = clock_now_ns() - start_ns;
	}
	(void)snprintf(name, sizeof(name), "kvm_create_%u_vcpu", vcpu_count);
	report(name, create, 1);
	(void)snprintf(name, sizeof(name), "kvm_start_to_first_exit_%u_vcpu", vcpu_count);
	report(name, first, 1);
	(void)snprintf(name, sizeof(name), "kvm_destroy_%u_vcpu", vcpu_count);
	report(name, destroy, 1);
}

static void bench_ring0(void)
{
	uint64_t per_s;
	struct err err;
	struct kvm kvm;

	if (kvm_open(&kvm, &err) < 0 || kvm_measure_ring0(&kvm, &per_s, &err) < 0)
		abort();
	printf("kvm_ring0_speed %.1f M/s\n", (double)per_s / 1e6);
	kvm_close(&kvm);
}

int main(void)
{
	tiny_guest_skip();
	bench_life(1);
	bench_life(4);
	bench_exits();
	bench_interrupt();
	bench_requests();
	bench_ring0();
	return 0;
}
