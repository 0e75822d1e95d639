/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_config.c - vm.json: defaults, every kind of mistake with its line, hostile files
 * (CF01-CF03), and that what is written is read back to the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "config/options.h"
#include "memory/layout.h"

static char directory[] = "/tmp/neap-test-config-XXXXXX";

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char command[sizeof(directory) + 16];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

static const char *path_of(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
	const char *path = path_of(name);
	FILE *file;

	(void)unlink(path);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static int load_text(const char *text, struct err *err)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	int ret;

	vm_config_init(&config);
	ret = vm_config_load_text(&config, "vm.json", "/base", text, strlen(text), err);
	return ret < 0 ? ret : vm_config_check(&config, err);
}

/* The text is refused and the sentence is exactly @sentence. */
static void assert_refused(const char *text, const char *sentence)
{
	struct err err = { 0 };

	assert_true(load_text(text, &err) < 0);
	assert_string_equal(err.text, sentence);
}

static void assert_refused_at(const char *text, const char *place)
{
	struct err err = { 0 };

	if (load_text(text, &err) == 0)
		fail_msg("accepted: %s", text);
	if (strncmp(err.text, place, strlen(place)) != 0)
		fail_msg("%s: not at %s: %s", text, place, err.text);
}

static void the_defaults_are_a_valid_vm(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };

	(void)state;
	vm_config_init(&config);
	assert_int_equal(vm_config_check(&config, &err), 0);
	assert_int_equal(config.cpus, 1);
	assert_int_equal(config.memory.maximum_bytes, 512 * MIB_BYTES);
	assert_int_equal(config.memory.pages, VM_PAGES_2M);
	assert_true(config.balloon.enabled);
	assert_true(config.balloon.free_page_reporting);
	assert_int_equal(config.on_reset, VM_ON_RESET_RESTART);
	assert_int_equal(config.on_crash, VM_ON_RESET_STOP);
	assert_null(config.boot.kernel_path);
	assert_int_equal(strlen(config.uuid), 36);
	assert_memory_equal(config.name, "vm-", 3);
	assert_memory_equal(config.name + 3, config.uuid, 6);
}

static void two_vms_get_different_names(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config a;
	CLEANUP(vm_config_fini)
	struct vm_config b;

	(void)state;
	vm_config_init(&a);
	vm_config_init(&b);
	assert_string_not_equal(a.name, b.name);
	assert_string_not_equal(a.uuid, b.uuid);
}

static void every_default_obeys_its_own_row(void **state)
{
	const struct option_row *rows;
	size_t count;

	(void)state;
	rows = option_table(&count);
	for (size_t i = 0; i < count; i++) {
		CLEANUP(vm_config_fini)
		struct vm_config config = { 0 };
		struct err err = { 0 };

		assert_true(rows[i].default_text || rows[i].default_words);
		if (rows[i].default_text &&
		    option_set_text(&config, &rows[i], rows[i].default_text, NULL, &err) < 0)
			fail_msg("%s: %s", rows[i].key, err.text);
	}
}

static void the_largest_memory_is_what_the_layout_holds(void **state)
{
	const struct option_row *row = option_by_key("memory.maximum", strlen("memory.maximum"));

	(void)state;
	assert_non_null(row);
	assert_true(row->max == RAM_MAX_BYTES);
}

