/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* process_exec.c - a VM's process comes to be: `neap run`, with exactly three descriptors and a pipe.
 *
 * posix_spawn(3) does not copy our memory, so a daemon of any size starts VMs at the same cost.
 *   0  the configuration, in a memory file nobody else can open; neap puts /dev/null in its place
 *   1  2  the log, so that even what neap says before it opens the log itself is there
 *   3  where it says that it runs; closed then
 * The child closes all else: a descriptor that some library of ours forgot to mark is not inherited.
 */
#include "host/process_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/units.h"

enum { READY_FD = 3, FIRST_CLOSED_FD = 4, ABOVE_ALL_FD = 8, ARGS_MAX = 20, NUMBER_BYTES = 24 };

/* A copy of @fd above those that the child gives numbers; closes @fd. */
static int lift(int fd)
{
	int lifted = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_ALL_FD);

	close_fd(&fd);
	return lifted;
}

/* 0600: neap reads no configuration that others may write. */
static int config_file(const json_t *config, struct err *err)
{
	CLEANUP(close_fd)
	int fd = lift(memfd_create("neap-vm.json", MFD_CLOEXEC));
	CLEANUP(free_text)
	char *text = json_dumps(config, JSON_COMPACT); /* json_dumpfd() writes word by word */
	int ret;

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_set(err, -errno, "a file for the configuration: %m");
	ret = text ? fd_write_full(fd, text, strlen(text)) : -ENOMEM;
	if (ret == 0 && lseek(fd, 0, SEEK_SET) < 0)
		ret = -errno;
	if (ret < 0)
		return err_set(err, ret, "writing the configuration: %s", strerror(-ret));
	return take_fd(&fd);
}

static int open_log(const char *path)
{
	CLEANUP(close_fd)
	int fd = lift(
		open(path,
		     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		     0600));
	struct stat file;

	if (fd < 0 || fstat(fd, &file) < 0)
		return -errno;
	return S_ISREG(file.st_mode) ? take_fd(&fd) : -EINVAL;
}

/* A VM without a log is better than none: a full disk must not keep VMs from coming back. */
static int open_log_or_nothing(const struct process_start *start, const char **ret_path)
{
	int fd = open_log(start->log_path);

	*ret_path = start->log_path;
	if (fd >= 0 || fd == -EMFILE || fd == -ENFILE)
		return fd;
	log_warn("host", "%s runs without a log: %s: %s", start->name, start->log_path,
		 strerror(-fd));
	*ret_path = "/dev/null";
	fd = lift(open(*ret_path, O_WRONLY | O_CLOEXEC));
	return fd < 0 ? -errno : fd;
}

