/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_sigbus.c - a host thread touches guest memory that is not there, and lives; and what holds
 * without the right to use userfaultfd.
 *
 * The pool is a private one. What ends a process, or gives up its rights, happens in a child.
 */
#include "../support/hugemount.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "memory/access.h"
#include "memory/discard.h"
#include "memory/ram_internal.h"

enum { POOL_FRAMES = 8, PATIENCE_S = 20, NOBODY = 65534, MAGIC = 0xa5, DUMPABLE = 1 };

static char pool_dir[HUGEMOUNT_TEXT_BYTES];

struct told {
	atomic_uint starved, fed, failures;
	_Atomic uint64_t where;
	_Atomic(const char *) why;
};

static void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	struct told *told = ctx;

	atomic_store(&told->where, gpa.addr);
	atomic_fetch_add(starving ? &told->starved : &told->fed, 1);
}

static void on_failed(void *ctx, const char *why)
{
	struct told *told = ctx;

	atomic_store(&told->why, why);
	atomic_fetch_add(&told->failures, 1);
}

static struct ram *open_ram(uint64_t frames, bool reserve, struct told *told, struct err *err)
{
	struct ram_config config = { .ram_bytes = frames * HUGE_FRAME_BYTES,
				     .frame_bytes = HUGE_FRAME_BYTES,
				     .hugetlbfs_dir = pool_dir,
				     .reserve = reserve };
	struct ram *ram = NULL;

	if (told)
		config.events = (struct ram_events){ .starved = on_starved,
						     .failed = on_failed,
						     .ctx = told };
	return ram_open(&config, &ram, err) ? NULL : ram;
}

/* Yield until *@count is @wanted; false after PATIENCE_S. No assertions: children call it, too. */
static bool reaches(atomic_uint *count, unsigned wanted)
{
	uint64_t give_up_ns = clock_now_ns() + PATIENCE_S * NS_PER_S;

	while (atomic_load(count) != wanted && clock_now_ns() < give_up_ns)
		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)NS_PER_MS }, NULL);
	return atomic_load(count) == wanted;
}

struct toucher {
	volatile uint8_t *byte;
	uint8_t seen;
	pthread_t thread;
};

static void *touch(void *arg)
{
	struct toucher *toucher = arg;

	toucher->seen = *toucher->byte;
	*toucher->byte = MAGIC;
	return NULL;
}

/* A hole of the host view, of which nobody but the engine should know. */
static void sigbus_of_a_host_thread_is_a_wait_until_there_is_a_frame(void **state)
{
	struct err err = { 0 };
	struct told told = { 0 };
	struct ram *ram = open_ram(4, false, &told, &err);
	struct ram *neighbour = open_ram(POOL_FRAMES - 1, true, NULL, &err);
	struct toucher toucher = { .seen = UINT8_MAX };
	uint8_t now = 0;

	(void)state;
	if (!ram || !neighbour)
		fail_msg("%s", err.text);
	toucher.byte = ram->host.base + 2 * HUGE_FRAME_BYTES + 5;
	assert_int_equal(pthread_create(&toucher.thread, NULL, touch, &toucher), 0);
	assert_true(reaches(&told.starved, 1));
	assert_int_equal(told.where, 2 * HUGE_FRAME_BYTES + 5);
	assert_int_equal(ram_discard(neighbour, 0, 1), 0);
	assert_int_equal(pthread_join(toucher.thread, NULL), 0);
	assert_true(reaches(&told.fed, 1));
	assert_int_equal(toucher.seen, 0);
	assert_int_equal(ram_read(ram, GPA(2 * HUGE_FRAME_BYTES + 5), &now, 1), 0);
	assert_int_equal(now, MAGIC);
	assert_int_equal(told.failures, 0);
	ram_close(neighbour);
	ram_close(ram);
}

static void a_hole_with_frames_in_the_pool_is_filled_unseen(void **state)
{
	struct err err = { 0 };
	struct told told = { 0 };
	struct ram *ram = open_ram(4, false, &told, &err);
	struct toucher toucher = { .seen = UINT8_MAX };

	(void)state;
	if (!ram)
		fail_msg("%s", err.text);
	toucher.byte = ram->host.base + HUGE_FRAME_BYTES;
	(void)touch(&toucher); /* the kernel fills it */
	assert_int_equal(toucher.seen, 0);
	assert_int_equal(told.starved, 0);
	ram_close(ram);
}