static void a_whole_file_is_read(void **state)
{
	static const char text[] =
		"{ \"name\": \"web\", \"uuid\": \"123E4567-E89B-42D3-A456-426614174000\", "
		"\"cpus\": 4,\n"
		"  \"memory\": { \"maximum\": \"4G\", \"pages\": \"4K\", \"reserve\": true },\n"
		"  \"boot\": { \"kernel\": \"vmlinuz\", \"initrd\": \"/abs/initrd\", \"cmdline\": "
		"\"a=b\" },\n"
		"  \"balloon\": { \"enabled\": true, \"size\": 1073741824, \"stats_period\": 0,\n"
		"    \"free_page_reporting\": false, \"deflate_on_oom\": false, "
		"\"must_tell_host\": false },\n"
		"  \"console\": \"virtio\", \"on_reset\": \"stop\", \"on_crash\": \"restart\", "
		"\"rng\": false }\n";
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };

	(void)state;
	vm_config_init(&config);
	if (vm_config_load_text(&config, "vm.json", "/base", text, strlen(text), &err) < 0 ||
	    vm_config_check(&config, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(config.name, "web");
	assert_string_equal(config.uuid, "123e4567-e89b-42d3-a456-426614174000");
	assert_int_equal(config.cpus, 4);
	assert_true(config.memory.maximum_bytes == 4 * GIB_BYTES);
	assert_int_equal(config.memory.pages, VM_PAGES_4K);
	assert_true(config.memory.reserve);
	assert_string_equal(config.boot.kernel_path, "/base/vmlinuz");
	assert_string_equal(config.boot.initrd_path, "/abs/initrd");
	assert_string_equal(config.boot.cmdline, "a=b");
	assert_true(config.balloon.target_bytes == GIB_BYTES);
	assert_int_equal(config.balloon.stats_period_s, 0);
	assert_false(config.balloon.free_page_reporting);
	assert_false(config.balloon.deflate_on_oom);
	assert_false(config.balloon.must_tell_host);
	assert_int_equal(config.console, VM_CONSOLE_VIRTIO);
	assert_int_equal(config.on_reset, VM_ON_RESET_STOP);
	assert_int_equal(config.on_crash, VM_ON_RESET_RESTART);
	assert_false(config.rng);
}

static void what_the_file_does_not_mention_stays(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	char name[VM_NAME_BYTES];

	(void)state;
	vm_config_init(&config);
	memcpy(name, config.name, sizeof(name));
	assert_int_equal(vm_config_load_text(&config, "f", NULL, "{\"cpus\":2}", 10, NULL), 0);
	assert_int_equal(config.cpus, 2);
	assert_string_equal(config.name, name);
	assert_int_equal(config.memory.maximum_bytes, 512 * MIB_BYTES);
}

static void a_truncated_file_is_refused_with_a_line_CF01(void **state)
{
	static const char text[] =
		"{\n \"name\": \"a\",\n \"memory\": {\n  \"maximum\": \"1G\"\n }\n}";

	(void)state;
	assert_int_equal(load_text(text, NULL), 0);
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		CLEANUP(free_text)
		char *prefix = strndup(text, len);

		assert_refused_at(prefix, "vm.json:");
	}
	assert_refused_at("{\n \"memory\": {\n", "vm.json:3: not JSON: ");
}

static void duplicate_keys_are_refused_with_their_line_CF01(void **state)
{
	(void)state;
	assert_refused_at("{\n \"cpus\": 1,\n \"rng\": true,\n \"cpus\": 1\n}", "vm.json:4: ");
	assert_refused_at("{\n \"memory\": {\n  \"maximum\": \"1G\",\n  \"maximum\": \"2G\" }\n}",
			  "vm.json:4: ");
	assert_refused_at("{\n \"memory\": {},\n \"memory\": {}\n}", "vm.json:3: ");
}

static void unknown_keys_are_refused_with_the_right_one_CF01(void **state)
{
	(void)state;
	assert_refused("{\n \"cpu\": 1 }", "vm.json:2: unknown key \"cpu\"; did you mean cpus?");
	assert_refused("{\n \"memroy\":\n {} }",
		       "vm.json:2: unknown key \"memroy\"; did you mean memory?");
	assert_refused("{ \"memory\": {\n\n \"maximun\": 1 } }",
		       "vm.json:3: unknown key \"maximun\"; did you mean maximum?");
	assert_refused(
		"{ \"kernel\": \"x\" }",
		"vm.json:1: unknown key \"kernel\"; it belongs in \"boot\": {\"kernel\": ...}");
	assert_refused("{ \"memory.pages\": \"4K\" }",
		       "vm.json:1: unknown key \"memory.pages\"; it belongs in \"memory\": "
		       "{\"pages\": ...}");
	assert_refused("{ \"boot\": { \"cpus\": 1 } }",
		       "vm.json:1: unknown key \"cpus\"; it belongs at the top");
	assert_refused("{ \"frobnicate\": 1 }", "vm.json:1: unknown key \"frobnicate\"");
	assert_refused("{ \"\": 1 }", "vm.json:1: unknown key \"\"");
	assert_refused("{\n\n \"\\u001b[2J\": 1 }", "vm.json:3: unknown key \"?[2J\"");
}

