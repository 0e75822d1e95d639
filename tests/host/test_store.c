/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_store.c - the daemon's files: whole or not there (PR01-06), whatever is put in their place. */
#include "../support/scratch.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "host/store.h"

enum { KILLS = 40, LOADED_MAX = 64 };

static struct store *open_store(void)
{
	struct store *store = NULL;
	struct err err = { 0 };

	if (store_open(scratch_path("state"), scratch_path("run"), &store, &err) < 0)
		fail_msg("%s", err.text);
	return store;
}

static void assert_no_store(const char *state_dir, int code, const char *sentence)
{
	struct store *store = NULL;
	struct err err = { 0 };

	assert_int_equal(store_open(state_dir, scratch_path("run"), &store, &err), code);
	assert_null(store);
	if (!strstr(err.text, sentence))
		fail_msg("\"%s\" does not say \"%s\"", err.text, sentence);
}

struct loaded {
	unsigned count;
	char names[LOADED_MAX][64];
	long long numbers[LOADED_MAX]; /* member "n" */
	const char *refuse;	       /* this one */
};

static bool load_each(void *ctx, const char *name, const json_t *object, struct err *err)
{
	struct loaded *loaded = ctx;

	if (loaded->refuse && strcmp(loaded->refuse, name) == 0) {
		(void)err_set(err, -EINVAL, "is not to our taste");
		return false;
	}
	if (loaded->count < LOADED_MAX) {
		(void)snprintf(loaded->names[loaded->count], 64, "%s", name);
		loaded->numbers[loaded->count] = json_integer_value(json_object_get(object, "n"));
	}
	loaded->count++;
	return true;
}

static struct loaded load(struct store *store, enum store_shelf shelf)
{
	struct loaded loaded = { 0 };
	struct err err = { 0 };

	if (store_load(store, shelf, load_each, &loaded, &err) < 0)
		fail_msg("%s", err.text);
	return loaded;
}

static int put(struct store *store, enum store_shelf shelf, const char *name, int number,
	       struct err *err)
{
	json_t *object = json_pack("{s:i}", "n", number);
	int ret = store_write(store, shelf, name, object, err);

	json_decref(object);
	return ret;
}

static void assert_put(struct store *store, const char *name, int number)
{
	struct err err = { 0 };

	if (put(store, STORE_VMS, name, number, &err) < 0)
		fail_msg("%s", err.text);
}

/* The only sentence, or the @index-th, about what was set aside has @words. */
static void assert_told(struct store *store, size_t index, const char *words)
{
	json_t *told = store_set_aside(store);
	const char *sentence = json_string_value(json_array_get(told, index));

	if (!sentence || !strstr(sentence, words))
		fail_msg("\"%s\" does not say \"%s\"", sentence ? sentence : "(nothing)", words);
	json_decref(told);
}

static size_t told_count(struct store *store)
{
	json_t *told = store_set_aside(store);
	size_t count = json_array_size(told);

	json_decref(told);
	return count;
}

static void what_is_written_is_loaded_sorted_by_name(void **state)
{
	struct store *store = open_store();
	struct err err = { 0 };
	struct loaded loaded;

	(void)state;
	assert_put(store, "web", 1);
	assert_put(store, "db.2", 2);
	assert_put(store, "web", 3); /* instead of the first */
	assert_int_equal(put(store, STORE_RUNS, "other", 4, &err), 0);
	store_close(store);

	store = open_store();
	loaded = load(store, STORE_VMS);
	assert_int_equal(loaded.count, 2);
	assert_string_equal(loaded.names[0], "db.2");
	assert_string_equal(loaded.names[1], "web");
	assert_int_equal(loaded.numbers[1], 3);
	assert_int_equal(store_remove(store, STORE_VMS, "web", &err), 0);
	assert_int_equal(store_remove(store, STORE_VMS, "web", &err), 0); /* none is fine */
	assert_int_equal(load(store, STORE_VMS).count, 1);
	loaded = load(store, STORE_RUNS);
	assert_int_equal(loaded.count, 1);
	assert_string_equal(loaded.names[0], "other");
	assert_int_equal(told_count(store), 0);
	store_close(store);
}