/* What systemd says is for the process it started. */
static bool is_ours_alone(const char *variable)
{
	static const char *const names[] = { "LISTEN_PID=",	"LISTEN_FDS=",	 "LISTEN_FDNAMES=",
					     "NOTIFY_SOCKET=",	"WATCHDOG_PID=", "WATCHDOG_USEC=",
					     "MAINPID=",	"MANAGERPID=",	 "INVOCATION_ID=",
					     "JOURNAL_STREAM=", "LOG_NAMESPACE=" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* Borrows the strings; the caller frees the list. NULL: no memory. */
static char **environment(void)
{
	size_t count = 0, used = 0;
	char **list;

	while (environ && environ[count])
		count++;
	list = calloc(count + 1, sizeof(*list));
	for (size_t i = 0; list && i < count; i++)
		if (!is_ours_alone(environ[i]))
			list[used++] = environ[i];
	return list;
}

struct arguments {
	const char *list[ARGS_MAX];
	unsigned count;
	char log_bytes[NUMBER_BYTES], log_keep[NUMBER_BYTES], ready_fd[NUMBER_BYTES];
	char grant_bytes[NUMBER_BYTES];
};

static void add(struct arguments *args, const char *flag, const char *value)
{
	args->list[args->count++] = flag;
	args->list[args->count++] = value;
}

/* The name is in the configuration, too; here it is for people who look at processes. */
static void make_arguments(const struct process_start *start, const char *log_path,
			   struct arguments *args)
{
	*args = (struct arguments){ 0 };
	add(args, start->neap_path, "run");
	add(args, "--name", start->name);
	add(args, "--config", "/dev/stdin");
	add(args, "--log", log_path);
	if (start->log_bytes > 0) {
		(void)snprintf(args->log_bytes, NUMBER_BYTES, "%" PRIu64, start->log_bytes);
		(void)snprintf(args->log_keep, NUMBER_BYTES, "%u", start->log_keep);
		add(args, "--log-size", args->log_bytes);
		add(args, "--log-keep", args->log_keep);
	}
	add(args, "--exit-record", start->exit_path);
	if (start->grant_bytes > 0) {
		(void)snprintf(args->grant_bytes, NUMBER_BYTES, "%" PRIu64, start->grant_bytes);
		add(args, "--grant", args->grant_bytes);
	}
	(void)snprintf(args->ready_fd, NUMBER_BYTES, "%d", READY_FD);
	add(args, "--ready-fd", args->ready_fd);
}

/* The attributes have sets of signals that are ready to use; sigfillset() cannot fail. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	return posix_spawnattr_setsigdefault(attributes, &all) ||
	       posix_spawnattr_setsigmask(attributes, &none) ||
	       posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
							    POSIX_SPAWN_SETSIGMASK);
}

static int set_actions(posix_spawn_file_actions_t *actions, int config_fd, int log_fd, int ready_fd)
{
	return posix_spawn_file_actions_adddup2(actions, config_fd, STDIN_FILENO) ||
	       posix_spawn_file_actions_adddup2(actions, log_fd, STDOUT_FILENO) ||
	       posix_spawn_file_actions_adddup2(actions, log_fd, STDERR_FILENO) ||
	       posix_spawn_file_actions_adddup2(actions, ready_fd, READY_FD) ||
	       posix_spawn_file_actions_addclosefrom_np(actions, FIRST_CLOSED_FD) ||
	       posix_spawn_file_actions_addchdir_np(actions, "/");
}

/* 0 or a negative errno. */
static int spawn(const struct arguments *args, char *const variables[], int config_fd, int log_fd,
		 int ready_fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int ret;

	if (posix_spawnattr_init(&attributes))
		return -ENOMEM;
	if (posix_spawn_file_actions_init(&actions)) {
		(void)posix_spawnattr_destroy(&attributes);
		return -ENOMEM;
	}
	ret = set_attributes(&attributes) || set_actions(&actions, config_fd, log_fd, ready_fd)
		      ? ENOMEM
		      : posix_spawnp(ret_pid, args->list[0], &actions, &attributes,
				     (char *const *)(uintptr_t)args->list, variables);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	return -ret;
}

static int open_pipe(int *ret_read_fd, int *ret_write_fd, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, -errno, "a pipe: %m");
	*ret_read_fd = fds[0];
	*ret_write_fd = lift(fds[1]);
	if (*ret_write_fd < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return err_set(err, -errno, "a pipe: %m");
	return 0;
}

int process_exec(const struct process_start *start, struct process_child *ret_child,
		 struct err *err)
{
	CLEANUP(close_fd)
	int config_fd = config_file(start->config, err);
	CLEANUP(close_fd)
	int log_fd = -1;
	CLEANUP(close_fd)
	int read_fd = -1;
	CLEANUP(close_fd)
	int write_fd = -1;
	const char *log_path;
	struct arguments args;
	char **variables;
	int ret;

	if (config_fd < 0)
		return config_fd;
	ret = open_pipe(&read_fd, &write_fd, err);
	if (ret < 0)
		return ret;
	log_fd = open_log_or_nothing(start, &log_path);
	if (log_fd < 0)
		return err_set(err, log_fd, "the log of %s: %s", start->name, strerror(-log_fd));
	variables = environment();
	if (!variables)
		return err_set(err, -ENOMEM, "out of memory");
	make_arguments(start, log_path, &args);
	ret = spawn(&args, variables, config_fd, log_fd, write_fd, &ret_child->pid);
	free(variables);
	if (ret < 0)
		return err_set(err, ret, "%s cannot be started: %s", start->neap_path,
			       strerror(-ret));
	ret_child->ready_fd = take_fd(&read_fd);
	return 0;
}