static void the_line_is_that_of_the_right_key_among_equal_names(void **state)
{
	(void)state;
	assert_refused_at("{ \"name\": \"enabled\",\n \"memory\": { \"reserve\": true },\n"
			  " \"balloon\": {\n  \"size\": 0,\n  \"\\u0065nabled\": 1 } }",
			  "vm.json:5: balloon.enabled: ");
	assert_refused_at("{ \"boot\": { \"cmdline\": \"\\\"memory\\\": {\" },\n \"memory\":\n 1 }",
			  "vm.json:2: memory: must be an object");
}

static void memory_sizes_that_cannot_be_are_refused_CF02(void **state)
{
	(void)state;
	assert_refused("{\n \"memory\": {\n \"maximum\": \"1M\" } }",
		       "vm.json:3: memory.maximum: must be from 16M to 1023G");
	assert_refused_at("{ \"memory\": { \"maximum\": 9223372036854775807 } }",
			  "vm.json:1: memory.maximum: must be");
	assert_refused_at("{\n \"memory\": { \"maximum\": 9223372036854775808 } }",
			  "vm.json:2: not JSON: ");
	assert_refused_at("{ \"memory\": { \"maximum\": \"8388608T\" } }",
			  "vm.json:1: memory.maximum: must be");
	assert_refused_at("{ \"memory\": { \"maximum\": \"99999999999999999999\" } }",
			  "vm.json:1: memory.maximum: must be");
	assert_refused("{ \"memory\": { \"maximum\": \"513M\" } }",
		       "memory.maximum: 513M is not a multiple of the 2 MiB pages behind it; use "
		       "512M or 514M");
	assert_refused_at("{ \"memory\": { \"maximum\": 16777217, \"pages\": \"4K\" } }",
			  "memory.maximum: 16777217 is not");
	assert_refused("{ \"memory\": { \"maximum\": -1 } }",
		       "vm.json:1: memory.maximum: must not be negative");
	assert_refused_at("{ \"memory\": { \"maximum\": 1e9 } }",
			  "vm.json:1: memory.maximum: must be a size");
	assert_refused_at("{ \"memory\": { \"maximum\": null } }",
			  "vm.json:1: memory.maximum: must be a size");
	assert_refused_at("{ \"memory\": { \"maximum\": \"\" } }",
			  "vm.json:1: memory.maximum: \"\" is not a size");
	assert_refused_at("{ \"memory\": { \"maximum\": \"-1G\" } }",
			  "vm.json:1: memory.maximum: \"-1G\" is not a size");
	assert_refused_at("{ \"memory\": { \"maximum\": \"1.5G\" } }",
			  "vm.json:1: memory.maximum: \"1.5G\" is not");
	assert_int_equal(
		load_text("{ \"memory\": { \"maximum\": \"513M\", \"pages\": \"4K\" } }", NULL), 0);
	assert_int_equal(load_text("{ \"memory\": { \"maximum\": \"16M\" } }", NULL), 0);
	assert_int_equal(load_text("{ \"memory\": { \"maximum\": \"1023G\" } }", NULL), 0);
}

static void cpu_counts_that_cannot_be_are_refused_CF02(void **state)
{
	(void)state;
	assert_refused("{\n\"cpus\": 0 }", "vm.json:2: cpus: must be from 1 to 1024");
	assert_refused("{ \"cpus\": 1025 }", "vm.json:1: cpus: must be from 1 to 1024");
	assert_refused("{ \"cpus\": -1 }", "vm.json:1: cpus: must not be negative");
	assert_refused("{ \"cpus\": 4294967297 }", "vm.json:1: cpus: must be from 1 to 1024");
	assert_refused("{ \"cpus\": \"2\" }", "vm.json:1: cpus: must be an integer");
	assert_refused("{ \"cpus\": 2.0 }", "vm.json:1: cpus: must be an integer");
	assert_refused("{ \"cpus\": true }", "vm.json:1: cpus: must be an integer");
	assert_int_equal(load_text("{ \"cpus\": 1024 }", NULL), 0);
}