static void files_and_directories_are_for_nobody_else(void **state)
{
	struct store *store = open_store();
	struct stat file;

	(void)state;
	assert_put(store, "web", 1);
	assert_int_equal(stat(scratch_path("state"), &file), 0);
	assert_int_equal(file.st_mode & 0777, 0700);
	assert_int_equal(stat(scratch_path("run/runs"), &file), 0);
	assert_int_equal(file.st_mode & 0777, 0700);
	assert_int_equal(stat(scratch_path("state/vms/web.json"), &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	store_close(store);
}

static void only_the_name_of_a_vm_is_a_name(void **state)
{
	static const char *const wrong[] = { "",
					     ".",
					     "..",
					     ".web",
					     "../web",
					     "a/b",
					     "a b",
					     "-x",
					     "a\nb",
					     "\xc3\xa4",
					     ("a123456789012345678901234567890123456789012345678901"
					      "234567890123") };
	struct store *store = open_store();
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(put(store, STORE_VMS, wrong[i], 1, &err), -EINVAL);
		assert_int_equal(store_remove(store, STORE_VMS, wrong[i], &err), -EINVAL);
	}
	assert_int_equal(load(store, STORE_VMS).count, 0);
	store_close(store);
}

static void a_second_daemon_is_refused_and_told_who_has_it(void **state)
{
	struct store *store = open_store();
	char sentence[64];

	(void)state;
	(void)snprintf(sentence, sizeof(sentence), "neapd (process %ld) has ", (long)getpid());
	assert_no_store(scratch_path("state"), -EBUSY, sentence);
	store_close(store);
	store_close(open_store()); /* and the lock goes with its owner */
}

static void the_lock_of_a_daemon_that_was_killed_is_no_lock(void **state)
{
	int pipe_fds[2];
	pid_t child;
	char byte;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		(void)open_store();
		(void)!write(pipe_fds[1], "x", 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	assert_no_store(scratch_path("state"), -EBUSY, "stop it first");
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	store_close(open_store());
	assert_int_equal(close(pipe_fds[0]) | close(pipe_fds[1]), 0);
}

static void a_directory_that_others_may_write_is_refused(void **state)
{
	(void)state;
	store_close(open_store());
	assert_int_equal(chmod(scratch_path("state"), 0770), 0);
	assert_no_store(scratch_path("state"), -EPERM, "may be written by others (mode 770)");
	assert_int_equal(chmod(scratch_path("state"), 0755), 0);
	assert_int_equal(chmod(scratch_path("state/vms"), 0777), 0);
	assert_no_store(scratch_path("state"), -EPERM, "vms may be written by others");
	assert_int_equal(chmod(scratch_path("state/vms"), 0700), 0);
	store_close(open_store());
	assert_int_equal(rmdir(scratch_path("state/vms")), 0);
	assert_int_equal(symlink("/tmp", scratch_path("state/vms")), 0);
	assert_no_store(scratch_path("state"), -ENOTDIR, "vms");
	assert_no_store("relative", -EINVAL, "not an absolute path");
	assert_no_store("", -EINVAL, "not an absolute path");
	if (chown(scratch_path("state"), 65534, 65534) == 0)
		assert_no_store(scratch_path("state"), -EPERM, "belongs to user 65534");
}

static void something_else_in_place_of_the_lock_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkdir(scratch_path("state"), 0700), 0);
	assert_int_equal(mkfifo(scratch_path("state/lock"), 0600), 0);
	assert_no_store(scratch_path("state"), -EINVAL, "lock is not a regular file");
	assert_int_equal(unlink(scratch_path("state/lock")), 0);
	scratch_write("elsewhere", "precious");
	assert_int_equal(symlink(scratch_path("elsewhere"), scratch_path("state/lock")), 0);
	assert_no_store(scratch_path("state"), -ELOOP, "lock");
	assert_string_equal(scratch_read("elsewhere"), "precious");
}

static void a_missing_parent_is_made_and_a_file_as_parent_refused(void **state)
{
	struct store *store = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(store_open(scratch_path("a/b/c"), scratch_path("r"), &store, &err), 0);
	store_close(store);
	assert_true(scratch_has("a/b/c/vms"));
	scratch_write("file", "x");
	assert_no_store(scratch_path("file/state"), -ENOTDIR, "file");
}

