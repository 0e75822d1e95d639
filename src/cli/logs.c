/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* logs.c - `neap logs NAME`: the end of a VM's log, and with --follow what comes next.
 *
 * The daemon says where the log is; a VM that was detached has it beside its socket. A file that this
 * user may read is read here; else the daemon reads its end. A log that has become large is renamed to
 * NAME.log.1 and a new one begun by the VM: --follow reads what is left of the old one, then the new
 * one, by their inodes. It looks every FOLLOW_LOOK_MS.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"

enum { LINES_DEFAULT = 100, LINES_MAX = 10000, FOLLOW_LOOK_MS = 200 };
#define LOG_PATH_BYTES 4096
#define TAIL_MAX_BYTES (UINT64_C(4) * MIB_BYTES)
#define READ_BYTES     (UINT64_C(64) * KIB_BYTES)

static int read_lines_flag(const struct cli_call *call, unsigned *ret_lines)
{
	const char *text = cli_flag(call, "lines");
	unsigned long lines = LINES_DEFAULT;
	char *end;

	if (text) {
		errno = 0;
		lines = strtoul(text, &end, 10);
		if (*text < '0' || *text > '9' || *end || errno || lines > LINES_MAX)
			return out_fail(EXIT_CODE_USAGE,
					"--lines takes a number, 0 to %d, and not \"%.40s\"",
					LINES_MAX, text);
	}
	*ret_lines = (unsigned)lines;
	return EXIT_CODE_OK;
}

/* Where the last @lines lines of @text begin. */
static size_t tail_start(const char *text, size_t len, unsigned lines)
{
	size_t at = len;

	if (at > 0 && text[at - 1] == '\n')
		at--;
	while (lines > 0 && at > 0) {
		if (text[at - 1] == '\n' && --lines == 0)
			return at;
		at--;
	}
	return lines > 0 ? 0 : len;
}

/* A VM's process may have been taken over by its guest: a terminal gets nothing but words. */
static bool put(char *bytes, size_t len)
{
	if (isatty(STDOUT_FILENO))
		for (size_t i = 0; i < len; i++)
			if ((unsigned char)bytes[i] < ' ' && bytes[i] != '\n' && bytes[i] != '\t')
				bytes[i] = '?';
	return fwrite(bytes, 1, len, stdout) == len && fflush(stdout) == 0;
}

/* What comes in @fd from its place on: into @keep, or with NULL to standard output. False: that is full. */
static bool read_rest(int fd, struct strbuf *keep)
{
	char bytes[READ_BYTES];
	ssize_t got;

	while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
		if (keep)
			strbuf_append(keep, bytes, (size_t)got);
		else if (!put(bytes, (size_t)got))
			return false;
	}
	return true;
}

/* -1 with errno; what is not a regular file is none. */
static int open_log(const char *path, struct stat *ret_st)
{
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -1;
	if (S_ISREG(ret_st->st_mode))
		return take_fd(&fd);
	errno = EINVAL;
	return -1;
}

/* The end of @fd, at most TAIL_MAX_BYTES, into @text; its place is its end then. */
static void read_end(int fd, const struct stat *st, struct strbuf *text)
{
	if ((uint64_t)st->st_size > TAIL_MAX_BYTES)
		(void)lseek(fd, -(off_t)TAIL_MAX_BYTES, SEEK_END);
	(void)read_rest(fd, text);
}

/* The last @lines lines of @path, of which @fd is open, and of the one before it. */
static bool print_end(const char *path, int fd, const struct stat *st, unsigned lines)
{
	char before[LOG_PATH_BYTES];
	struct stat before_st;
	CLEANUP(strbuf_fini)
	struct strbuf text;
	size_t start;

	strbuf_init(&text, 4 * TAIL_MAX_BYTES); /* it may grow while it is read */
	(void)snprintf(before, sizeof(before), "%s.1", path);
	CLEANUP(close_fd)
	int before_fd = open_log(before, &before_st);
	if (before_fd >= 0)
		read_end(before_fd, &before_st, &text);
	read_end(fd, st, &text);
	if (!text.text)
		return true;
	start = tail_start(text.text, text.len, lines);
	return put(text.text + start, text.len - start);
}