static void wrong_types_are_refused_with_their_line(void **state)
{
	(void)state;
	assert_refused("[]", "vm.json:1: must be a JSON object: {...}");
	assert_refused("\"text\"", "vm.json:1: must be a JSON object: {...}");
	assert_refused("{ \"rng\":\n 1 }", "vm.json:1: rng: must be true or false");
	assert_refused("{ \"rng\": \"on\" }", "vm.json:1: rng: must be true or false");
	assert_refused("{ \"name\": 7 }", "vm.json:1: name: must be a string");
	assert_refused("{ \"memory\": \"2G\" }", "vm.json:1: memory: must be an object");
	assert_refused("{ \"boot\": [] }", "vm.json:1: boot: must be an object");
	assert_refused("{ \"name\": {} }", "vm.json:1: name: must be a string");
	assert_refused("{ \"console\": \"tty\" }",
		       "vm.json:1: console: \"tty\" is not one of serial|virtio");
	assert_refused("{ \"memory\": { \"pages\": \"1G\" } }",
		       "vm.json:1: memory.pages: \"1G\" is not one of 2M|4K");
	assert_refused_at("{} {}", "vm.json:1: not JSON: ");
	assert_refused_at("{ // comment\n}", "vm.json:1: not JSON: ");
}

static void names_uuids_paths_and_texts_are_checked(void **state)
{
	CLEANUP(free_text)
	char *text = NULL;
	struct err err = { 0 };

	(void)state;
	assert_refused_at("{ \"name\": \"\" }", "vm.json:1: name: \"\" is not a name");
	assert_refused_at("{ \"name\": \"../x\" }", "vm.json:1: name: \"../x\" is not a name");
	assert_refused_at("{ \"name\": \".hidden\" }", "vm.json:1: name: ");
	assert_refused_at("{ \"name\": \"a/b\" }", "vm.json:1: name: ");
	assert_refused_at("{ \"name\": \"-a\" }", "vm.json:1: name: ");
	assert_refused_at("{ \"name\": \"caf\xc3\xa9\" }", "vm.json:1: name: \"caf??\"");
	assert_refused("{ \"name\": "
		       "\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\" }",
		       "vm.json:1: name: longer than 63 bytes");
	assert_refused_at("{ \"uuid\": \"123\" }", "vm.json:1: uuid: \"123\" is not a UUID");
	assert_refused_at("{ \"uuid\": \"123e4567e89b42d3a456426614174000\" }",
			  "vm.json:1: uuid: ");
	assert_refused_at("{ \"uuid\": \"123e4567-e89b-42d3-a456-42661417400g\" }",
			  "vm.json:1: uuid: ");
	assert_refused("{ \"boot\": { \"kernel\": \"\" } }", "vm.json:1: boot.kernel: is empty");
	assert_refused("{ \"boot\": { \"cmdline\": \"a\\nb\" } }",
		       "vm.json:1: boot.cmdline: has a control character at byte 1");
	assert_true(asprintf(&text, "{ \"boot\": { \"cmdline\": \"%02048d\" } }", 0) > 0);
	assert_true(load_text(text, &err) < 0);
	assert_string_equal(err.text, "vm.json:1: boot.cmdline: longer than 2047 bytes");
	free(text);
	assert_true(asprintf(&text, "{ \"boot\": { \"cmdline\": \"%02047d\" } }", 0) > 0);
	assert_int_equal(load_text(text, &err), 0);
}

static void values_that_contradict_each_other_are_refused(void **state)
{
	(void)state;
	assert_refused_at("{ \"balloon\": { \"size\": \"512M\" } }",
			  "balloon.size: 512M leaves nothing");
	assert_refused_at("{ \"balloon\": { \"size\": \"1G\" } }",
			  "balloon.size: 1G leaves nothing");
	assert_refused_at("{ \"balloon\": { \"size\": \"1M\", \"enabled\": false } }",
			  "balloon.size: ");
	assert_refused_at(
		"{ \"memory\": { \"pages\": \"4K\", \"hugetlbfs\": \"/dev/hugepages\" } }",
		"memory.hugetlbfs: ");
	assert_refused_at("{ \"boot\": { \"initrd\": \"/x\" } }", "boot.initrd: ");
}