static void what_is_no_such_object_is_set_aside_and_the_rest_goes_on(void **state)
{
	static const char *const broken[] = {
		"",	   "{\"n\":1",		"{\"n\":1}{\"n\":2}", "[1]",
		"null",	   "{\"n\":1,\"n\":2}", "{\"n\":\"\xff\"}",   "{\"n\":1e999}",
		"\n\n{,}",
	};
	enum { COUNT = sizeof(broken) / sizeof(broken[0]) };
	struct store *store = open_store();
	char name[64];
	struct loaded loaded;

	(void)state;
	assert_put(store, "a-good", 7);
	assert_put(store, "z-good", 8);
	for (unsigned i = 0; i < COUNT; i++) {
		(void)snprintf(name, sizeof(name), "state/vms/m%u.json", i);
		scratch_write(name, broken[i]);
	}
	loaded = load(store, STORE_VMS);
	assert_int_equal(loaded.count, 2);
	assert_int_equal(loaded.numbers[0] + loaded.numbers[1], 15);
	assert_int_equal(told_count(store), COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		(void)snprintf(name, sizeof(name), "state/vms/m%u.json", i);
		assert_false(scratch_has(name));
		(void)snprintf(name, sizeof(name), "state/vms/m%u.json.broken-1", i);
		assert_string_equal(scratch_read(name), broken[i]);
		(void)snprintf(name, sizeof(name), "it is now m%u.json.broken-1", i);
		assert_told(store, i, name);
	}
	assert_told(store, 8, "m8.json: line 3: not JSON");
	assert_int_equal(load(store, STORE_VMS).count, 2); /* told once */
	assert_int_equal(told_count(store), COUNT);
	store_close(store);
}

static void what_the_reader_refuses_is_set_aside_with_its_reason(void **state)
{
	struct store *store = open_store();
	struct loaded loaded = { .refuse = "web" };
	struct err err = { 0 };

	(void)state;
	assert_put(store, "db", 1);
	for (unsigned round = 1; round <= 3; round++) {
		char name[64];

		assert_put(store, "web", 2);
		assert_int_equal(store_load(store, STORE_VMS, load_each, &loaded, &err), 0);
		(void)snprintf(name, sizeof(name), "state/vms/web.json.broken-%u", round);
		assert_true(scratch_has(name));
	}
	assert_int_equal(loaded.count, 3); /* db, three times */
	assert_told(store, 0, "web.json: is not to our taste; it is now web.json.broken-1");
	store_close(store);
	store = open_store(); /* a daemon that comes after */
	assert_int_equal(load(store, STORE_VMS).count, 1);
	assert_int_equal(told_count(store), 3);
	assert_told(store, 0, "state/vms/web.json.broken-");
	assert_told(store, 0, ": was set aside before; mend it");
	store_close(store);
}

static void links_fifos_directories_and_files_of_others_are_set_aside_unopened(void **state)
{
	struct store *store = open_store();

	(void)state;
	scratch_write("elsewhere", "{\"n\":1}");
	assert_int_equal(symlink(scratch_path("elsewhere"), scratch_path("state/vms/a.json")), 0);
	assert_int_equal(mkfifo(scratch_path("state/vms/b.json"), 0600), 0);
	assert_int_equal(mkdir(scratch_path("state/vms/c.json"), 0700), 0);
	scratch_write("state/vms/d.json", "{\"n\":1}");
	assert_int_equal(chmod(scratch_path("state/vms/d.json"), 0666), 0);
	assert_int_equal(load(store, STORE_VMS).count, 0);
	assert_told(store, 0, "a.json: is a symbolic link; it is now a.json.broken-1");
	assert_told(store, 1, "b.json: is not a regular file");
	assert_told(store, 2, "c.json: is not a regular file");
	assert_told(store, 3, "d.json: others may write it (mode 0666)");
	assert_string_equal(scratch_read("elsewhere"), "{\"n\":1}");
	scratch_write("state/vms/e.json", "{\"n\":1}");
	if (chown(scratch_path("state/vms/e.json"), 65534, 65534) == 0) {
		assert_int_equal(load(store, STORE_VMS).count, 0);
		assert_told(store, 4, "e.json: belongs to user 65534");
	}
	store_close(store);
}

static void a_link_or_fifo_in_place_is_replaced_and_not_followed(void **state)
{
	struct store *store = open_store();
	struct stat file;

	(void)state;
	scratch_write("elsewhere", "precious");
	assert_int_equal(symlink(scratch_path("elsewhere"), scratch_path("state/vms/a.json")), 0);
	assert_int_equal(mkfifo(scratch_path("state/vms/b.json"), 0600), 0);
	assert_int_equal(symlink(scratch_path("elsewhere"), scratch_path("state/vms/.c.json.new")),
			 0);
	assert_put(store, "a", 1);
	assert_put(store, "b", 2);
	assert_put(store, "c", 3);
	assert_string_equal(scratch_read("elsewhere"), "precious");
	assert_int_equal(lstat(scratch_path("state/vms/a.json"), &file), 0);
	assert_true(S_ISREG(file.st_mode));
	assert_int_equal(load(store, STORE_VMS).count, 3);
	store_close(store);
}

