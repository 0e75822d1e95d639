/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_boot_files.c - what a path may be: files that are none, that wait, or that change. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "boot_fixture.h"

static struct ram *ram;

static int setup(void **state)
{
	(void)state;
	ram = fixture_ram(FIXTURE_RAM_MIB);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ram_close(ram);
	return 0;
}

static int boot_path(struct ram *into, const char *kernel, const char *initrd, struct err *err)
{
	struct boot_config config = { .ram = into,
				      .kernel_path = kernel,
				      .initrd_path = initrd,
				      .cmdline = "",
				      .acpi = fixture_acpi() };
	struct boot_entry entry;

	return boot_load(&config, &entry, err);
}

static void test_a_kernel_and_an_initrd_are_read_from_files(void **state)
{
	struct elf_image image = elf_image_good();
	struct fixture_file kernel = fixture_file(&image, sizeof(image));
	struct fixture_file initrd = fixture_file("abc", 3);
	struct err err = { 0 };

	(void)state;
	assert_int_equal(boot_path(ram, kernel.path, initrd.path, &err), 0);
	assert_int_equal(fixture_peek(ram, FIXTURE_SEGMENT, 1), image.code[0]);
	fixture_unlink(&kernel);
	fixture_unlink(&initrd);
}

static void assert_path_refused(const char *path, int code, const char *why)
{
	struct elf_image image = elf_image_good();
	struct fixture_file kernel = fixture_file(&image, sizeof(image));
	uint64_t start_ns = clock_now_ns();
	struct err err = { 0 };

	assert_int_equal(boot_path(ram, path, NULL, &err), code);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, why));
	assert_int_equal(boot_path(ram, kernel.path, path, &err), code);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, why));
	assert_true(clock_now_ns() - start_ns < NS_PER_S);
	fixture_unlink(&kernel);
}

static void test_LD01_paths_that_are_no_regular_file_are_refused_at_once(void **state)
{
	struct fixture_file fifo = fixture_file("", 0);

	(void)state;
	fixture_unlink(&fifo);
	assert_int_equal(mkfifo(fifo.path, 0600), 0);
	assert_path_refused(fifo.path, -EINVAL, "not a regular file");
	assert_path_refused("/dev/zero", -EINVAL, "not a regular file");
	assert_path_refused("/tmp", -EINVAL, "not a regular file");
	assert_path_refused("/proc/self/status", -EINVAL, "is empty");
	assert_path_refused("/nonexistent/vmlinuz", -ENOENT, "No such file");
	fixture_unlink(&fifo);
}

static void test_LD01_a_huge_sparse_file_is_refused_at_once(void **state)
{
	struct fixture_file huge = fixture_file("x", 1);
	uint64_t start_ns = clock_now_ns();

	(void)state;
	assert_int_equal(truncate(huge.path, (off_t)TIB_BYTES), 0);
	assert_int_equal(boot_path(ram, huge.path, NULL, NULL), -EINVAL);
	assert_true(clock_now_ns() - start_ns < NS_PER_S);
	fixture_unlink(&huge);
}

struct rewriter {
	const char *path;
	atomic_bool stop;
};

static void *rewrite(void *arg)
{
	struct rewriter *rewriter = arg;
	struct elf_image image = elf_image_good();

	for (unsigned i = 0; !rewriter->stop; i++) {
		int fd = open(rewriter->path, O_RDWR | O_CLOEXEC);

		if (fd < 0 || ftruncate(fd, i % 3 ? (off_t)sizeof(image) : (off_t)(i % 97)) < 0 ||
		    pwrite(fd, &image, sizeof(image) - i % 5, 0) < 0)
			abort();
		close(fd);
	}
	return NULL;
}