static void swap_and_its_limit_must_make_sense_together(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };
	static const char good[] = "{ \"swap\": { \"dir\": \"/var/tmp\", \"size\": \"1G\" },"
				   "  \"memory\": { \"limit\": \"64M\" } }";

	(void)state;
	assert_refused("{ \"memory\": { \"limit\": \"64M\" } }",
		       "memory.limit: there is no swap; name a directory for it with swap.dir "
		       "(--swap DIR)");
	assert_refused("{ \"swap\": { \"size\": \"64M\" } }",
		       "swap.size: there is no swap; name a directory for it with swap.dir (--swap "
		       "DIR)");
	assert_refused("{ \"swap\": { \"dir\": \"/x\", \"size\": \"1M\" } }",
		       "swap.size: 1M has no room for one block of 2 MiB; use 0 for as much as the "
		       "guest has");
	assert_refused(
		"{ \"swap\": { \"dir\": \"/x\" }, \"memory\": { \"limit\": 4096 } }",
		"memory.limit: no guest gets on with 4K; use 16M or more, or 0 for no limit");
	assert_refused(
		"{ \"swap\": { \"dir\": \"/x\" }, \"memory\": { \"reserve\": true } }",
		"swap.dir: memory.reserve keeps all memory with the VM, so nothing would ever "
		"be swapped; use one of the two");
	assert_refused_at("{ \"memory\": { \"sample_period\": 0 } }",
			  "vm.json:1: memory.sample_period: must be from 1 to 86400");
	vm_config_init(&config);
	assert_int_equal(vm_config_load_text(&config, "vm.json", "/", good, strlen(good), &err), 0);
	assert_int_equal(vm_config_check(&config, &err), 0);
	assert_string_equal(config.swap.dir, "/var/tmp");
	assert_int_equal(config.swap.size_bytes, GIB_BYTES);
	assert_int_equal(config.memory.limit_bytes, 64 * MIB_BYTES);
	assert_true(config.swap.encrypt && config.swap.compress);
}

static void a_uuid_is_given_as_its_bytes(void **state)
{
	static const uint8_t wanted[UUID_BYTES] = {
		0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x42, 0xd3,
		0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00
	};
	CLEANUP(vm_config_fini)
	struct vm_config config;
	uint8_t uuid[UUID_BYTES];

	(void)state;
	vm_config_init(&config);
	(void)snprintf(config.uuid, sizeof(config.uuid), "123e4567-e89b-42d3-a456-426614174000");
	vm_config_uuid(&config, uuid);
	assert_memory_equal(uuid, wanted, sizeof(wanted));
}

static void a_file_others_may_write_is_refused_CF03(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };

	(void)state;
	vm_config_init(&config);
	assert_int_equal(vm_config_load(&config, write_file("a.json", "{\"cpus\":3}", 0644), &err),
			 0);
	assert_int_equal(config.cpus, 3);
	assert_int_equal(vm_config_load(&config, write_file("a.json", "{}", 0666), &err), -EPERM);
	assert_non_null(
		strstr(err.text, "a.json: others may write it (mode 0666); chmod go-w it first"));
	assert_int_equal(vm_config_load(&config, write_file("a.json", "{}", 0620), &err), -EPERM);
	assert_int_equal(vm_config_load(&config, write_file("a.json", "{}", 0602), &err), -EPERM);
}

static void somebody_elses_file_is_refused_CF03(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };
	const char *path = write_file("other.json", "{}", 0644);

	(void)state;
	if (chown(path, 65534, 65534) < 0) {
		print_message("skipped: only root can give a file away\n");
		skip();
	}
	vm_config_init(&config);
	assert_int_equal(vm_config_load(&config, path, &err), -EPERM);
	assert_non_null(strstr(err.text, "belongs to user 65534"));
}

static void path_loops_and_other_things_than_files_are_refused_CF03(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };

	(void)state;
	vm_config_init(&config);
	assert_int_equal(symlink("loop", path_of("loop")), 0);
	assert_int_equal(vm_config_load(&config, path_of("loop"), &err), -ELOOP);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(vm_config_load(&config, path_of("fifo"), &err),
			 -EINVAL); /* without waiting */
	assert_non_null(strstr(err.text, "not a regular file"));
	assert_int_equal(vm_config_load(&config, "/dev/zero", &err), -EINVAL);
	assert_int_equal(vm_config_load(&config, directory, &err), -EINVAL);
	assert_int_equal(vm_config_load(&config, path_of("absent"), &err), -ENOENT);
	assert_int_equal(vm_config_load(&config, path_of("a.json/b"), &err), -ENOTDIR);
}

static void a_file_of_more_than_1_MiB_is_refused(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	const char *path = write_file("big.json", "{}", 0600);
	struct err err = { 0 };

	(void)state;
	vm_config_init(&config);
	assert_int_equal(truncate(path, (off_t)OPTIONS_FILE_BYTES + 1), 0);
	assert_int_equal(vm_config_load(&config, path, &err), -EFBIG);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(vm_config_load(&config, path, &err), -EINVAL);
	assert_non_null(strstr(err.text, "big.json:1: not JSON: empty"));
}

