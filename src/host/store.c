/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* store.c - the daemon's directories, the lock on them, and numbers; objects are store_shelf.c's.
 *
 *   STATE/lock             locked with flock(2) for as long as a daemon has the directory; its process id
 *   STATE/vms/NAME.json    what is stored of a VM
 *   STATE/logs/NAME.log    what a VM said; NAME.log.1 before that
 *   STATE/numbers          the first number that was not given yet
 *   RUNTIME/runs/NAME.json what is known of a VM that runs
 *   RUNTIME/runs/NAME.exit its exit record
 *
 * Invariants
 *  K1  Every name is used below a directory that was opened once, belongs to us, and that nobody else
 *      may write. A directory that is not so is refused, never repaired.
 *  K2  Numbers below what STATE/numbers says are given or lost. It is on the disk before they are used.
 *  K3  The lock goes with the process, however it ends: no stale lock is ever broken.
 *  K4  A daemon that is killed while it starts a VM leaves its lock, for a moment, with the process that is
 *      about to be that VM. So a lock is waited for: shortly when the daemon that it names is there (it may
 *      be ending), longer when it is gone.
 */
#include "host/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/units.h"
#include "config/vm_config.h"

enum { LOCK_ALIVE_MS = 300, LOCK_DEAD_MS = 5000, LOCK_LOOK_US = 5000 }; /* K4 */

static const char numbers_name[] = "numbers";

/* mkdir -p; what is missing is ours alone. */
static int make_dirs(char *path, struct err *err)
{
	for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST && access(path, F_OK) < 0)
			return err_set(err, -errno, "%s cannot be made: %m", path);
		if (!slash)
			return 0;
		*slash = '/';
	}
}

static int check_dir(int fd, const char *path, struct err *err)
{
	struct stat dir;

	if (fstat(fd, &dir) < 0)
		return err_set(err, -errno, "%s: %m", path);
	if (dir.st_uid != geteuid())
		return err_set(err, -EPERM, "%s belongs to user %u, not to this daemon's (%u)",
			       path, (unsigned)dir.st_uid, (unsigned)geteuid());
	if (dir.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EPERM,
			       "%s may be written by others (mode %03o): chmod go-w %s", path,
			       dir.st_mode & 0777, path);
	return 0;
}

/* K1. The top may be a link of the administrator's; what is below is ours. */
static int open_dir(const char *path, int no_follow, int *ret_fd, struct err *err)
{
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | no_follow);
	int ret;

	if (fd < 0)
		return err_set(err, -errno, "%s: %m", path);
	ret = check_dir(fd, path, err);
	if (ret == 0)
		*ret_fd = take_fd(&fd);
	return ret;
}

static int open_top(const char *path, char **ret_path, int *ret_fd, struct err *err)
{
	CLEANUP(free_text)
	char *copy = strdup(path);
	int ret;

	if (*path != '/')
		return err_set(err, -EINVAL, "\"%s\" is not an absolute path", path);
	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	ret = make_dirs(copy, err);
	if (ret < 0)
		return ret;
	*ret_path = realpath(copy, NULL);
	if (!*ret_path)
		return err_set(err, -errno, "%s: %m", path);
	return open_dir(*ret_path, 0, ret_fd, err);
}

static int open_below(const char *top, const char *name, char **ret_path, int *ret_fd,
		      struct err *err)
{
	if (asprintf(ret_path, "%s/%s", top, name) < 0) {
		*ret_path = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	if (mkdir(*ret_path, 0700) < 0 && errno != EEXIST && access(*ret_path, F_OK) < 0)
		return err_set(err, -errno, "%s cannot be made: %m", *ret_path);
	return open_dir(*ret_path, O_NOFOLLOW, ret_fd, err);
}

/* 0: it does not say. */
static pid_t read_holder(int lock_fd)
{
	char text[24] = "";
	long pid;

	(void)!pread(lock_fd, text, sizeof(text) - 1, 0);
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static int say_who_has_it(const struct store *store, int lock_fd, struct err *err)
{
	pid_t pid = read_holder(lock_fd);

	if (pid == 0)
		return err_set(err, -EBUSY, "another neapd has %s already; stop it first",
			       store->state_dir);
	return err_set(err, -EBUSY, "neapd (process %d) has %s already; stop it first", (int)pid,
		       store->state_dir);
}

/* K4. True: it is ours. */
static bool lock_or_wait(int fd)
{
	uint64_t began_ns = clock_now_ns();

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		pid_t pid = read_holder(fd);
		bool is_dead = pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
		uint64_t patience_ms = is_dead ? LOCK_DEAD_MS : LOCK_ALIVE_MS;

		if (clock_now_ns() - began_ns > patience_ms * NS_PER_MS)
			return false;
		(void)usleep(LOCK_LOOK_US);
	}
	return true;
}

/* A disk that became read-only is no reason to lose sight of the VMs: flock() needs no writing. */
static int open_lock(int state_fd)
{
	static const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = openat(state_fd, "lock", O_RDWR | O_CREAT | flags, 0600);

	if (fd < 0 && errno == EROFS)
		fd = openat(state_fd, "lock", O_RDONLY | flags);
	return fd;
}

static int take_lock(struct store *store, struct err *err)
{
	CLEANUP(close_fd)
	int fd = open_lock(store->state_fd);
	struct stat lock;

	if (fd < 0)
		return err_set(err, -errno, "%s/lock: %m", store->state_dir);
	if (fstat(fd, &lock) < 0 || !S_ISREG(lock.st_mode))
		return err_set(err, -EINVAL, "%s/lock is not a regular file; remove it",
			       store->state_dir);
	if (!lock_or_wait(fd))
		return say_who_has_it(store, fd, err);
	/* Only a help for people: a full disk is no reason not to go on. */
	if (ftruncate(fd, 0) == 0)
		(void)dprintf(fd, "%ld\n", (long)getpid());
	store->lock_fd = take_fd(&fd);
	return 0;
}

static int open_all(struct store *store, const char *state_dir, const char *runtime_dir,
		    struct err *err)
{
	CLEANUP(free_text)
	char *runtime = NULL;
	CLEANUP(close_fd)
	int runtime_fd = -1;
	int ret = open_top(state_dir, &store->state_dir, &store->state_fd, err);