static void test_LD01_a_file_that_changes_while_it_is_read_is_an_error_or_whole(void **state)
{
	struct elf_image image = elf_image_good();
	struct fixture_file kernel = fixture_file(&image, sizeof(image));
	struct rewriter rewriter = { .path = kernel.path };
	unsigned loaded = 0, refused = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, rewrite, &rewriter), 0);
	for (unsigned i = 0; i < 2000; i++) {
		int result = boot_path(ram, kernel.path, NULL, NULL);

		assert_true(result == 0 || result == -EINVAL || result == -EIO || result == -EBUSY);
		loaded += result == 0;
		refused += result != 0;
	}
	rewriter.stop = true;
	pthread_join(thread, NULL);
	print_message("loaded %u times, refused %u times\n", loaded, refused);
	fixture_unlink(&kernel);
}

static void test_no_kernel_at_all_is_an_error(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(boot_path(ram, NULL, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "no kernel was given");
}

static void test_a_guest_of_1_mib_is_told_so(void **state)
{
	struct elf_image image = elf_image_good();
	struct fixture_file kernel = fixture_file(&image, sizeof(image));
	struct ram *tiny = fixture_ram(1);
	struct err err = { 0 };

	(void)state;
	assert_int_equal(boot_path(tiny, kernel.path, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 1 MiB"));
	ram_close(tiny);
	fixture_unlink(&kernel);
}

static void test_a_second_load_finds_a_clean_slate(void **state)
{
	struct elf_image image = elf_image_good();
	struct fixture_file kernel = fixture_file(&image, sizeof(image));
	static uint8_t before[1 << 20], after[1 << 20];

	(void)state;
	assert_int_equal(boot_path(ram, kernel.path, NULL, NULL), 0);
	for (unsigned i = 0; i < sizeof(before); i += 8)
		*(uint64_t *)(before + i) = fixture_peek(ram, 0x100000 + i, 8);
	assert_int_equal(boot_path(ram, kernel.path, NULL, NULL), 0);
	for (unsigned i = 0; i < sizeof(after); i += 8)
		*(uint64_t *)(after + i) = fixture_peek(ram, 0x100000 + i, 8);
	assert_memory_equal(before, after, sizeof(before));
	fixture_unlink(&kernel);
}

/* A stock kernel, when the lab has fetched one; its path depends on the day's version. */
static void test_debians_cloud_kernel_is_accepted(void **state)
{
	const char *home = getenv("HOME"), *cache = getenv("XDG_CACHE_HOME");
	char pattern[512];
	struct err err = { 0 };
	struct ram *big;
	glob_t found;

	(void)state;
	if (cache && *cache)
		(void)snprintf(pattern, sizeof(pattern), "%s/neap-lab/guest/boot/vmlinuz-*", cache);
	else
		(void)snprintf(pattern, sizeof(pattern), "%s/.cache/neap-lab/guest/boot/vmlinuz-*",
			       home ? home : "");
	if (glob(pattern, 0, NULL, &found) != 0) {
		print_message("skipped: no kernel matches %s (tests/lab/run fetches one)\n",
			      pattern);
		skip();
	}
	big = fixture_ram(256);
	if (boot_path(big, found.gl_pathv[0], NULL, &err) != 0)
		fail_msg("%s", err.text);
	ram_close(big);
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_kernel_and_an_initrd_are_read_from_files),
		cmocka_unit_test(test_LD01_paths_that_are_no_regular_file_are_refused_at_once),
		cmocka_unit_test(test_LD01_a_huge_sparse_file_is_refused_at_once),
		cmocka_unit_test(
			test_LD01_a_file_that_changes_while_it_is_read_is_an_error_or_whole),
		cmocka_unit_test(test_no_kernel_at_all_is_an_error),
		cmocka_unit_test(test_a_guest_of_1_mib_is_told_so),
		cmocka_unit_test(test_a_second_load_finds_a_clean_slate),
		cmocka_unit_test(test_debians_cloud_kernel_is_accepted),
	};

	return cmocka_run_group_tests_name("boot_files", tests, setup, teardown);
}