/* As the kernel would say it of hardware; to this thread. */
static int send_lost_memory(const void *address, int code)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = code };

	info.si_addr = (void *)(uintptr_t)address;
	return (int)syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info);
}

static void lost_memory_that_nobody_waits_for_ends_the_vm_with_a_reason(void **state)
{
	struct err err = { 0 };
	struct told told = { 0 };
	struct ram *ram = open_ram(4, false, &told, &err);
	struct ram *other = open_ram(2, false, NULL, &err);

	(void)state;
	if (!ram || !other)
		fail_msg("%s", err.text);
	assert_int_equal(send_lost_memory(ram->guest.base + 9000, BUS_MCEERR_AO), 0);
	assert_true(reaches(&told.failures, 1));
	assert_non_null(strstr(atomic_load(&told.why), "hardware lost memory"));
	ram_close(other);
	ram_close(ram);
}

static void *use_lost_memory(void *arg)
{
	struct ram *ram = arg;

	(void)send_lost_memory(ram->host.base + 9000, BUS_MCEERR_AR);
	_exit(3); /* its instruction cannot have been finished */
}

static int child_uses_lost_memory(void)
{
	struct err err = { 0 };
	struct told told = { 0 };
	struct ram *ram = open_ram(4, false, &told, &err);
	pthread_t thread;

	if (!ram || pthread_create(&thread, NULL, use_lost_memory, ram))
		return 2;
	return reaches(&told.failures, 1) ? 0 : 4;
}

/* What a child's exit status or signal was. */
static int run_in_child(int (*run)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		(void)signal(SIGBUS, SIG_DFL); /* not the test library's */
		_exit(run());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void lost_memory_that_is_needed_stops_who_needs_it_and_ends_the_vm(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(child_uses_lost_memory), 0);
}

/* A page past the end of a file: nothing of ours. */
static volatile uint8_t *bad_page(void)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	void *page = mmap(NULL, GUEST_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

static int child_touches_something_else(void)
{
	struct err err = { 0 };
	struct ram *ram = open_ram(2, false, NULL, &err);
	volatile uint8_t *page = bad_page();

	return ram && page ? *page : 2;
}

static void a_sigbus_elsewhere_ends_the_process_as_ever(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(child_touches_something_else), -SIGBUS);
}

static int child_is_sent_sigbus(void)
{
	struct err err = { 0 };

	if (!open_ram(2, false, NULL, &err))
		return 2;
	(void)raise(SIGBUS);
	return 3;
}

static void a_sigbus_that_was_sent_ends_the_process_as_ever(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(child_is_sent_sigbus), -SIGBUS);
}

static _Noreturn void on_foreign_sigbus(int number)
{
	(void)number;
	_exit(42);
}

static int child_has_a_handler_of_its_own(void)
{
	(void)signal(SIGBUS, on_foreign_sigbus);
	return child_touches_something_else();
}

static void a_sigbus_elsewhere_goes_to_whom_it_went_before(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(child_has_a_handler_of_its_own), 42);
}

/* Nobody in particular: no capabilities, and not the owner of /dev/userfaultfd. False: such a user
 * may use it here. */
static bool give_up_rights(void)
{
	struct userfaultfd_rights rights;

	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return false;
	(void)prctl(PR_SET_DUMPABLE, DUMPABLE); /* /proc/self stays readable */
	rights_check_userfaultfd(&rights);
	return !rights.allowed && strstr(rights.missing, "no right to use userfaultfd") &&
	       strstr(rights.mend, "vm.unprivileged_userfaultfd=1");
}

#define CHECK(condition)                 \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

/* In the child. Exit statuses are line numbers, modulo 256. */
static int without_rights(int (*run)(void))
{
	return give_up_rights() ? run() : TEST_EXIT_SKIP;
}

static int reserves_everything(void)
{
	struct err err = { 0 };
	struct ram *ram = open_ram(4, false, NULL, &err), *too_much;

	CHECK(ram && !ram_has_pager(ram) && ram_is_reserved(ram));
	CHECK(ram_resident_bytes(ram) == 4 * HUGE_FRAME_BYTES);
	CHECK(strstr(ram_why_no_pager(ram), "/dev/userfaultfd"));
	too_much = open_ram(POOL_FRAMES - 3, false, NULL, &err);
	CHECK(!too_much && err.code == -ENOMEM && strstr(err.text, "has to be reserved (no right"));
	CHECK(strstr(err.text, "not enough huge pages: 5 of 2 MiB needed, 4 free"));
	ram_close(ram);
	return 0;
}

