/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* process.c - watching one VM's process.
 *
 * Invariants
 *  W1  A pidfd is opened first and the identity looked at after: what the pidfd means is then the process
 *      of that identity, or one that is gone. Signals and the end go by the pidfd alone.
 *  W2  The end is told when the process is gone, not before: its log and its record are complete by then,
 *      and what it said about its start was read to the last byte.
 *  W3  No callback comes after process_forget(), which may be called from one.
 *  W4  A child that is watched is waited for when its pidfd says so; no zombie stays.
 * Transitions
 *  SPAWNED -> UP     [hear_ready]    it said VM_RUN_READY
 *  SPAWNED -> ENDED  [conclude]      on_ready with a code, on_end
 *  UP      -> ENDED  [conclude]      on_end
 * Sources: pidfd_open(2); waitid(2), P_PIDFD; proc_pid_stat(5), "starttime".
 */
#include "host/process_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit_code.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/units.h"
#include "config/exit_record.h"
#include "config/json_text.h"
#include "config/vm_run.h"

enum { STAT_BYTES = 1024, START_FIELD = 22, FIRST_FIELD_AFTER_NAME = 3 };

struct process {
	const struct process_ops *ops; /* NULL: forgotten (W3) */
	void *ctx;
	struct process_identity identity;
	bool is_child;
	bool is_up;	  /* it said so, or it was adopted */
	bool is_late;	  /* it was killed for saying nothing */
	bool said_all;	  /* of its start */
	unsigned handles; /* of libuv, not closed yet; freed with the last */
	int pid_fd, ready_fd;
	uv_poll_t pid_poll, ready_poll;
	uv_timer_t timer; /* for the start */
	char *exit_path;
	char sentence[EXIT_REASON_BYTES];
	size_t sentence_len;
};

int process_open_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

/* The name in parentheses may hold anything, so fields are counted from the last one. */
static bool parse_start(const char *stat, uint64_t *ret_ticks)
{
	const char *at = strrchr(stat, ')');
	char *end;

	for (int field = FIRST_FIELD_AFTER_NAME - 1; at && field < START_FIELD; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at || *at < '0' || *at > '9')
		return false;
	*ret_ticks = strtoull(at, &end, 10);
	return *end == ' ';
}

int process_identify(pid_t pid, struct process_identity *ret_identity)
{
	char path[64], stat[STAT_BYTES];
	uint64_t ticks;
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	len = read(fd, stat, sizeof(stat) - 1);
	if (len < 0)
		return -errno; /* ESRCH, when it has just gone */
	stat[len] = '\0';
	if (pid <= 0 || !parse_start(stat, &ticks))
		return -ESRCH;
	*ret_identity = (struct process_identity){ .pid = pid, .start_ticks = ticks };
	return 0;
}

static void free_process(struct process *process)
{
	close_fd(&process->pid_fd);
	close_fd(&process->ready_fd);
	free(process->exit_path);
	free(process);
}

static void on_closed(uv_handle_t *handle)
{
	struct process *process = handle->data;

	if (--process->handles == 0)
		free_process(process);
}

static void close_handle(struct process *process, void *handle)
{
	if (((uv_handle_t *)handle)->data == process && !uv_is_closing(handle))
		uv_close(handle, on_closed);
}

/* --- the end ------------------------------------------------------------------------------------- */

static const char *exit_help(int code)
{
	static const struct {
		int code;
		const char *help;
	} rows[] = {
#define EXIT_CODE(id_, code_, help_) { (code_), (help_) },
#include "base/exit_codes.def"
#undef EXIT_CODE
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].code == code)
			return rows[i].help;
	return "the guest's own status";
}

