/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* run.c - `neap run`: read what the VM shall be, and become it, or leave it in the background.
 *
 * In the background the child forks off before any thread exists, leads a session of its own, and
 * keeps no terminal: its messages go to its log. The parent waits at a pipe for one of
 *   VM_RUN_READY       the VM runs and its socket answers
 *   a sentence         it could not start
 *   nothing, and end   it died on the way
 * and ends with the code the person would have got in the foreground. A program that supervises VMs
 * hands in such a pipe itself (--ready-fd), and learns of the end from --exit-record.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/log_file.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/run.h"
#include "config/suggest.h"
#include "rpc/rpc.h"

enum { RUN_SENTENCE_BYTES = ERR_TEXT_BYTES };

static int take_input_from_nowhere(void)
{
	CLEANUP(close_fd)
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ? -errno : 0;
}

/* No terminal any more: input comes from nowhere, and output goes to the log. */
static int speak_to_log(const struct log_file_config *log, struct err *err)
{
	int ret = log_file_start(log, err);

	if (ret < 0)
		return ret;
	ret = take_input_from_nowhere();
	return ret < 0 ? err_set(err, ret, "/dev/null: %s", strerror(-ret)) : 0;
}

static int become_background(const struct log_file_config *log, struct err *err)
{
	if (setsid() < 0)
		return err_set(err, -errno, "a session of its own: %m");
	if (speak_to_log(log, err) < 0)
		return err->code;
	return chdir("/") < 0 ? err_set(err, -errno, "/: %m") : 0;
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
		      const struct log_file_config *log, const struct vm_run *run)
{
	struct err err = { 0 };

	log_set_name(config->name);
	if (become_background(log, &err) < 0) {
		(void)exit_record_write(&run->exit_place, EXIT_CODE_FAILED, err.text, config->uuid,
					NULL);
		(void)fd_write_full(run->ready_fd, err.text, strlen(err.text));
		exit(EXIT_CODE_FAILED);
	}
	exit(programs->run_vm(config, run));
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
		if (len > 0 && sentence[0] == VM_RUN_READY)
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

struct background {
	const struct cli_programs *programs;
	const struct vm_config *config;
	struct log_file_config log;
	struct exit_place exit_place;
	uint64_t grant_bytes;
	bool dies_with_us;
};

static int start_background(const struct background *background, pid_t *ret_child)
{
	pid_t parent = getpid();
	int pipe_fds[2];
	pid_t child;
	int ret;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return out_fail(EXIT_CODE_FAILED, "pipe: %s", strerror(errno));
	(void)fflush(NULL);
	child = fork();
	if (child == 0) {
		const struct vm_run run = { .ready_fd = pipe_fds[1],
					    .exit_place = background->exit_place,
					    .grant_bytes = background->grant_bytes };

		(void)close(pipe_fds[0]);
		if (background->dies_with_us)
			die_with(parent);
		be_the_vm(background->programs, background->config, &background->log, &run);
	}
	close_fd(&pipe_fds[1]);
	ret = child < 0 ? out_fail(EXIT_CODE_FAILED, "fork: %s", strerror(errno))
			: await_ready(pipe_fds[0], child, background->log.path);
	close_fd(&pipe_fds[0]);
	if (ret == EXIT_CODE_OK)
		*ret_child = child;
	return ret;
}

int run_in_background(const struct cli_programs *programs, const struct vm_config *config,
		      bool dies_with_us, pid_t *ret_child)
{
	char log_path[RPC_PATH_BYTES];
	struct err err = { 0 };
	const struct background background = {
		.programs = programs,
		.config = config,
		.log = { log_path, LOG_FILE_DEFAULT_BYTES, LOG_FILE_DEFAULT_KEEP },
		.exit_place = { .dir_fd = -1 },
		.dies_with_us = dies_with_us,
	};

	if (rpc_vm_path(config->name, RPC_LOG_SUFFIX, log_path, &err) < 0)
		return out_fail(EXIT_CODE_FAILED, "%s", err.text);
	return start_background(&background, ret_child);
}

/* What the flags of `neap run` say beside the VM's options. */
struct run_flags {
	char log_path[RPC_PATH_BYTES]; /* of a VM in the background, when --log says nothing */
	struct log_file_config log;    /* path NULL: no file */
	struct vm_run run;
};

static int read_log_size(const char *text, struct log_file_config *log)
{
	char quoted[QUOTE_BYTES];

	if (text && (units_parse_size(text, &log->bytes_max, NULL) < 0 ||
		     log->bytes_max < LOG_FILE_LEAST_BYTES || log->bytes_max > LOG_FILE_MOST_BYTES))
		return out_fail(EXIT_CODE_USAGE,
				"--log-size takes a size from 4K to 1G, such as 4M, and not %s",
				quote_text(text, quoted));
	return EXIT_CODE_OK;
}

/* A number from 0 to @most, and nothing else; -1: it is none. */
static int parse_small(const char *text, int most)
{
	char *end;
	long number = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;

	return number < 0 || *end || number > most ? -1 : (int)number;
}

static int read_log_keep(const char *text, struct log_file_config *log)
{
	char quoted[QUOTE_BYTES];
	int keep = text ? parse_small(text, LOG_FILE_KEEP_MOST) : LOG_FILE_DEFAULT_KEEP;

	if (keep < 0)
		return out_fail(EXIT_CODE_USAGE,
				"--log-keep takes a number from 0 to %d, and not %s",
				LOG_FILE_KEEP_MOST, quote_text(text, quoted));
	log->keep = (unsigned)keep;
	return EXIT_CODE_OK;
}

static int read_log_flags(struct cli_call *call, struct run_flags *flags)
{
	struct err err = { 0 };
	int ret;

	flags->log = (struct log_file_config){ .path = cli_flag(call, "log"),
					       .bytes_max = LOG_FILE_DEFAULT_BYTES };
	if (!flags->log.path && cli_flag(call, "detach")) {
		if (rpc_vm_path(call->config.name, RPC_LOG_SUFFIX, flags->log_path, &err) < 0)
			return out_fail(EXIT_CODE_FAILED, "%s", err.text);
		flags->log.path = flags->log_path;
	}
	if (!flags->log.path && (cli_flag(call, "log-size") || cli_flag(call, "log-keep")))
		return out_fail(EXIT_CODE_USAGE, "--log-size and --log-keep need --log FILE");
	ret = read_log_size(cli_flag(call, "log-size"), &flags->log);
	return ret == EXIT_CODE_OK ? read_log_keep(cli_flag(call, "log-keep"), &flags->log) : ret;
}

static int read_ready_fd(struct cli_call *call, int *ret_fd)
{
	const char *text = cli_flag(call, "ready-fd");
	char quoted[QUOTE_BYTES];
	int fd, mode;

	*ret_fd = -1;
	if (!text)
		return EXIT_CODE_OK;
	if (cli_flag(call, "detach"))
		return out_fail(
			EXIT_CODE_USAGE,
			"--ready-fd and --detach: with --detach it is neap that waits until "
			"the VM runs; leave out one of the two");
	fd = parse_small(text, INT32_MAX);
	mode = fd > STDERR_FILENO ? fcntl(fd, F_GETFL) : -1;
	if (mode < 0 || (mode & O_ACCMODE) == O_RDONLY || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return out_fail(EXIT_CODE_USAGE,
				"--ready-fd takes the number of an open file that can be written, "
				"above 2, and not %s",
				quote_text(text, quoted));
	*ret_fd = fd;
	return EXIT_CODE_OK;
}

static int read_grant(const char *text, uint64_t *ret_bytes)
{
	char quoted[QUOTE_BYTES];

	if (text && (units_parse_size(text, ret_bytes, NULL) < 0 || *ret_bytes == 0))
		return out_fail(EXIT_CODE_USAGE, "--grant takes a size such as 512M, and not %s",
				quote_text(text, quoted));
	return EXIT_CODE_OK;
}

static int read_flags(struct cli_call *call, struct run_flags *flags)
{
	const char *exit_path = cli_flag(call, "exit-record");
	struct err err = { 0 };
	int ret = read_ready_fd(call, &flags->run.ready_fd);

	if (ret == EXIT_CODE_OK)
		ret = read_log_flags(call, flags);
	if (ret == EXIT_CODE_OK)
		ret = read_grant(cli_flag(call, "grant"), &flags->run.grant_bytes);
	if (ret != EXIT_CODE_OK)
		return ret;
	flags->run.foreground = !flags->log.path;
	flags->run.exit_place.dir_fd = -1;
	if (exit_path && exit_place_open(exit_path, &flags->run.exit_place, &err) < 0)
		return out_fail(EXIT_CODE_USAGE, "%s", err.text);
	return EXIT_CODE_OK;
}

static int run_detached(struct cli_call *call, const struct run_flags *flags)
{
	const struct background background = { .programs = call->programs,
					       .config = &call->config,
					       .log = flags->log,
					       .exit_place = flags->run.exit_place,
					       .grant_bytes = flags->run.grant_bytes };
	pid_t child;
	int ret = start_background(&background, &child);

	if (ret == EXIT_CODE_OK)
		(void)printf("%s\n", call->config.name);
	return ret;
}

/* Nothing was started; everybody who waits is told. */
static int refuse(struct cli_call *call, const struct run_flags *flags, int code, const char *why)
{
	(void)exit_record_write(&flags->run.exit_place, code, why, call->config.uuid, NULL);
	if (flags->run.ready_fd >= 0)
		(void)fd_write_full(flags->run.ready_fd, why, strlen(why));
	return out_fail(code, "%s", why);
}

static int run_here(struct cli_call *call, const struct run_flags *flags)
{
	struct err err = { 0 };

	log_set_name(call->config.name);
	if (flags->log.path && speak_to_log(&flags->log, &err) < 0)
		return refuse(call, flags, EXIT_CODE_FAILED, err.text);
	return call->programs->run_vm(&call->config, &flags->run);
}

int cli_run(struct cli_call *call)
{
	struct run_flags flags = { 0 };
	struct err err = { 0 };
	int ret = read_flags(call, &flags);

	if (ret != EXIT_CODE_OK)
		return ret;
	if (vm_config_check(&call->config, &err) < 0)
		ret = refuse(call, &flags, EXIT_CODE_USAGE, err.text);
	else if (cli_flag(call, "detach"))
		ret = run_detached(call, &flags);
	else
		ret = run_here(call, &flags);
	exit_place_close(&flags.run.exit_place);
	return ret;
}