static void files_of_other_names_stay_and_left_overs_go(void **state)
{
	struct store *store = open_store();

	(void)state;
	scratch_write("state/vms/README", "ours");
	scratch_write("state/vms/.json", "?");
	scratch_write("state/vms/.hidden.json", "?");
	scratch_write("state/vms/a b.json", "{}");
	scratch_write("state/vms/.web.json.new", "{\"n\":");
	assert_int_equal(load(store, STORE_VMS).count, 0);
	assert_true(scratch_has("state/vms/README"));
	assert_true(scratch_has("state/vms/.json"));
	assert_true(scratch_has("state/vms/.hidden.json"));
	assert_true(scratch_has("state/vms/a b.json"));
	assert_false(scratch_has("state/vms/.web.json.new"));
	assert_int_equal(told_count(store), 1);
	assert_told(store, 0, "not the name of a VM");
	store_close(store);
}

static void a_hundred_thousand_files_are_neither_loaded_nor_told_in_full(void **state)
{
	enum { FILES = 100000 };
	struct store *store = open_store();
	struct loaded loaded = { 0 };
	struct err err = { 0 };
	int dir = open(scratch_path("state/vms"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	scratch_write("elsewhere", "{}");
	for (unsigned i = 0; i < FILES; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), i % 2 ? "v%u.json" : "v %u.json", i);
		if (i % 30000 == 0) { /* a file has so many names at most */
			(void)unlink(scratch_path("elsewhere"));
			scratch_write("elsewhere", "{}");
		}
		assert_int_equal(linkat(AT_FDCWD, scratch_path("elsewhere"), dir, name, 0), 0);
	}
	assert_int_equal(store_load(store, STORE_VMS, load_each, &loaded, &err), 0);
	assert_int_equal(loaded.count, STORE_OBJECTS_MAX);
	assert_int_equal(told_count(store), 65);
	assert_told(store, 64, "and ");
	assert_int_equal(close(dir), 0);
	store_close(store);
}

static void an_object_too_large_to_be_read_again_is_not_stored(void **state)
{
	struct store *store = open_store();
	json_t *object = json_object();
	char *text = malloc(1 << 20);
	struct err err = { 0 };

	(void)state;
	assert_put(store, "web", 5);
	memset(text, 'x', (1 << 20) - 1);
	text[(1 << 20) - 1] = '\0';
	assert_int_equal(json_object_set_new(object, "n", json_string(text)), 0);
	assert_int_equal(store_write(store, STORE_VMS, "web", object, &err), -EFBIG);
	assert_int_equal(load(store, STORE_VMS).numbers[0], 5);
	json_decref(object);
	free(text);
	store_close(store);
}

static void a_full_disk_leaves_the_old_file_whole_PR06(void **state)
{
	struct store *store;
	struct err err = { 0 };
	uint64_t first;

	(void)state;
	if (!scratch_mount("state", 64))
		test_skip_case("mounts nothing: not root");
	store = open_store();
	assert_put(store, "web", 1);
	assert_int_equal(store_take_numbers(store, 10, &first, &err), 0);
	scratch_fill("state/filler");
	assert_int_equal(put(store, STORE_VMS, "web", 2, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "vms/web.json: cannot write it: No space left"));
	assert_int_equal(put(store, STORE_VMS, "new", 2, &err), -ENOSPC);
	assert_int_equal(store_take_numbers(store, 10, &first, &err), -ENOSPC);
	assert_int_equal(load(store, STORE_VMS).count, 1);
	assert_int_equal(load(store, STORE_VMS).numbers[0], 1);
	assert_int_equal(told_count(store), 0);
	assert_int_equal(put(store, STORE_RUNS, "web", 2, &err), 0); /* another file system */
	store_close(store);
	store = open_store(); /* a daemon that starts now still finds its VMs */
	assert_int_equal(load(store, STORE_VMS).count, 1);
	assert_int_equal(unlink(scratch_path("state/filler")), 0);
	assert_put(store, "web", 2);
	assert_int_equal(store_take_numbers(store, 10, &first, &err), 0);
	assert_int_equal(first, 11);
	store_close(store);
	scratch_unmount("state");
}

