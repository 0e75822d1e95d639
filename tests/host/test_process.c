/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_process.c - processes of VMs as their daemon sees them: each start, each end, each trick with
 * process ids, and what a child is given. The VMs are fake_run.c's.
 */
#include "../support/scratch.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "host/process.h"

enum { MANY = 100, PATIENCE_S = 30 };

struct seen {
	struct process *process;
	int ready_calls, ready_code, end_calls;
	char sentence[512];
	struct process_end end;
	bool forgets_when_ready;
};

static const char *program;
static uv_loop_t loop;

static void on_ready(void *ctx, int code, const char *sentence)
{
	struct seen *seen = ctx;

	assert_int_equal(seen->end_calls, 0);
	seen->ready_calls++;
	seen->ready_code = code;
	(void)snprintf(seen->sentence, sizeof(seen->sentence), "%s", sentence);
	if (seen->forgets_when_ready) {
		process_forget(seen->process);
		seen->process = NULL;
	}
}

static void on_end(void *ctx, const struct process_end *end)
{
	struct seen *seen = ctx;

	seen->end_calls++;
	seen->end = *end;
	process_forget(seen->process);
	seen->process = NULL;
}

static const struct process_ops ops = { on_ready, on_end };

static const char *file_of(const char *name, unsigned number, const char *what)
{
	char file[64];

	(void)snprintf(file, sizeof(file), "%s%u.%s", name, number, what);
	return scratch_path(file);
}

static int try_start(const char *name, unsigned number, uint64_t timeout_ns, struct seen *seen,
		     struct err *err)
{
	json_t *config = json_pack("{s:s, s:{s:s}}", "name", name, "memory", "maximum", "64M");
	const struct process_start start = { .neap_path = program,
					     .name = name,
					     .config = config,
					     .log_path = file_of(name, number, "log"),
					     .log_bytes = 65536,
					     .log_keep = 3,
					     .exit_path = file_of(name, number, "exit"),
					     .start_timeout_ns = timeout_ns };
	int ret = process_spawn(&loop, &start, &ops, seen, &seen->process, err);

	json_decref(config);
	return ret;
}

static void start(const char *name, struct seen *seen)
{
	struct err err = { 0 };

	if (try_start(name, 0, 0, seen, &err) < 0)
		fail_msg("%s", err.text);
}

static void on_patience(uv_timer_t *timer)
{
	fail_msg("nothing happened for %d s", PATIENCE_S);
	(void)timer;
}

/* Runs the loop until @counter is @wanted. */
static void until(const int *counter, int wanted)
{
	uv_timer_t timer;

	(void)uv_timer_init(&loop, &timer);
	(void)uv_timer_start(&timer, on_patience, PATIENCE_S * 1000, 0);
	while (*counter < wanted)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(*counter, wanted);
}

static unsigned open_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int make_loop(void **state)
{
	return scratch_make(state) || uv_loop_init(&loop);
}

/* Nothing of a process is left in the loop, and no child unwaited for. */
static int end_loop(void **state)
{
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return scratch_remove(state);
}

static void a_vm_that_runs_is_told_and_so_is_its_end(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	start("up", &seen);
	until(&seen.ready_calls, 1);
	assert_int_equal(seen.ready_code, 0);
	assert_int_equal(seen.end_calls, 0);
	assert_int_equal(process_signal(seen.process, SIGTERM), 0);
	until(&seen.end_calls, 1);
	assert_true(seen.end.has_exit_code);
	assert_int_equal(seen.end.exit_code, EXIT_CODE_KILLED);
	assert_int_equal(seen.end.signal, 0);
	assert_string_equal(seen.end.reason, "ended by signal 15 (Terminated)");
	assert_false(scratch_has("up0.exit")); /* it was read */
}

static void a_vm_that_ends_at_once_was_still_up_before(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	start("quick", &seen);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.ready_calls, 1);
	assert_int_equal(seen.ready_code, 0);
	assert_int_equal(seen.end.exit_code, EXIT_CODE_OK);
	assert_string_equal(seen.end.reason, "the guest powered off");
}

