/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* demo_pool.c - borrow huge pages from the host, and give them back whatever happens.
 *
 * The pool belongs to everybody, so it is only ever changed by a difference, under the lock that
 * tests/tools/with-hugepages takes, too. The pages are given back by a process of their own, the
 * guardian: it waits for a word or for the end of the borrower, by whatever signal, and cannot be
 * reached by the terminal's Ctrl-C. Pages that a dying VM still holds when the pool shrinks leave
 * it when they are freed (hugepages: surplus).
 *
 * Source: hugetlbpage.rst "nr_hugepages", "surplus_hugepages"; pidfd_open(2).
 */
#include "cli/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/output.h"
#include "memory/hostmem.h"

enum { STILL_TRIES = 1000 };

static const char pool_path[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
static const char surplus_path[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages";

static int lock_pool(void)
{
	const char *path = getenv("NEAP_POOL_LOCK");
	int fd = open(path ? path : "/run/lock/neap-pool.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd >= 0 && flock(fd, LOCK_EX) < 0)
		close_fd(&fd);
	return fd;
}

static int64_t read_number(const char *path)
{
	char text[32] = "";
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return -1;
	return strtoll(text, NULL, 10);
}

/* What the kernel compares a written number with: without those that only live until they are freed.
 * Two files, read until both stood still meanwhile: a VM that is ending frees pages between. */
static int64_t read_persistent(void)
{
	for (int tries = 0; tries < STILL_TRIES; tries++) {
		int64_t total = read_number(pool_path);
		int64_t surplus = read_number(surplus_path);

		if (total < 0 || surplus < 0)
			break;
		if (total == read_number(pool_path) && surplus == read_number(surplus_path))
			return total - surplus;
	}
	return -1;
}

/* How many frames the pool really changed by; a negative errno in *ret_error otherwise. */
static int64_t change_pool(int64_t difference_frames, int *ret_error)
{
	char text[32];
	int64_t before;

	CLEANUP(close_fd)
	int lock_fd = lock_pool();
	CLEANUP(close_fd)
	int fd = open(pool_path, O_WRONLY | O_CLOEXEC);
	*ret_error = 0;
	before = read_persistent();
	if (lock_fd < 0 || fd < 0 || before < 0) {
		*ret_error = -errno;
		return 0;
	}
	(void)snprintf(text, sizeof(text), "%" PRId64, before + difference_frames);
	*ret_error = fd_write_full(fd, text, strlen(text));
	return read_persistent() - before;
}

/* Until the borrower writes a byte, closes its end, or is gone. */
static void wait_for_borrower(int release_fd, pid_t borrower)
{
	struct pollfd fds[2] = {
		{ .fd = release_fd, .events = POLLIN },
		{ .fd = (int)syscall(SYS_pidfd_open, borrower, 0), .events = POLLIN },
	};

	while (getppid() == borrower && poll(fds, ARRAY_LEN(fds), -1) < 0 && errno == EINTR)
		;
}

static _Noreturn void be_guardian(int release_fd, pid_t borrower, int64_t frames)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	int64_t changed;
	int error;

	(void)setsid();
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	wait_for_borrower(release_fd, borrower);
	changed = change_pool(-frames, &error);
	if (changed == -frames)
		out_note("gave %" PRId64 " pages of 2 MiB back to the host", frames);
	else
		(void)out_fail(EXIT_CODE_FAILED,
			       "only %" PRId64 " of %" PRId64
			       " borrowed pages of 2 MiB went back; lower %s by the rest",
			       -changed, frames, pool_path);
	_exit(EXIT_CODE_OK);
}

static int start_guardian(int64_t frames, struct demo_pool *ret_pool)
{
	pid_t borrower = getpid();
	int pipe_fds[2];
	pid_t child;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	(void)fflush(NULL);
	child = fork();
	if (child == 0) {
		(void)close(pipe_fds[1]);
		be_guardian(pipe_fds[0], borrower, frames);
	}
	(void)close(pipe_fds[0]);
	if (child < 0) {
		(void)close(pipe_fds[1]);
		return -errno;
	}
	*ret_pool = (struct demo_pool){ .guardian = child, .release_fd = pipe_fds[1] };
	return 0;
}

int demo_pool_borrow(uint64_t frames, struct demo_pool *ret_pool, struct err *err)
{
	struct hostmem_pool pool;
	int64_t got;
	int ret = hostmem_read_pool(HUGE_FRAME_BYTES, &pool, err);

	if (ret < 0)
		return ret;
	*ret_pool = (struct demo_pool){ 0 };
	if (pool.free_frames >= frames + pool.reserved_frames)
		return 0;
	if (access(pool_path, W_OK) < 0)
		return hostmem_say_short(&pool, frames, err), -EACCES;
	got = change_pool((int64_t)frames, &ret);
	if (got > 0)
		ret = start_guardian(got, ret_pool);
	if (ret < 0 && got > 0)
		(void)change_pool(-got, &(int){ 0 });
	if (ret < 0)
		return err_set(err, ret, "%s: %s", pool_path, strerror(-ret));
	if (got == (int64_t)frames) {
		out_note("borrowed %" PRId64
			 " pages of 2 MiB from the host for the time of this demo",
			 got);
		return 0;
	}
	demo_pool_give_back(ret_pool);
	return err_set(err, -ENOMEM, "the host has no memory in pieces of 2 MiB");
}

void demo_pool_give_back(struct demo_pool *pool)
{
	if (pool->guardian == 0)
		return;
	(void)fflush(stdout);
	close_fd(&pool->release_fd);
	while (waitpid(pool->guardian, NULL, 0) < 0 && errno == EINTR)
		;
	pool->guardian = 0;
}