static int child_reserves(void)
{
	return without_rights(reserves_everything) % 256;
}

static void assert_without_rights(int (*run)(void))
{
	int status = run_in_child(run);

	if (status == TEST_EXIT_SKIP)
		test_skip_case("an ordinary user may use userfaultfd here, or there is none to be");
	assert_int_equal(status, 0);
}

static void without_rights_huge_memory_is_reserved_or_refused_with_the_reason(void **state)
{
	(void)state;
	assert_without_rights(child_reserves);
}

static int refuses_swap(void)
{
	struct ram_config config = { .ram_bytes = 8 * MIB_BYTES,
				     .frame_bytes = GUEST_PAGE_BYTES,
				     .swap = { .dir = "/tmp" } };
	struct err err = { 0 };
	struct ram *ram = NULL;

	CHECK(ram_open(&config, &ram, &err) == -EPERM && !ram);
	CHECK(strstr(err.text, "no right to use userfaultfd") && strstr(err.text, "sudo "));
	config.swap.dir = NULL; /* and all else works: the kernel answers */
	CHECK(ram_open(&config, &ram, &err) == 0 && !ram_has_pager(ram) && !ram_is_reserved(ram));
	CHECK(*((volatile uint8_t *)ram_guest_view(ram, 0) + 7 * MIB_BYTES) == 0);
	ram_close(ram);
	return 0;
}

static int child_swaps(void)
{
	return without_rights(refuses_swap) % 256;
}

static void without_rights_swap_is_refused_and_small_memory_works(void **state)
{
	(void)state;
	assert_without_rights(child_swaps);
}

/* A frame that was given back is taken by a neighbour; then a device wants it. */
static int starves_without_pager(void)
{
	struct err err = { 0 };
	struct told told = { 0 };
	struct ram *ram = open_ram(4, false, &told, &err), *neighbour;
	struct toucher toucher = { .seen = UINT8_MAX };

	CHECK(ram && ram_discard(ram, 1, 1) == 0);
	neighbour = open_ram(POOL_FRAMES - 3, false, NULL, &err);
	CHECK(neighbour);
	toucher.byte = (uint8_t *)ram_guest_view(ram, 0) + HUGE_FRAME_BYTES;
	CHECK(ram_back(ram, GPA(HUGE_FRAME_BYTES), 1) == -ENOSPC);
	CHECK(pthread_create(&toucher.thread, NULL, touch, &toucher) == 0);
	CHECK(reaches(&told.starved, 1));
	CHECK(ram_discard(neighbour, 0, 1) == 0);
	CHECK(pthread_join(toucher.thread, NULL) == 0);
	CHECK(reaches(&told.fed, 1) && toucher.seen == 0 && *toucher.byte == MAGIC);
	ram_close(neighbour);
	ram_close(ram);
	return 0;
}

static int child_starves(void)
{
	return without_rights(starves_without_pager) % 256;
}

static void without_rights_a_hole_in_an_empty_pool_is_still_a_wait(void **state)
{
	(void)state;
	assert_without_rights(child_starves);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sigbus_of_a_host_thread_is_a_wait_until_there_is_a_frame),
		cmocka_unit_test(a_hole_with_frames_in_the_pool_is_filled_unseen),
		cmocka_unit_test(lost_memory_that_nobody_waits_for_ends_the_vm_with_a_reason),
		cmocka_unit_test(lost_memory_that_is_needed_stops_who_needs_it_and_ends_the_vm),
		cmocka_unit_test(a_sigbus_elsewhere_ends_the_process_as_ever),
		cmocka_unit_test(a_sigbus_that_was_sent_ends_the_process_as_ever),
		cmocka_unit_test(a_sigbus_elsewhere_goes_to_whom_it_went_before),
		cmocka_unit_test(without_rights_huge_memory_is_reserved_or_refused_with_the_reason),
		cmocka_unit_test(without_rights_swap_is_refused_and_small_memory_works),
		cmocka_unit_test(without_rights_a_hole_in_an_empty_pool_is_still_a_wait),
	};

	hugemount_make(POOL_FRAMES, pool_dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
