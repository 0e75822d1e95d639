/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* log_file.c - see log_file.h.
 *
 * Invariants
 *  L1  Descriptors 1 and 2 are always open and always a log: dup2() exchanges them in one step, and
 *      whoever writes meanwhile writes into the old file or the new one.
 *  L2  One thread rotates, and nobody waits for it: what others write meanwhile is still in the old
 *      file, which grows by so much beyond its size.
 */
#include "base/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

enum { LOG_NUMBER_BYTES = 4 };

static struct {
	bool is_on; /* set before threads start */
	int dir_fd;
	char name[NAME_MAX + 1 - LOG_NUMBER_BYTES];
	uint64_t bytes_max;
	unsigned keep;
	atomic_flag is_rotating;
} log_file = { .is_rotating = ATOMIC_FLAG_INIT };

/* FILE.@number, at most FILE.99; number 0 is FILE. */
static const char *name_of(unsigned number, char ret_name[NAME_MAX + 1])
{
	if (number == 0)
		(void)snprintf(ret_name, NAME_MAX + 1, "%s", log_file.name);
	else
		(void)snprintf(ret_name, NAME_MAX + 1, "%s.%u", log_file.name,
			       number % (LOG_FILE_KEEP_MOST + 1));
	return ret_name;
}

static int open_name(const char *name, int more_flags)
{
	return openat(log_file.dir_fd, name,
		      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
			      O_NOCTTY | more_flags,
		      0600);
}

static bool take_place(int fd)
{
	return dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0;
}

static void shift_names(void)
{
	char from[NAME_MAX + 1], to[NAME_MAX + 1];

	for (unsigned i = log_file.keep; i > 0; i--)
		(void)renameat(log_file.dir_fd, name_of(i - 1, from), log_file.dir_fd,
			       name_of(i, to));
	if (log_file.keep == 0)
		(void)unlinkat(log_file.dir_fd, log_file.name, 0);
}

/* The new file is there before the old one has gone: a full disk shows before anything is lost. */
static bool begin_anew(void)
{
	char beside[NAME_MAX + 1];
	CLEANUP(close_fd)
	int fd = -1;

	(void)snprintf(beside, sizeof(beside), "%s.0", log_file.name);
	(void)unlinkat(log_file.dir_fd, beside, 0);
	fd = open_name(beside, O_EXCL);
	if (fd < 0)
		return false;
	shift_names();
	if (renameat(log_file.dir_fd, beside, log_file.dir_fd, log_file.name) < 0)
		return false;
	return take_place(fd);
}

void log_file_check(void)
{
	struct stat file;

	if (!log_file.is_on || fstat(STDERR_FILENO, &file) < 0 ||
	    (uint64_t)file.st_size < log_file.bytes_max)
		return;
	if (atomic_flag_test_and_set(&log_file.is_rotating)) /* L2 */
		return;
	/* Somebody may have been quicker. */
	if (fstat(STDERR_FILENO, &file) == 0 && (uint64_t)file.st_size >= log_file.bytes_max &&
	    !begin_anew())
		(void)!ftruncate(STDERR_FILENO, 0);
	atomic_flag_clear(&log_file.is_rotating);
}

/* What an earlier run kept more of than this one shall. A rotation that was cut short leaves one number
 * out, so two that are missing are the end. */
static void remove_older(void)
{
	char name[NAME_MAX + 1];
	unsigned missing = 0;

	for (unsigned i = log_file.keep + 1; i <= LOG_FILE_KEEP_MOST && missing < 2; i++)
		missing = unlinkat(log_file.dir_fd, name_of(i, name), 0) == 0 ? 0 : missing + 1;
}

static int open_dir(const char *path, size_t len)
{
	char dir[PATH_MAX];

	if (len >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, path, len);
	memcpy(dir + len, len ? "" : ".", len ? 1 : 2);
	log_file.dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return log_file.dir_fd < 0 ? -errno : 0;
}

static int open_first(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t len = strlen(name);
	int ret = open_dir(path, slash ? (size_t)(slash - path) + 1 : 0);
	int fd;

	if (ret < 0)
		return ret;
	if (len == 0 || len >= sizeof(log_file.name))
		return len ? -ENAMETOOLONG : -EISDIR;
	memcpy(log_file.name, name, len + 1);
	fd = open_name(name, 0);
	return fd < 0 ? -errno : fd;
}

/* /dev/null. It has no size, so nothing ever follows it. Source: null(4). */
static bool is_nowhere(const struct stat *file)
{
	return S_ISCHR(file->st_mode) && file->st_rdev == makedev(1, 3);
}

static int check_file(int fd, const char *path, struct err *err)
{
	struct stat file;

	if (fstat(fd, &file) < 0)
		return err_set(err, -errno, "the log %s: %m", path);
	if (is_nowhere(&file))
		return 0;
	if (!S_ISREG(file.st_mode))
		return err_set(err, -EINVAL, "the log %s is not a regular file", path);
	if (file.st_uid != geteuid())
		return err_set(err, -EPERM, "the log %s belongs to user %u", path,
			       (unsigned)file.st_uid);
	return 0;
}

int log_file_start(const struct log_file_config *config, struct err *err)
{
	CLEANUP(close_fd)
	int fd = open_first(config->path);
	struct stat file;
	int ret;

	if (fd < 0)
		return err_set(err, fd, "the log %s: %s", config->path, strerror(-fd));
	ret = check_file(fd, config->path, err);
	if (ret < 0)
		return ret;
	log_file.bytes_max = config->bytes_max;
	log_file.keep = config->keep;
	(void)fflush(NULL);
	if (!take_place(fd))
		return err_set(err, -errno, "the log %s: %m", config->path);
	log_file.is_on = fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
	if (log_file.is_on)
		remove_older();
	log_show_time(true);
	log_set_level(LOG_LEVEL_INFO);
	log_file_check();
	return 0;
}