static void say(struct process_end *end, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void say(struct process_end *end, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(end->reason, sizeof(end->reason), format, args);
	va_end(args);
	json_text_mend(end->reason);
}

/* W4. What wait() knows of a child. */
static void reap(struct process *process, struct process_end *ret_end)
{
	siginfo_t info = { 0 };

	*ret_end = (struct process_end){ 0 };
	say(ret_end, "its process is gone and left no word: it was killed, or neap crashed");
	if (!process->is_child ||
	    waitid((idtype_t)P_PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG) < 0 ||
	    info.si_pid == 0)
		return;
	if (info.si_code == CLD_EXITED) {
		ret_end->has_exit_code = true;
		ret_end->exit_code = info.si_status;
		say(ret_end, "it ended with status %d (%s) and left no word", info.si_status,
		    exit_help(info.si_status));
	} else {
		ret_end->signal = info.si_status;
		say(ret_end, "it was ended by signal %d (%s)", info.si_status,
		    strsignal(info.si_status));
	}
}

/* True when there was a record of @pid, or of any process if that is 0. It goes in any case. */
static bool take_record(const char *exit_path, pid_t pid, struct process_end *ret_end)
{
	struct exit_record record;
	struct err err = { 0 };
	int ret = exit_record_read(exit_path, &record, &err);

	if (ret == -ENOENT)
		return false;
	(void)unlink(exit_path);
	if (ret < 0) {
		log_warn("host", "%s", err.text);
		return false;
	}
	if (pid > 0 && record.pid != pid)
		return false;
	*ret_end = (struct process_end){ .has_exit_code = true, .exit_code = record.exit_code };
	say(ret_end, "%s", *record.reason ? record.reason : exit_help(record.exit_code));
	return true;
}

bool process_read_exit(const char *exit_path, struct process_end *ret_end)
{
	return take_record(exit_path, 0, ret_end);
}

/* A start is never a success that failed, whatever the process made of it. */
static int failure_code(const struct process_end *end)
{
	return end->has_exit_code && end->exit_code != EXIT_CODE_OK ? end->exit_code
								    : EXIT_CODE_FAILED;
}

static void hear_ready(struct process *process);

static void conclude(struct process *process)
{
	struct process_end end;

	reap(process, &end);
	(void)take_record(process->exit_path, process->identity.pid, &end);
	hear_ready(process); /* W2 */
	if (process->ops && !process->is_up)
		process->ops->on_ready(process->ctx, failure_code(&end),
				       *process->sentence ? process->sentence : end.reason);
	if (process->ops)
		process->ops->on_end(process->ctx, &end);
}

static void on_gone(uv_poll_t *poll, int status, int events)
{
	struct process *process = poll->data;

	(void)status, (void)events;
	(void)uv_poll_stop(poll);
	(void)uv_timer_stop(&process->timer);
	conclude(process);
}

/* --- the start ----------------------------------------------------------------------------------- */

/* False: there is nothing now. More than a sentence is nothing that we read. */
static bool read_more(struct process *process)
{
	size_t room = sizeof(process->sentence) - 1 - process->sentence_len;
	ssize_t got = read(process->ready_fd, process->sentence + process->sentence_len, room);

	if (got < 0)
		return errno == EINTR;
	process->sentence_len += (size_t)got;
	process->sentence[process->sentence_len] = '\0';
	process->said_all = got == 0; /* it closed it, or there is no room */
	return got > 0;
}

/* Reads what there is. A sentence is kept for the end, which is near. */
static void hear_ready(struct process *process)
{
	if (process->is_up || process->is_late || process->ready_fd < 0)
		return;
	while (process->sentence[0] != VM_RUN_READY)
		if (!read_more(process))
			return;
	process->is_up = true;
	close_handle(process, &process->ready_poll);
	(void)uv_timer_stop(&process->timer);
	if (process->ops)
		process->ops->on_ready(process->ctx, 0, "");
}

static void on_word(uv_poll_t *poll, int status, int events)
{
	struct process *process = poll->data;

	(void)status, (void)events;
	hear_ready(process);
	if (process->said_all || process->is_late)
		(void)uv_poll_stop(poll);
}

static void on_too_late(uv_timer_t *timer)
{
	struct process *process = timer->data;

	process->is_late = true;
	process->sentence_len =
		(size_t)snprintf(process->sentence, sizeof(process->sentence),
				 "it did not come up within %" PRIu64
				 " s, and was killed; its log may say more",
				 uv_timer_get_repeat(timer) / (NS_PER_S / NS_PER_MS));
	(void)uv_timer_stop(timer);
	(void)process_signal(process, SIGKILL);
}

/* --- to watch and not ---------------------------------------------------------------------------- */

static struct process *new_process(const char *exit_path, const struct process_ops *ops, void *ctx)
{
	struct process *process = calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	process->ops = ops;
	process->ctx = ctx;
	process->pid_fd = process->ready_fd = -1;
	process->exit_path = strdup(exit_path);
	if (process->exit_path)
		return process;
	free(process);
	return NULL;
}

static int watch(struct process *process, uv_loop_t *loop, struct err *err)
{
	int ret = uv_poll_init(loop, &process->pid_poll, process->pid_fd);

	if (ret < 0)
		return err_set(err, ret, "watching a process: %s", uv_strerror(ret));
	process->pid_poll.data = process;
	process->handles++;
	(void)uv_timer_init(loop, &process->timer);
	process->timer.data = process;
	process->handles++;
	(void)uv_poll_start(&process->pid_poll, UV_READABLE, on_gone);
	return 0;
}

static int listen_for_ready(struct process *process, uv_loop_t *loop, uint64_t timeout_ns,
			    struct err *err)
{
	uint64_t timeout_ms = timeout_ns / NS_PER_MS;
	int ret = uv_poll_init(loop, &process->ready_poll, process->ready_fd);

	if (ret < 0)
		return err_set(err, ret, "watching a start: %s", uv_strerror(ret));
	process->ready_poll.data = process;
	process->handles++;
	(void)uv_poll_start(&process->ready_poll, UV_READABLE | UV_DISCONNECT, on_word);
	if (timeout_ms > 0)
		(void)uv_timer_start(&process->timer, on_too_late, timeout_ms, timeout_ms);
	return 0;
}

void process_mute(struct process *process)
{
	if (!process)
		return;
	process->ops = NULL;
	(void)uv_poll_stop(&process->pid_poll);
	(void)uv_timer_stop(&process->timer);
	if (process->ready_poll.data == process &&
	    !uv_is_closing((uv_handle_t *)&process->ready_poll))
		(void)uv_poll_stop(&process->ready_poll);
}

void process_forget(struct process *process)
{
	if (!process)
		return;
	process->ops = NULL;
	close_handle(process, &process->ready_poll);
	close_handle(process, &process->timer);
	close_handle(process, &process->pid_poll);
	if (process->handles == 0)
		free_process(process);
}

/* Nobody would watch it. */
static void undo_child(struct process *process, const struct process_child *child)
{
	(void)kill(child->pid, SIGKILL); /* it is a child that nobody waited for: still itself */
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	process_forget(process);
}

static int watch_child(struct process *process, uv_loop_t *loop, const struct process_child *child,
		       uint64_t timeout_ns, struct err *err)
{
	int ret = process_open_pidfd(child->pid);

	if (ret < 0)
		return err_set(err, ret, "watching a process: %s", strerror(-ret));
	process->pid_fd = ret;
	ret = process_identify(child->pid, &process->identity);
	if (ret < 0)
		return err_set(err, ret, "/proc/%ld/stat: %s", (long)child->pid, strerror(-ret));
	ret = watch(process, loop, err);
	return ret < 0 ? ret : listen_for_ready(process, loop, timeout_ns, err);
}

int process_spawn(uv_loop_t *loop, const struct process_start *start, const struct process_ops *ops,
		  void *ctx, struct process **ret_process, struct err *err)
{
	struct process *process = new_process(start->exit_path, ops, ctx);
	struct process_child child = { .ready_fd = -1 };
	int ret;

	if (!process)
		return err_set(err, -ENOMEM, "out of memory");
	(void)unlink(start->exit_path);
	ret = process_exec(start, &child, err);
	if (ret < 0) {
		process_forget(process);
		return ret;
	}
	process->is_child = true;
	process->ready_fd = child.ready_fd;
	ret = watch_child(process, loop, &child, start->start_timeout_ns, err);
	if (ret < 0) {
		undo_child(process, &child);
		return ret;
	}
	*ret_process = process;
	return 0;
}

/* W1 */
static int open_identified(struct process *process, const struct process_identity *wanted,
			   struct err *err)
{
	int ret = process_open_pidfd(wanted->pid);

	if (ret >= 0) {
		process->pid_fd = ret;
		ret = process_identify(wanted->pid, &process->identity);
	}
	if (ret == 0 && process->identity.start_ticks != wanted->start_ticks)
		ret = -ESRCH;
	if (ret == -ESRCH || ret == -EINVAL)
		return err_set(err, -ESRCH, "process %ld is gone", (long)wanted->pid);
	return ret < 0 ? err_set(err, ret, "process %ld: %s", (long)wanted->pid, strerror(-ret))
		       : 0;
}

int process_adopt(uv_loop_t *loop, const struct process_identity *identity, const char *exit_path,
		  const struct process_ops *ops, void *ctx, struct process **ret_process,
		  struct err *err)
{
	struct process *process = new_process(exit_path, ops, ctx);
	int ret;

	if (!process)
		return err_set(err, -ENOMEM, "out of memory");
	process->is_up = true;
	ret = open_identified(process, identity, err);
	if (ret == 0)
		ret = watch(process, loop, err);
	if (ret < 0) {
		process_forget(process);
		return ret;
	}
	*ret_process = process;
	return 0;
}

const struct process_identity *process_identity(const struct process *process)
{
	return &process->identity;
}

int process_signal(struct process *process, int signal)
{
	return syscall(SYS_pidfd_send_signal, process->pid_fd, signal, NULL, 0) < 0 ? -errno : 0;
}
