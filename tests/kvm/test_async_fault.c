/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_async_fault.c - a reset while KVM waits for a page of the guest.
 *
 * With a local APIC in the kernel, KVM lets a worker fetch a missing page and puts the vCPU to sleep
 * meanwhile. The missing page is a userfaultfd that nobody serves until the test does. In ring 0 a
 * guest that turned on asynchronous page faults would sleep on after the reset; cpuid.c hides them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/testing.h"
#include "tiny_guest.h"

enum { MISSING = 0x300000, MISSING_BYTES = 0x1000, WAIT_MS = 10000, PAGE_FAULT = 14 };

/* At TINY_ENTRY + 5, behind a jump: told that the page is missing, wait. */
#define PAGE_FAULT_WAITS                   \
	".byte 0xe9\n.long 773f - . - 4\n" \
	"1: hlt\n"                         \
	"jmp 1b\n"                         \
	"773:\n"

/* esi: the value for KVM_ASYNC_PF_EN. */
#define TURN_ON_ASYNC_FAULTS      \
	LOAD_TABLES               \
	"mov $0x4b564d02, %ecx\n" \
	"mov %esi, %eax\n"        \
	"xor %edx, %edx\n"        \
	"wrmsr\n"

#define TOUCH                  \
	"mov 0x300000, %eax\n" \
	"out %eax, $0x81\n"    \
	"1: jmp 1b\n"

GUEST64(touches_in_ring_3, PAGE_FAULT_WAITS TURN_ON_ASYNC_FAULTS TO_RING3 TOUCH);
GUEST64(touches_in_ring_0, PAGE_FAULT_WAITS TURN_ON_ASYNC_FAULTS "sti\nnop\n" TOUCH);

GUEST64(says_done, "mov $0x600d, %eax\n"
		   "out %eax, $0x81\n"
		   "1: hlt\n"
		   "jmp 1b\n");

static int missing_page(struct tiny_guest *g)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)g->ram + MISSING, .len = MISSING_BYTES },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		test_skip_case("this process may not use userfaultfd");
	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &range), 0);
	return fd;
}

static void serve(struct tiny_guest *g, int fd)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)g->ram + MISSING, .len = MISSING_BYTES },
	};

	assert_int_equal(ioctl(fd, UFFDIO_ZEROPAGE, &zero), 0);
}

struct server {
	struct tiny_guest *guest;
	int fd;
};

/* Serves a little after the reset began: KVM waits for the worker when it cancels the work. */
static void *serve_later(void *arg)
{
	const struct server *server = arg;

	(void)usleep(20000);
	serve(server->guest, server->fd);
	return NULL;
}

static void reset_while_a_page_is_missing(bool in_ring_0, uint64_t async_pf)
{
	struct tiny_guest g;
	struct server server = { .guest = &g };
	struct pollfd event;
	pthread_t thread;

	tiny_guest_open(&g, 1);
	server.fd = missing_page(&g);
	tiny_guest_set_gate(&g, PAGE_FAULT, TINY_ENTRY + 5);
	event = (struct pollfd){ .fd = server.fd, .events = POLLIN };
	if (in_ring_0)
		tiny_guest_run64(&g, touches_in_ring_0, async_pf);
	else
		tiny_guest_run64(&g, touches_in_ring_3, async_pf);
	assert_int_equal(poll(&event, 1, WAIT_MS), 1);
	vcpus_pause(g.vcpus);
	assert_int_equal(sem_trywait(&g.done), -1);
	assert_int_equal(pthread_create(&thread, NULL, serve_later, &server), 0);
	tiny_guest_run64(&g, says_done, 0);
	tiny_guest_wait(&g.done);
	assert_int_equal(g.log[0], 0x600d);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(server.fd);
	tiny_guest_close(&g);
}

static void a_guest_without_async_faults_starts_again_after_a_reset(void **state)
{
	(void)state;
	reset_while_a_page_is_missing(false, 0);
}

/* As Linux turns it on: by interrupt, and only in ring 3. */
enum { ASYNC_PF_AS_LINUX = 0x50000 | 1 << 0 | 1 << 3 };

static void a_guest_with_async_faults_starts_again_after_a_reset(void **state)
{
	(void)state;
	reset_while_a_page_is_missing(false, ASYNC_PF_AS_LINUX);
}

static void skip_on_page_table_kvm(void)
{
	if (kvm_kind() == KVM_KIND_PAGE_TABLE)
		test_skip_case("page-table KVM waits for the page inside KVM_RUN");
}

static void a_vcpu_put_to_sleep_in_ring_0_wakes_with_its_page(void **state)
{
	(void)state;
	skip_on_page_table_kvm();
	reset_while_a_page_is_missing(true, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_without_async_faults_starts_again_after_a_reset),
		cmocka_unit_test(a_guest_with_async_faults_starts_again_after_a_reset),
		cmocka_unit_test(a_vcpu_put_to_sleep_in_ring_0_wakes_with_its_page),
	};

	tiny_guest_skip();
	(void)alarm(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