static void a_start_that_fails_gives_its_sentence_and_its_code(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	start("fail", &seen);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.ready_calls, 1);
	assert_int_equal(seen.ready_code, EXIT_CODE_HOST);
	assert_string_equal(seen.sentence, "this host has no room");
	assert_int_equal(seen.end.exit_code, EXIT_CODE_HOST);

	seen = (struct seen){ 0 };
	start("slow", &seen);
	until(&seen.end_calls, 1);
	assert_string_equal(seen.sentence, "in pieces");
}

static void one_that_says_nothing_and_ends_is_explained_by_its_status(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	start("wordless", &seen);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.ready_code, EXIT_CODE_USAGE);
	assert_non_null(strstr(seen.sentence, "it ended with status 2 (a wrong flag"));
	assert_string_equal(scratch_read("wordless0.log"), "a word before the end\n");
}

static void one_that_neither_comes_up_nor_ends_is_killed(void **state)
{
	struct seen seen = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(try_start("mute", 0, 1000 * NS_PER_MS, &seen, &err), 0);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.ready_calls, 1);
	assert_int_equal(seen.ready_code, EXIT_CODE_FAILED);
	assert_non_null(strstr(seen.sentence, "did not come up within 1 s"));
	assert_int_equal(seen.end.signal, SIGKILL);
	assert_false(seen.end.has_exit_code);
}

static void a_crash_is_the_signal_it_died_of(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	start("crash", &seen);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.ready_code, 0);
	assert_false(seen.end.has_exit_code);
	assert_int_equal(seen.end.signal, SIGABRT);
	assert_non_null(strstr(seen.end.reason, "signal 6"));
}

static void a_record_of_an_earlier_run_is_nobodys(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	scratch_write("crash0.exit", "{\"exit_code\": 0, \"reason\": \"long ago\", \"pid\": 1}");
	start("crash", &seen);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.end.signal, SIGABRT);

	seen = (struct seen){ 0 }; /* and one that turns up meanwhile */
	start("up", &seen);
	until(&seen.ready_calls, 1);
	scratch_write("up0.exit", "{\"exit_code\": 0, \"reason\": \"made up\", \"pid\": 1}");
	assert_int_equal(process_signal(seen.process, SIGKILL), 0);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.end.signal, SIGKILL);
	assert_false(scratch_has("up0.exit"));
}

static void a_child_is_given_what_it_needs_and_nothing_else(void **state)
{
	struct seen seen = { 0 };
	int leaked = open("/dev/null", O_RDONLY); /* not close-on-exec */
	sigset_t block, before;
	const char *log;

	(void)state;
	assert_true(leaked >= 0);
	assert_int_equal(setenv("LISTEN_FDS", "2", 1) | setenv("NOTIFY_SOCKET", "/x", 1) |
				 setenv("KEPT", "yes", 1),
			 0);
	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &block, &before);
	(void)signal(SIGPIPE, SIG_IGN);
	start("look", &seen);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	until(&seen.ready_calls, 1);
	log = scratch_read("look0.log");
	assert_non_null(strstr(log, "fd 0 /memfd:neap-vm.json"));
	assert_non_null(strstr(log, "fd 1 /tmp/neap-test-"));
	assert_non_null(strstr(log, "fd 2 /tmp/neap-test-"));
	assert_non_null(strstr(log, "fd 3 pipe:"));
	for (int fd = 4; fd < 64; fd++) {
		char line[16];

		(void)snprintf(line, sizeof(line), "fd %d /", fd);
		/* its own way to the exit record */
		assert_true(!strstr(log, line) || strstr(strstr(log, line), "/tmp/neap-test-"));
	}
	assert_null(strstr(log, "socket:"));
	assert_null(strstr(log, "anon_inode"));
	assert_null(strstr(log, "/dev/null"));
	assert_non_null(strstr(log, "config {\"name\":\"look\",\"memory\":{\"maximum\":\"64M\"}}"));
	assert_non_null(strstr(log, "log flags --log-size 65536 --log-keep 3\n"));
	assert_non_null(strstr(log, "session 1 group 1\n"));
	assert_non_null(strstr(log, "blocked 0 ignored 0\n"));
	assert_non_null(strstr(log, "cwd /\n"));
	assert_non_null(strstr(log, "variable KEPT=yes\n"));
	assert_null(strstr(log, "LISTEN_FDS"));
	assert_null(strstr(log, "NOTIFY_SOCKET"));
	assert_int_equal(process_signal(seen.process, SIGTERM), 0);
	until(&seen.end_calls, 1);
	assert_int_equal(close(leaked), 0);
}