static void a_file_named_without_a_directory_is_in_this_one(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	CLEANUP(free_text)
	char *before = getcwd(NULL, 0);
	struct err err = { 0 };
	char expected[128];
	int ret;

	(void)state;
	(void)write_file("here.json", "{\"boot\":{\"kernel\":\"vmlinuz\"}}", 0600);
	(void)snprintf(expected, sizeof(expected), "%s/vmlinuz", directory);
	vm_config_init(&config);
	assert_int_equal(chdir(directory), 0);
	ret = vm_config_load(&config, "here.json", &err);
	assert_int_equal(chdir(before), 0);
	if (ret < 0)
		fail_msg("%s", err.text);
	assert_string_equal(config.boot.kernel_path, expected);
}

static void relative_paths_start_from_the_files_directory(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };
	char expected[128];

	(void)state;
	vm_config_init(&config);
	(void)snprintf(expected, sizeof(expected), "%s/vmlinuz", directory);
	if (vm_config_load(&config,
			   write_file("k.json", "{\"boot\":{\"kernel\":\"vmlinuz\"}}", 0600),
			   &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(config.boot.kernel_path, expected);
}

static void load_example(const char *name)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	CLEANUP(free_text)
	char *text = calloc(1, OPTIONS_FILE_BYTES);
	struct err err = { 0 };
	char path[512];
	FILE *file;
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/%s", NEAP_CONFIGS, name);
	file = fopen(path, "re");
	assert_non_null(file);
	len = fread(text, 1, OPTIONS_FILE_BYTES, file);
	(void)fclose(file);
	vm_config_init(&config);
	if (vm_config_load_text(&config, name, NEAP_CONFIGS, text, len, &err) < 0 ||
	    vm_config_check(&config, &err) < 0)
		fail_msg("%s", err.text);
}

static void every_example_in_configs_is_a_valid_vm(void **state)
{
	DIR *configs = opendir(NEAP_CONFIGS);
	const struct dirent *entry;
	unsigned loaded = 0;

	(void)state;
	assert_non_null(configs);
	while ((entry = readdir(configs))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (!dot || strcmp(dot, ".json") != 0)
			continue;
		load_example(entry->d_name);
		loaded++;
	}
	(void)closedir(configs);
	assert_true(loaded >= 4);
}

static void random_text(unsigned *seed, char *text, size_t max_len)
{
	static const char alphabet[] = "abcXYZ0189 =.,:;\"\\'/{}[]\xc3\xa9";
	size_t len = (size_t)rand_r(seed) % max_len;
	size_t used = 0;

	while (used < len) {
		size_t pick = (size_t)rand_r(seed) % (sizeof(alphabet) - 2);

		if (alphabet[pick] == '\xc3') { /* one letter of two bytes */
			if (used + 2 > len)
				break;
			text[used++] = '\xc3';
			pick++;
		}
		text[used++] = alphabet[pick];
	}
	text[used] = '\0';
}

static uint64_t random_u64(unsigned *seed)
{
	return (uint64_t)rand_r(seed) << 62 ^ (uint64_t)rand_r(seed) << 31 ^ (uint64_t)rand_r(seed);
}

/* A value the row allows, as text. */
static void random_value(unsigned *seed, const struct option_row *row, char *text, size_t bytes)
{
	uint64_t span = row->max - row->min;
	unsigned choices = 0;

	switch (row->type) {
	case OPTION_NAME: (void)snprintf(text, bytes, "n%u.x-_", rand_r(seed)); break;
	case OPTION_UUID:
		(void)snprintf(text, bytes, "%08x-0000-4000-8000-%012x", (unsigned)rand_r(seed),
			       (unsigned)rand_r(seed));
		break;
	case OPTION_SIZE:
	case OPTION_UNSIGNED:
		(void)snprintf(text, bytes, "%" PRIu64, row->min + random_u64(seed) % (span + 1));
		break;
	case OPTION_BOOL: (void)snprintf(text, bytes, "%s", rand_r(seed) & 1 ? "on" : "off"); break;
	case OPTION_ENUM:
		while (row->choices[choices])
			choices++;
		(void)snprintf(text, bytes, "%s", row->choices[(unsigned)rand_r(seed) % choices]);
		break;
	case OPTION_PATH:
		text[0] = '/';
		random_text(seed, text + 1, bytes - 1);
		break;
	case OPTION_STRING: random_text(seed, text, bytes); break;
	case OPTION_MODE:
		(void)snprintf(text, bytes, "%04o", (unsigned)rand_r(seed) % (unsigned)span);
		break;
	}
}