/* Until Ctrl-C, or nobody reads. @fd is closed when a new file takes its place. */
static int follow(const char *path, int fd, struct stat st)
{
	CLEANUP(close_fd)
	int current_fd = fd;

	for (;;) {
		struct stat now;

		/* The name is looked at first: what was written before it changed is read below. */
		bool is_new = stat(path, &now) == 0 &&
			      (now.st_ino != st.st_ino || now.st_dev != st.st_dev);

		if (!read_rest(current_fd, NULL))
			return EXIT_CODE_FAILED;
		if (is_new) {
			int next_fd = open_log(path, &now);

			if (next_fd >= 0) {
				close_fd(&current_fd);
				current_fd = next_fd;
				st = now;
				continue;
			}
		}
		(void)poll(NULL, 0, FOLLOW_LOOK_MS);
	}
}

static int say_no_log(const char *path)
{
	if (errno == ENOENT)
		return out_fail(
			EXIT_CODE_FAILED,
			"there is no log %s: it begins when the VM is started in the background",
			path);
	if (errno == EACCES)
		return out_fail(EXIT_CODE_FAILED,
				"%s may be read by neapd's user only, and so followed; without "
				"--follow neapd shows its end",
				path);
	return out_fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(errno));
}

static int print_file(const struct cli_call *call, const char *path, unsigned lines)
{
	struct stat st;
	CLEANUP(close_fd)
	int fd = open_log(path, &st);

	if (fd < 0)
		return say_no_log(path);
	if (!print_end(path, fd, &st, lines))
		return EXIT_CODE_FAILED;
	return cli_flag(call, "follow") ? follow(path, take_fd(&fd), st) : EXIT_CODE_OK;
}

/* --- where it is -------------------------------------------------------------------------------- */

static int print_answer(const struct cli_call *call, json_t *answer)
{
	json_t *lines = json_object_get(answer, "lines");

	if (cli_wants_json(call))
		return out_json(json_incref(answer)) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const char *line = json_string_value(json_array_get(lines, i));
		CLEANUP(free_text)
		char *copy = line ? strdup(line) : NULL;

		if (copy && !(put(copy, strlen(copy)) && putchar('\n') != EOF))
			return EXIT_CODE_FAILED;
	}
	return fflush(stdout) == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static int print_of_daemon(const struct cli_call *call, struct vm *vm, unsigned lines)
{
	json_t *answer = NULL;
	int ret = vm_call(vm, "vm.logs", json_pack("{s:i}", "lines", (int)lines), &answer);

	if (ret == EXIT_CODE_OK && cli_flag(call, "follow"))
		ret = print_file(call, out_text(answer, "path"), lines);
	else if (ret == EXIT_CODE_OK)
		ret = print_answer(call, answer);
	json_decref(answer);
	return ret;
}

/* Its log may be there though the VM has ended. */
static int print_own(const struct cli_call *call, unsigned lines)
{
	char path[RPC_PATH_BYTES];
	struct err err = { 0 };

	if (cli_wants_json(call))
		return out_fail(EXIT_CODE_FAILED, "without neapd logs are files, and not JSON");
	if (rpc_vm_path(call->args[0], RPC_LOG_SUFFIX, path, &err) < 0)
		return out_fail(EXIT_CODE_USAGE, "%s", err.text);
	return print_file(call, path, lines);
}

/* The daemon does not know it; it may be a VM of our own that has left a log. */
static bool is_own(const struct daemon *daemon, const char *name)
{
	char path[RPC_PATH_BYTES];
	json_t *info = NULL;
	bool is_unknown = !daemon->is_named &&
			  daemon_ask(daemon->client, "vm.info", json_pack("{s:s}", "vm", name),
				     VM_CALL_TIMEOUT_MS, &info, NULL) == API_ERROR_NO_VM;

	json_decref(info);
	return is_unknown && rpc_vm_path(name, RPC_LOG_SUFFIX, path, NULL) == 0 &&
	       access(path, F_OK) == 0;
}

int cli_logs(struct cli_call *call)
{
	struct daemon daemon;
	struct vm vm;
	unsigned lines = LINES_DEFAULT;
	int ret = read_lines_flag(call, &lines);

	if (ret == EXIT_CODE_OK && cli_flag(call, "follow") && cli_wants_json(call))
		ret = out_fail(EXIT_CODE_USAGE, "--json prints once; it does not go with --follow");
	if (ret == EXIT_CODE_OK)
		ret = daemon_open(call, &daemon);
	if (ret != EXIT_CODE_OK)
		return ret;
	if (!daemon.client)
		return print_own(call, lines);
	ret = vm_open_by(&daemon, call->args[0], &vm);
	if (ret == EXIT_CODE_OK && is_own(&daemon, call->args[0]))
		ret = print_own(call, lines);
	else if (ret == EXIT_CODE_OK)
		ret = print_of_daemon(call, &vm, lines);
	daemon_close(&daemon);
	return ret;
}