static void a_program_that_is_not_there_is_an_error_and_no_process(void **state)
{
	const char *real = program;
	struct seen seen = { 0 };
	struct err err = { 0 };
	unsigned before = open_fds();

	(void)state;
	program = "/nonexistent/neap";
	assert_int_equal(try_start("up", 0, 0, &seen, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/neap cannot be started"));
	program = "/dev/null";
	assert_int_equal(try_start("up", 0, 0, &seen, &err), -EACCES);
	program = real;
	assert_null(seen.process);
	assert_int_equal(open_fds(), before);
}

static void a_vm_whose_log_cannot_be_is_started_without(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	assert_int_equal(mkdir(scratch_path("up0.log"), 0700), 0);
	start("up", &seen);
	until(&seen.ready_calls, 1);
	assert_int_equal(seen.ready_code, 0);
	assert_int_equal(process_signal(seen.process, SIGTERM), 0);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.end.exit_code, EXIT_CODE_KILLED);
}

/* PR04: each descriptor that a start needs is refused once. */
static void a_daemon_out_of_descriptors_starts_nothing_and_loses_nothing_PR04(void **state)
{
	unsigned before = open_fds();
	struct rlimit limit, tight;
	unsigned failures = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (unsigned room = 0; room < 24; room++) {
		struct seen seen = { 0 };
		struct err err = { 0 };
		int ret;

		tight = (struct rlimit){ before + room, limit.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		ret = try_start("quick", 0, 0, &seen, &err);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		if (ret == 0) {
			until(&seen.end_calls, 1);
		} else {
			failures++;
			assert_non_null(strstr(err.text, "Too many open files"));
			assert_int_equal(seen.ready_calls + seen.end_calls, 0);
		}
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		assert_int_equal(open_fds(), before);
	}
	assert_true(failures > 3 && failures < 24);
}

static void a_hundred_vms_come_and_go_and_leave_nothing(void **state)
{
	static struct seen seen[MANY];
	unsigned before = open_fds();
	uint64_t began_ns = clock_now_ns();

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < MANY; i++) {
		struct err err = { 0 };

		if (try_start("up", i, 0, &seen[i], &err) < 0)
			fail_msg("%s", err.text);
	}
	for (unsigned i = 0; i < MANY; i++)
		until(&seen[i].ready_calls, 1);
	print_message("%d starts in %llu ms\n", MANY,
		      (unsigned long long)((clock_now_ns() - began_ns) / NS_PER_MS));
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(process_signal(seen[i].process, i % 2 ? SIGTERM : SIGKILL), 0);
	for (unsigned i = 0; i < MANY; i++) {
		until(&seen[i].end_calls, 1);
		assert_int_equal(seen[i].end.has_exit_code, i % 2);
	}
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(open_fds(), before);
}

static void a_process_may_be_forgotten_from_its_own_callback(void **state)
{
	struct seen seen = { .forgets_when_ready = true };
	pid_t pid;

	(void)state;
	start("up", &seen);
	pid = process_identity(seen.process)->pid;
	until(&seen.ready_calls, 1);
	assert_null(seen.process);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid); /* nobody watches it any more */
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(seen.end_calls, 0);
}