static void a_read_only_disk_is_still_read_PR06(void **state)
{
	struct store *store;
	struct err err = { 0 };
	uint64_t first;

	(void)state;
	if (!scratch_mount("state", 64))
		test_skip_case("mounts nothing: not root");
	store = open_store();
	assert_put(store, "web", 1);
	scratch_write("state/vms/bad.json", "{");
	store_close(store);
	scratch_set_read_only("state", true);
	store = open_store();
	assert_no_store(scratch_path("state"), -EBUSY, "has ");
	assert_int_equal(load(store, STORE_VMS).count, 1);
	assert_told(store, 0, "it is passed over, and stays: Read-only file system");
	assert_int_equal(put(store, STORE_VMS, "web", 2, &err), -EROFS);
	assert_int_equal(store_remove(store, STORE_VMS, "web", &err), -EROFS);
	assert_int_equal(store_take_numbers(store, 1, &first, &err), -EROFS);
	assert_int_equal(load(store, STORE_VMS).numbers[0], 1);
	scratch_set_read_only("state", false);
	assert_put(store, "web", 2);
	store_close(store);
	scratch_unmount("state");
}

static void write_until_killed(void)
{
	struct store *store = open_store();

	for (int i = 1;; i++) {
		json_t *object = json_pack("{s:i,s:s}", "n", i, "check", i % 2 ? "odd" : "even");
		uint64_t first;

		(void)store_write(store, STORE_VMS, "web", object, NULL);
		(void)store_write(store, STORE_RUNS, "web", object, NULL);
		(void)store_take_numbers(store, 1, &first, NULL);
		json_decref(object);
	}
}

static bool is_whole(void *ctx, const char *name, const json_t *object, struct err *err)
{
	long long number = json_integer_value(json_object_get(object, "n"));
	const char *check = json_string_value(json_object_get(object, "check"));

	(void)ctx, (void)name, (void)err;
	assert_true(number > 0);
	assert_string_equal(check, number % 2 ? "odd" : "even");
	return true;
}

static void a_daemon_killed_at_any_instant_leaves_whole_files_PR01(void **state)
{
	struct test_random random = test_random_start();
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < KILLS; i++) {
		pid_t child = fork();
		struct store *store;
		struct err err = { 0 };
		uint64_t first;

		if (child == 0)
			write_until_killed();
		assert_int_equal(usleep((useconds_t)test_random_below(&random, 20000)), 0);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);
		store = open_store();
		assert_int_equal(store_load(store, STORE_VMS, is_whole, NULL, &err), 0);
		assert_int_equal(store_load(store, STORE_RUNS, is_whole, NULL, &err), 0);
		assert_int_equal(told_count(store), 0);
		assert_int_equal(store_take_numbers(store, 1, &first, &err), 0);
		assert_true(first > last);
		last = first;
		store_close(store);
	}
}

static void numbers_are_never_given_twice(void **state)
{
	struct store *store = open_store();
	struct err err = { 0 };
	uint64_t first, before;

	(void)state;
	assert_int_equal(store_take_numbers(store, 1000, &first, &err), 0);
	assert_int_equal(first, 1);
	assert_int_equal(store_take_numbers(store, 1, &first, &err), 0);
	assert_int_equal(first, 1001);
	store_close(store);
	store = open_store();
	assert_int_equal(store_take_numbers(store, 5, &before, &err), 0);
	assert_int_equal(before, 1002);
	store_close(store);

	for (unsigned i = 0; i < 3; i++) { /* nobody knows any more: far above all */
		static const char *const spoilt[] = { "", "12x\n", "99999999999999999999\n" };

		scratch_write("state/numbers", spoilt[i]);
		store = open_store();
		assert_int_equal(store_take_numbers(store, 5, &first, &err), 0);
		assert_true(first > before + (UINT64_C(1) << 40) || i > 0);
		assert_true(first > before && first < STORE_NUMBER_MAX);
		assert_told(store, 0, "numbers: is not a number; it is now numbers.broken-");
		before = first;
		store_close(store);
	}
	scratch_write("state/numbers", "9007199254740990\n");
	store = open_store();
	assert_int_equal(store_take_numbers(store, 5, &first, &err), -ERANGE);
	store_close(store);
}

static const char *log_of(unsigned number, const char *more)
{
	static char name[64];

	(void)snprintf(name, sizeof(name), "state/logs/v%u.log%s", number, more);
	return name;
}