	if (ret == 0)
		ret = take_lock(store, err);
	if (ret == 0)
		ret = open_top(runtime_dir, &runtime, &runtime_fd, err);
	if (ret == 0)
		ret = open_below(store->state_dir, "vms", &store->shelf_dirs[STORE_VMS],
				 &store->shelf_fds[STORE_VMS], err);
	if (ret == 0)
		ret = open_below(store->state_dir, "logs", &store->logs_dir, &store->logs_fd, err);
	if (ret == 0)
		ret = open_below(runtime, "runs", &store->shelf_dirs[STORE_RUNS],
				 &store->shelf_fds[STORE_RUNS], err);
	return ret;
}

int store_open(const char *state_dir, const char *runtime_dir, struct store **ret_store,
	       struct err *err)
{
	struct store *store = calloc(1, sizeof(*store));
	int ret;

	if (!store)
		return err_set(err, -ENOMEM, "out of memory");
	store->state_fd = store->logs_fd = store->lock_fd = -1;
	for (unsigned i = 0; i < STORE_SHELF_COUNT; i++)
		store->shelf_fds[i] = -1;
	store->set_aside = json_array();
	ret = open_all(store, state_dir, runtime_dir, err);
	if (ret < 0) {
		store_close(store);
		return ret;
	}
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (unsigned i = 0; i < STORE_SHELF_COUNT; i++) {
		close_fd(&store->shelf_fds[i]);
		free(store->shelf_dirs[i]);
	}
	json_decref(store->set_aside);
	free(store->logs_dir);
	free(store->state_dir);
	close_fd(&store->logs_fd);
	close_fd(&store->state_fd);
	close_fd(&store->lock_fd);
	free(store);
}

void store_path(const struct store *store, enum store_file file, const char *name,
		char ret_path[STORE_PATH_BYTES])
{
	const char *dir = file == STORE_FILE_LOG ? store->logs_dir : store->shelf_dirs[STORE_RUNS];

	(void)snprintf(ret_path, STORE_PATH_BYTES, "%s/%s.%s", dir, name,
		       file == STORE_FILE_LOG ? "log" : "exit");
}

/* Beyond every number that could have been given: a million a second since 1970 are not. */
static uint64_t number_of_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * (NS_PER_S / NS_PER_US) + (uint64_t)now.tv_nsec / NS_PER_US;
}

/* 0: the text is none. */
static uint64_t parse_number(const char *text)
{
	char *end;
	unsigned long long number;

	if (*text < '1' || *text > '9')
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	return errno || strcmp(end, "\n") != 0 || number > STORE_NUMBER_MAX ? 0 : (uint64_t)number;
}

static int read_next_number(struct store *store, struct err *err)
{
	CLEANUP(free_text)
	char *text = NULL;
	struct err reason = { 0 };
	size_t len = 0;
	int ret = file_read_trusted(store->state_fd, numbers_name, 0, 32, &text, &len, &reason);

	if (ret == -ENOENT)
		store->next_number = 1;
	else if (ret == -EIO || ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE)
		return err_set(err, ret, "%s/%s: %s", store->state_dir, numbers_name, reason.text);
	else if (ret == 0)
		store->next_number = parse_number(text);
	if (store->next_number > 0)
		return 0;
	store_put_aside(store, store->state_fd, store->state_dir, numbers_name,
			ret < 0 ? reason.text : "is not a number");
	store->next_number = number_of_now();
	return 0;
}

int store_take_numbers(struct store *store, uint64_t count, uint64_t *ret_first, struct err *err)
{
	char text[32];
	int len, ret = 0;

	if (store->next_number == 0)
		ret = read_next_number(store, err);
	if (ret < 0)
		return ret;
	if (count > STORE_NUMBER_MAX - store->next_number)
		return err_set(err, -ERANGE, "%s/%s: there are no more numbers", store->state_dir,
			       numbers_name);
	len = snprintf(text, sizeof(text), "%" PRIu64 "\n", store->next_number + count);
	ret = file_replace(store->state_fd, numbers_name, text, (size_t)len, true, err);
	if (ret < 0)
		return err ? err_wrap(err, "%s/%s", store->state_dir, numbers_name) : ret;
	*ret_first = store->next_number;
	store->next_number += count;
	return 0;
}

uint64_t store_next_number(const struct store *store)
{
	return store->next_number;
}