static void forgetting_leaves_the_process_alone(void **state)
{
	struct seen seen = { 0 };
	pid_t pid;

	(void)state;
	start("up", &seen);
	until(&seen.ready_calls, 1);
	pid = process_identity(seen.process)->pid;
	process_forget(seen.process);
	process_forget(NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* --- adoption -------------------------------------------------------------------------------------- */

/* A daemon of its own, killed once its VM runs: its orphan's identity. */
static struct process_identity orphan(const char *name)
{
	struct process_identity identity = { 0 };
	int pipe_fds[2];
	pid_t child;

	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		struct seen seen = { 0 };

		(void)uv_loop_init(&loop); /* the parent's is not for us */
		start(name, &seen);
		until(&seen.ready_calls, 1);
		(void)!write(pipe_fds[1], process_identity(seen.process), sizeof(identity));
		pause();
		_exit(0);
	}
	assert_int_equal(read(pipe_fds[0], &identity, sizeof(identity)), sizeof(identity));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(close(pipe_fds[0]) | close(pipe_fds[1]), 0);
	return identity;
}

static void a_vm_outlives_its_daemon_and_is_adopted_by_the_next(void **state)
{
	struct process_identity identity = orphan("up"), again;
	struct seen seen = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(process_identify(identity.pid, &again), 0);
	assert_int_equal(again.start_ticks, identity.start_ticks);
	assert_int_equal(process_adopt(&loop, &identity, scratch_path("up0.exit"), &ops, &seen,
				       &seen.process, &err),
			 0);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(seen.end_calls, 0);
	assert_int_equal(process_signal(seen.process, SIGTERM), 0);
	until(&seen.end_calls, 1);
	assert_int_equal(seen.ready_calls, 0);
	assert_int_equal(seen.end.exit_code, EXIT_CODE_KILLED);
	assert_string_equal(seen.end.reason, "ended by signal 15 (Terminated)");
}

static void an_adopted_vm_that_is_killed_left_no_word(void **state)
{
	struct process_identity identity = orphan("up");
	struct seen seen = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(process_adopt(&loop, &identity, scratch_path("up0.exit"), &ops, &seen,
				       &seen.process, &err),
			 0);
	assert_int_equal(process_signal(seen.process, SIGKILL), 0);
	until(&seen.end_calls, 1);
	assert_false(seen.end.has_exit_code);
	assert_int_equal(seen.end.signal, 0);
	assert_non_null(strstr(seen.end.reason, "left no word"));
}

static void an_end_that_nobody_saw_is_in_its_record(void **state)
{
	struct process_identity identity = orphan("up");
	struct process_end end;

	(void)state;
	assert_int_equal(kill(identity.pid, SIGTERM), 0);
	while (!scratch_has("up0.exit"))
		(void)usleep(1000);
	assert_true(process_read_exit(scratch_path("up0.exit"), &end));
	assert_int_equal(end.exit_code, EXIT_CODE_KILLED);
	assert_false(process_read_exit(scratch_path("up0.exit"), &end));
}

static void another_process_of_that_pid_is_not_adopted(void **state)
{
	struct process_identity identity = { 0 };
	struct process *process = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(process_identify(getpid(), &identity), 0);
	identity.start_ticks--; /* it had the pid before us */
	assert_int_equal(process_adopt(&loop, &identity, "/x", &ops, NULL, &process, &err), -ESRCH);
	assert_non_null(strstr(err.text, "is gone"));
	identity.pid = 0;
	assert_int_equal(process_adopt(&loop, &identity, "/x", &ops, NULL, &process, &err), -ESRCH);
	identity.pid = -1;
	assert_int_equal(process_adopt(&loop, &identity, "/x", &ops, NULL, &process, &err), -ESRCH);
	assert_null(process);
	assert_int_equal(process_identify(0, &identity), -ESRCH);
	assert_int_equal(process_identify(-1, &identity), -ESRCH);
}

static void a_pid_that_is_free_is_nobody(void **state)
{
	struct process_identity identity;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(process_identify(child, &identity), -ESRCH);
}

/* The name of a process may look like the rest of the line. */
static void a_process_that_lies_in_its_name_is_still_known(void **state)
{
	struct process_identity honest, liar;
	int pipe_fds[2];
	pid_t child;
	char byte;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		int fd = open("/proc/self/comm", O_WRONLY);

		(void)!write(fd, ") R 1 1 1 1 1 1", 15);
		(void)!write(pipe_fds[1], "x", 1);
		pause();
		_exit(0);
	}
	assert_int_equal(process_identify(child, &honest), 0);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	assert_int_equal(process_identify(child, &liar), 0);
	assert_int_equal(liar.start_ticks, honest.start_ticks);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(close(pipe_fds[0]) | close(pipe_fds[1]), 0);
}

