/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_log_file.c - a log that stays small, whatever is written into it and whoever is in the way
 * (PR06). Each case is a child of its own, since descriptors 1 and 2 are exchanged.
 */
#include "../support/scratch.h"

#include <pthread.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/log_file.h"

enum { THREADS = 4, LINES_EACH = 2000, LEAST = 4096, LINE_MOST = 1024 };

static void start(const char *name, uint64_t bytes_max, unsigned keep)
{
	struct err err = { 0 };

	if (log_file_start(&(struct log_file_config){ scratch_path(name), bytes_max, keep }, &err))
		_exit(99);
}

/* The exit status of a child that did @work; 99: it could not even log. */
static int in_child(void (*work)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		work();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void say_to_the_journal(void)
{
	char stream[64];
	struct stat st;

	if (!freopen(scratch_path("journal"), "w", stderr) || fstat(STDERR_FILENO, &st) < 0)
		_exit(99);
	(void)setenv("JOURNAL_STREAM", "1:1", 1);
	log_find_journal();
	log_warn("area", "to somebody else");
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino);
	(void)setenv("JOURNAL_STREAM", stream, 1);
	log_find_journal();
	log_warn("area", "to the journal");
}

static void the_journal_gets_a_level_and_no_name(void **state)
{
	char text[128] = "";

	(void)state;
	assert_int_equal(in_child(say_to_the_journal), 0);
	FILE *file = fopen(scratch_path("journal"), "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	(void)fclose(file);
	assert_string_equal(text, "neap: warning: area: to somebody else\n"
				  "<4>area: to the journal\n");
}

static off_t size_of(const char *name)
{
	struct stat file;

	return stat(scratch_path(name), &file) == 0 ? file.st_size : -1;
}

static void say_much(void)
{
	start("log", LEAST, 2);
	for (unsigned i = 0; i < 1000; i++)
		log_warn("test", "line %u", i);
}

static void the_log_and_its_predecessors_stay_small_PR06(void **state)
{
	(void)state;
	assert_int_equal(in_child(say_much), 0);
	assert_true(size_of("log") >= 0 && size_of("log") <= LEAST + LINE_MOST);
	assert_true(size_of("log.1") >= LEAST && size_of("log.1") <= LEAST + LINE_MOST);
	assert_true(size_of("log.2") >= LEAST && size_of("log.2") <= LEAST + LINE_MOST);
	assert_int_equal(size_of("log.3"), -1);
	assert_int_equal(size_of("log.0"), -1);
	assert_non_null(strstr(scratch_read("log"), "line 999\n"));
}

static void *say_lines(void *arg)
{
	for (unsigned i = 0; i < LINES_EACH; i++)
		log_warn("test", "thread %c line %05u.", *(const char *)arg, i);
	return NULL;
}

static void say_together(void)
{
	static const char names[THREADS] = "abcd";
	pthread_t threads[THREADS];

	start("log", 8 * LEAST, LOG_FILE_KEEP_MOST);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, say_lines, (void *)(uintptr_t)&names[i]))
			_exit(98);
	for (unsigned i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
}

static unsigned count_lines(const char *name)
{
	unsigned count = 0;
	const char *text = scratch_read(name);

	for (const char *line = text; line && *line; line = strchr(line, '\n') + 1, count++) {
		const char *end = strchr(line, '\n');

		assert_non_null(end);
		assert_true(end[-1] == '.' && end - line > 40); /* whole */
	}
	return count;
}

static void no_line_of_any_thread_is_lost_or_cut(void **state)
{
	unsigned count = 0;
	char name[32];

	(void)state;
	assert_int_equal(in_child(say_together), 0);
	assert_true(size_of("log.1") > 0);
	for (unsigned i = 0; i <= LOG_FILE_KEEP_MOST; i++) {
		(void)snprintf(name, sizeof(name), i ? "log.%u" : "log", i);
		count += count_lines(name);
	}
	assert_int_equal(count, THREADS * LINES_EACH);
}

static void what_libraries_print_lands_in_the_log_of_today(void **state)
{
	(void)state;
	assert_int_equal(in_child(say_much), 0);
	assert_true(fork() > 0 || (start("log", LEAST, 2), puts("from stdout"), fflush(stdout),
				   fputs("from stderr\n", stderr), _exit(0), 0));
	assert_true(wait(NULL) > 0);
	assert_non_null(strstr(scratch_read("log"), "from stdout\n"));
	assert_non_null(strstr(scratch_read("log"), "from stderr\n"));
}

static void say_with_none_kept(void)
{
	start("log", LEAST, 0);
	for (unsigned i = 0; i < 200; i++)
		log_warn("test", "line %u", i);
}

static void none_need_be_kept_and_what_an_earlier_run_kept_goes(void **state)
{
	(void)state;
	assert_int_equal(in_child(say_much), 0);
	assert_int_equal(in_child(say_with_none_kept), 0);
	assert_true(size_of("log") <= LEAST + LINE_MOST);
	assert_int_equal(size_of("log.1"), -1);
	assert_int_equal(size_of("log.2"), -1);
}

static void what_a_rotation_cut_short_left_goes_too(void **state)
{
	(void)state;
	assert_int_equal(in_child(say_much), 0);
	assert_int_equal(unlink(scratch_path("log.1")), 0);
	assert_int_equal(in_child(say_with_none_kept), 0);
	assert_int_equal(size_of("log.2"), -1);
}

static void say_in_the_way(void)
{
	say_much();
	if (mkdir(scratch_path("log.0"), 0700) < 0) /* no new file can be made */
		_exit(97);
	for (unsigned i = 1000; i < 2000; i++)
		log_warn("test", "line %u", i);
}

static void a_log_that_cannot_be_followed_is_emptied(void **state)
{
	(void)state;
	assert_int_equal(in_child(say_in_the_way), 0);
	assert_true(size_of("log") <= LEAST + LINE_MOST);
	assert_non_null(strstr(scratch_read("log"), "line 1999\n"));
}

static void say_on_a_full_disk(void)
{
	start("full/log", LEAST, 2);
	log_warn("test", "before");
	scratch_fill("full/filler");
	for (unsigned i = 0; i < 5000; i++)
		log_warn("test", "nobody will read this %u", i);
	if (unlink(scratch_path("full/filler")) < 0)
		_exit(97);
	log_warn("test", "after");
}

static void a_full_disk_costs_lines_and_nothing_else_PR06(void **state)
{
	(void)state;
	if (!scratch_mount("full", 64))
		test_skip_case("mounts nothing: not root");
	assert_int_equal(in_child(say_on_a_full_disk), 0);
	assert_non_null(strstr(scratch_read("full/log"), "test: after\n"));
	scratch_unmount("full");
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, scratch_make, scratch_remove)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LOG_TEST(the_journal_gets_a_level_and_no_name),
		LOG_TEST(the_log_and_its_predecessors_stay_small_PR06),
		LOG_TEST(no_line_of_any_thread_is_lost_or_cut),
		LOG_TEST(what_libraries_print_lands_in_the_log_of_today),
		LOG_TEST(none_need_be_kept_and_what_an_earlier_run_kept_goes),
		LOG_TEST(what_a_rotation_cut_short_left_goes_too),
		LOG_TEST(a_log_that_cannot_be_followed_is_emptied),
		LOG_TEST(a_full_disk_costs_lines_and_nothing_else_PR06),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