static void a_million_forgotten_vms_leave_a_few_logs(void **state)
{
	enum { COUNT = STORE_RETIRED_LOGS + 10 };
	struct store *store = open_store();
	char name[32];

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		scratch_write(log_of(i, ""), "x");
		scratch_write(log_of(i, ".1"), "x");
		scratch_write(log_of(i, ".99"), "x");
		(void)snprintf(name, sizeof(name), "v%u", i);
		store_retire_log(store, name);
		if (i == 5)
			store_use_log(store, "v3"); /* it runs again */
	}
	for (unsigned i = 0; i < COUNT; i++) {
		bool stays = i >= 10 || i == 3;

		assert_int_equal(scratch_has(log_of(i, "")), stays);
		assert_int_equal(scratch_has(log_of(i, ".1")), stays);
		assert_int_equal(scratch_has(log_of(i, ".99")), stays);
	}
	for (unsigned i = 0; i < 3; i++)
		store_retire_log(store, "v73"); /* once, however often it came and went */
	assert_true(scratch_has(log_of(10, "")));
	store_retire_log(store, "new");
	assert_false(scratch_has(log_of(10, "")));
	store_remove_log(store, "v20");
	assert_false(scratch_has(log_of(20, ".1")));
	store_remove_log(store, "../vms/x"); /* is no name */
	store_close(store);
}

static bool is_v0_or_v1(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "v0") == 0 || strcmp(name, "v1") == 0;
}

static void logs_that_an_earlier_daemon_left_go_from_the_oldest_on(void **state)
{
	enum { COUNT = STORE_RETIRED_LOGS + 10 };
	struct store *store = open_store();

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		const struct timespec times[2] = { { .tv_sec = 1000 + i }, { .tv_sec = 1000 + i } };

		scratch_write(log_of(i, ""), "x");
		assert_int_equal(utimensat(AT_FDCWD, scratch_path(log_of(i, "")), times, 0), 0);
	}
	scratch_write("state/logs/precious.txt", "x");
	store_retire_unknown_logs(store, is_v0_or_v1, NULL);
	assert_true(scratch_has(log_of(0, "")) && scratch_has(log_of(1, "")));
	for (unsigned i = 2; i < COUNT; i++)
		assert_int_equal(scratch_has(log_of(i, "")), i >= 10);
	assert_true(scratch_has("state/logs/precious.txt"));
	store_close(store);
}

static void paths_of_a_vms_files_are_absolute(void **state)
{
	struct store *store = open_store();
	char path[STORE_PATH_BYTES];

	(void)state;
	store_path(store, STORE_FILE_LOG, "web", path);
	assert_string_equal(path, scratch_path("state/logs/web.log"));
	store_path(store, STORE_FILE_EXIT, "web", path);
	assert_string_equal(path, scratch_path("run/runs/web.exit"));
	store_close(store);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, scratch_make, scratch_remove)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		STORE_TEST(what_is_written_is_loaded_sorted_by_name),
		STORE_TEST(files_and_directories_are_for_nobody_else),
		STORE_TEST(only_the_name_of_a_vm_is_a_name),
		STORE_TEST(a_second_daemon_is_refused_and_told_who_has_it),
		STORE_TEST(the_lock_of_a_daemon_that_was_killed_is_no_lock),
		STORE_TEST(a_directory_that_others_may_write_is_refused),
		STORE_TEST(something_else_in_place_of_the_lock_is_refused),
		STORE_TEST(a_missing_parent_is_made_and_a_file_as_parent_refused),
		STORE_TEST(what_is_no_such_object_is_set_aside_and_the_rest_goes_on),
		STORE_TEST(what_the_reader_refuses_is_set_aside_with_its_reason),
		STORE_TEST(links_fifos_directories_and_files_of_others_are_set_aside_unopened),
		STORE_TEST(a_link_or_fifo_in_place_is_replaced_and_not_followed),
		STORE_TEST(files_of_other_names_stay_and_left_overs_go),
		STORE_TEST(a_hundred_thousand_files_are_neither_loaded_nor_told_in_full),
		STORE_TEST(an_object_too_large_to_be_read_again_is_not_stored),
		STORE_TEST(a_full_disk_leaves_the_old_file_whole_PR06),
		STORE_TEST(a_read_only_disk_is_still_read_PR06),
		STORE_TEST(a_daemon_killed_at_any_instant_leaves_whole_files_PR01),
		STORE_TEST(numbers_are_never_given_twice),
		STORE_TEST(a_million_forgotten_vms_leave_a_few_logs),
		STORE_TEST(logs_that_an_earlier_daemon_left_go_from_the_oldest_on),
		STORE_TEST(paths_of_a_vms_files_are_absolute),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