static void a_record_that_is_none_is_passed_over_and_goes(void **state)
{
	static const char *const wrong[] = { "",
					     "{}",
					     "{\"exit_code\": -1}",
					     "{\"exit_code\": 256}",
					     "{\"exit_code\": \"0\"}",
					     "[]",
					     "{\"exit_code\": 1" };
	struct process_end end;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		scratch_write("x.exit", wrong[i]);
		assert_false(process_read_exit(scratch_path("x.exit"), &end));
		assert_false(scratch_has("x.exit"));
	}
	scratch_write("x.exit", "{\"exit_code\": 6}"); /* a reason is made up */
	assert_true(process_read_exit(scratch_path("x.exit"), &end));
	assert_non_null(strstr(end.reason, "the guest crashed"));
	assert_int_equal(symlink("/etc/passwd", scratch_path("x.exit")), 0);
	assert_false(process_read_exit(scratch_path("x.exit"), &end));
}

#define PROCESS_TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, end_loop)

int main(int argc, char *argv[])
{
	static const struct CMUnitTest tests[] = {
		PROCESS_TEST(a_vm_that_runs_is_told_and_so_is_its_end),
		PROCESS_TEST(a_vm_that_ends_at_once_was_still_up_before),
		PROCESS_TEST(a_start_that_fails_gives_its_sentence_and_its_code),
		PROCESS_TEST(one_that_says_nothing_and_ends_is_explained_by_its_status),
		PROCESS_TEST(one_that_neither_comes_up_nor_ends_is_killed),
		PROCESS_TEST(a_crash_is_the_signal_it_died_of),
		PROCESS_TEST(a_record_of_an_earlier_run_is_nobodys),
		PROCESS_TEST(a_child_is_given_what_it_needs_and_nothing_else),
		PROCESS_TEST(a_program_that_is_not_there_is_an_error_and_no_process),
		PROCESS_TEST(a_vm_whose_log_cannot_be_is_started_without),
		PROCESS_TEST(a_daemon_out_of_descriptors_starts_nothing_and_loses_nothing_PR04),
		PROCESS_TEST(a_hundred_vms_come_and_go_and_leave_nothing),
		PROCESS_TEST(a_process_may_be_forgotten_from_its_own_callback),
		PROCESS_TEST(forgetting_leaves_the_process_alone),
		PROCESS_TEST(a_vm_outlives_its_daemon_and_is_adopted_by_the_next),
		PROCESS_TEST(an_adopted_vm_that_is_killed_left_no_word),
		PROCESS_TEST(an_end_that_nobody_saw_is_in_its_record),
		PROCESS_TEST(another_process_of_that_pid_is_not_adopted),
		PROCESS_TEST(a_pid_that_is_free_is_nobody),
		PROCESS_TEST(a_process_that_lies_in_its_name_is_still_known),
		PROCESS_TEST(a_record_that_is_none_is_passed_over_and_goes),
	};

	program = argc > 1 ? argv[1] : "fake-run"; /* its path, absolute */
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