static void random_config(unsigned *seed, struct vm_config *config)
{
	const struct option_row *rows;
	size_t count;

	rows = option_table(&count);
	vm_config_init(config);
	for (size_t i = 0; i < count; i++) {
		struct err err = { 0 };
		char text[200];

		if (rand_r(seed) % 4 == 0)
			continue;
		random_value(seed, &rows[i], text, sizeof(text));
		if (option_set_text(config, &rows[i], text, NULL, &err) < 0)
			fail_msg("%s=%s: %s", rows[i].key, text, err.text);
	}
}

static bool same_value(const struct vm_config *a, const struct vm_config *b,
		       const struct option_row *row)
{
	const char *field_a = (const char *)a + row->offset;
	const char *field_b = (const char *)b + row->offset;

	if (row->type == OPTION_NAME || row->type == OPTION_UUID)
		return strcmp(field_a, field_b) == 0;
	if (row->type != OPTION_STRING && row->type != OPTION_PATH)
		return memcmp(field_a, field_b, row->field_bytes) == 0;
	field_a = *(const char *const *)(const void *)field_a;
	field_b = *(const char *const *)(const void *)field_b;
	return (!field_a && !field_b) || (field_a && field_b && strcmp(field_a, field_b) == 0);
}

static void what_is_written_is_read_back_to_the_same(void **state)
{
	const char *override = getenv("NEAP_SEED");
	unsigned seed = override ? (unsigned)strtoul(override, NULL, 0) : 1;
	const struct option_row *rows;
	size_t count;

	(void)state;
	print_message("seed %u\n", seed);
	rows = option_table(&count);
	for (unsigned round = 0; round < 2000; round++) {
		CLEANUP(vm_config_fini)
		struct vm_config written;
		CLEANUP(vm_config_fini)
		struct vm_config back;
		CLEANUP(free_text)
		char *text = NULL;
		struct err err = { 0 };

		random_config(&seed, &written);
		text = vm_config_to_json(&written);
		vm_config_init(&back);
		if (vm_config_load_text(&back, "round", NULL, text, strlen(text), &err) < 0)
			fail_msg("%s\n%s", err.text, text);
		for (size_t i = 0; i < count; i++)
			if (!same_value(&written, &back, &rows[i]))
				fail_msg("%s differs after: %s", rows[i].key, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_are_a_valid_vm),
		cmocka_unit_test(two_vms_get_different_names),
		cmocka_unit_test(every_default_obeys_its_own_row),
		cmocka_unit_test(the_largest_memory_is_what_the_layout_holds),
		cmocka_unit_test(a_whole_file_is_read),
		cmocka_unit_test(what_the_file_does_not_mention_stays),
		cmocka_unit_test(a_truncated_file_is_refused_with_a_line_CF01),
		cmocka_unit_test(duplicate_keys_are_refused_with_their_line_CF01),
		cmocka_unit_test(unknown_keys_are_refused_with_the_right_one_CF01),
		cmocka_unit_test(the_line_is_that_of_the_right_key_among_equal_names),
		cmocka_unit_test(memory_sizes_that_cannot_be_are_refused_CF02),
		cmocka_unit_test(cpu_counts_that_cannot_be_are_refused_CF02),
		cmocka_unit_test(wrong_types_are_refused_with_their_line),
		cmocka_unit_test(names_uuids_paths_and_texts_are_checked),
		cmocka_unit_test(values_that_contradict_each_other_are_refused),
		cmocka_unit_test(swap_and_its_limit_must_make_sense_together),
		cmocka_unit_test(a_uuid_is_given_as_its_bytes),
		cmocka_unit_test(a_file_others_may_write_is_refused_CF03),
		cmocka_unit_test(somebody_elses_file_is_refused_CF03),
		cmocka_unit_test(path_loops_and_other_things_than_files_are_refused_CF03),
		cmocka_unit_test(a_file_of_more_than_1_MiB_is_refused),
		cmocka_unit_test(a_file_named_without_a_directory_is_in_this_one),
		cmocka_unit_test(relative_paths_start_from_the_files_directory),
		cmocka_unit_test(every_example_in_configs_is_a_valid_vm),
		cmocka_unit_test(what_is_written_is_read_back_to_the_same),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
