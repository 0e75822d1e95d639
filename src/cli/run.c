/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* run.c - `neap run`: read what the VM shall be, and become it, or leave it in the background.
 *
 * In the background the child forks off before any thread exists, leads a session of its own, and
 * keeps no terminal: its messages go to NAME.log. The parent waits at a pipe for one of
 *   one byte       the VM runs and its socket answers
 *   a sentence     it could not start
 *   nothing, end   it died on the way
 * and ends with the code the person would have got in the foreground.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/run.h"
#include "rpc/rpc.h"

enum { RUN_SENTENCE_BYTES = ERR_TEXT_BYTES };

/* Appends; what an earlier VM of that name said stays above. */
static int open_log(const char *vm_name, char ret_path[RPC_PATH_BYTES], struct err *err)
{
	int ret = rpc_vm_path(vm_name, RPC_LOG_SUFFIX, ret_path, err);
	int fd;

	if (ret < 0)
		return ret;
	fd = open(ret_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_set(err, -errno, "%s: %m", ret_path) : fd;
}

static int become_background(int log_fd)
{
	CLEANUP(close_fd)
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0 || setsid() < 0)
		return -errno;
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
	    dup2(log_fd, STDERR_FILENO) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

/* The end of the parent is the child's, too. It may have ended before prctl(). */
static void die_with(pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		exit(EXIT_CODE_KILLED);
}

/* Does not return: the child is the VM. */
static void be_the_vm(const struct cli_programs *programs, const struct vm_config *config,
		      int log_fd, int ready_fd)
{
	int ret = become_background(log_fd);

	log_set_name(config->name);
	if (ret < 0)
		exit(out_fail(EXIT_CODE_FAILED, "going into the background: %s", strerror(-ret)));
	exit(programs->run_vm(config, false, ready_fd));
}

/* What came through the pipe; EXIT_CODE_OK when the VM is up. */
static int await_ready(int ready_fd, pid_t child, const char *log_path)
{
	char sentence[RUN_SENTENCE_BYTES];
	size_t len = 0;
	int status = 0;
	ssize_t got;

	do {
		got = read(ready_fd, sentence + len, sizeof(sentence) - len);
		len += got > 0 ? (size_t)got : 0;
		/* A sentence comes in one write: a first byte alone is the sign of success. */
		if (got == 1 && len == 1)
			return EXIT_CODE_OK;
	} while ((got > 0 && len < sizeof(sentence)) || (got < 0 && errno == EINTR));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (len > 0)
		(void)out_fail(EXIT_CODE_FAILED, "%.*s", (int)len, sentence);
	else
		(void)out_fail(EXIT_CODE_FAILED, "the VM ended while it started; see %s", log_path);
	if (WIFEXITED(status) && WEXITSTATUS(status) != EXIT_CODE_OK)
		return WEXITSTATUS(status);
	return EXIT_CODE_FAILED;
}

int run_in_background(const struct cli_programs *programs, const struct vm_config *config,
		      bool dies_with_us, pid_t *ret_child)
{
	char log_path[RPC_PATH_BYTES];
	struct err err = { 0 };
	pid_t parent = getpid();
	int pipe_fds[2];
	pid_t child;
	int ret;

	CLEANUP(close_fd)
	int log_fd = open_log(config->name, log_path, &err);
	if (log_fd < 0)
		return out_fail(EXIT_CODE_FAILED, "%s", err.text);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return out_fail(EXIT_CODE_FAILED, "pipe: %s", strerror(errno));
	(void)fflush(NULL);
	child = fork();
	if (child == 0) {
		(void)close(pipe_fds[0]);
		if (dies_with_us)
			die_with(parent);
		be_the_vm(programs, config, log_fd, pipe_fds[1]);
	}
	close_fd(&pipe_fds[1]);
	ret = child < 0 ? out_fail(EXIT_CODE_FAILED, "fork: %s", strerror(errno))
			: await_ready(pipe_fds[0], child, log_path);
	close_fd(&pipe_fds[0]);
	if (ret == EXIT_CODE_OK)
		*ret_child = child;
	return ret;
}

static int run_detached(struct cli_call *call)
{
	pid_t child;
	int ret = run_in_background(call->programs, &call->config, false, &child);

	if (ret == EXIT_CODE_OK)
		(void)printf("%s\n", call->config.name);
	return ret;
}

int cli_run(struct cli_call *call)
{
	struct err err = { 0 };

	if (vm_config_check(&call->config, &err) < 0)
		return out_fail(EXIT_CODE_USAGE, "%s", err.text);
	if (cli_flag(call, "detach"))
		return run_detached(call);
	log_set_name(call->config.name);
	return call->programs->run_vm(&call->config, true, -1);
}
