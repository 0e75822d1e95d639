/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_hostmem.c - the host's pools, and the sentence that tells a person how to enlarge them. */
#include "../support/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "memory/backing.h"
#include "memory/hostmem.h"

static void assert_said(const struct hostmem_pool *pool, uint64_t needed_frames, const char *wanted)
{
	struct err err = { 0 };

	assert_int_equal(hostmem_say_short(pool, needed_frames, &err), -ENOMEM);
	assert_string_equal(err.text, wanted);
}

static void available_leaves_out_what_is_promised_to_others(void **state)
{
	struct hostmem_pool pool = { .total_frames = 100,
				     .free_frames = 60,
				     .reserved_frames = 20,
				     .surplus_frames = 5,
				     .overcommit_frames = 15 };

	(void)state;
	assert_int_equal(hostmem_available_frames(&pool), 50);
	pool.overcommit_frames = 3; /* lowered after the surplus was given */
	assert_int_equal(hostmem_available_frames(&pool), 40);
	pool.reserved_frames = 70;
	assert_int_equal(hostmem_available_frames(&pool), 0);
}

static void sentence_for_the_host_adds_what_is_missing_to_what_is_there(void **state)
{
	struct hostmem_pool pool = { .frame_bytes = HUGE_FRAME_BYTES };

	(void)state;
	assert_said(&pool, 512,
		    "not enough huge pages: 512 of 2 MiB needed, 0 free; reserve them with: "
		    "echo 512 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
	pool.total_frames = 600;
	pool.free_frames = 100;
	pool.reserved_frames = 10;
	assert_said(&pool, 512,
		    "not enough huge pages: 512 of 2 MiB needed, 90 free; reserve them with: "
		    "echo 1022 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
}

static void sentence_for_a_mount_puts_a_larger_one_over_it(void **state)
{
	struct hostmem_pool pool = { .frame_bytes = HUGE_FRAME_BYTES,
				     .total_frames = 100,
				     .free_frames = 12,
				     .mount_dir = "/mnt/huge" };

	(void)state;
	assert_said(&pool, 512,
		    "not enough huge pages: 512 of 2 MiB needed, 12 free below the size= limit of "
		    "/mnt/huge; mount a larger one over it with: "
		    "sudo mount -t hugetlbfs -o pagesize=2M,size=1G none /mnt/huge");
}

static void pool_of_this_host_can_be_read_or_is_missing(void **state)
{
	struct hostmem_pool pool;
	struct err err = { 0 };
	int result = hostmem_read_pool(HUGE_FRAME_BYTES, &pool, &err);

	(void)state;
	if (result) {
		assert_int_equal(result, -ENOENT);
		return;
	}
	assert_int_equal(pool.frame_bytes, HUGE_FRAME_BYTES);
	assert_true(pool.free_frames <= pool.total_frames);
	assert_null(pool.mount_dir);
}

static void pool_of_a_size_the_kernel_has_not_is_enoent(void **state)
{
	struct hostmem_pool pool = { .total_frames = 42 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(hostmem_read_pool(3 * MIB_BYTES, &pool, &err), -ENOENT);
	assert_non_null(strstr(err.text, "hugepages-3072kB"));
	assert_int_equal(pool.total_frames, 42);
}

static void directory_without_hugetlbfs_is_einval(void **state)
{
	struct hostmem_pool pool;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(hostmem_read_mount("/proc", HUGE_FRAME_BYTES, &pool, &err), -EINVAL);
	assert_non_null(strstr(err.text, "sudo mount -t hugetlbfs -o pagesize=2M none /proc"));
	assert_int_equal(hostmem_read_mount("/nonexistent", HUGE_FRAME_BYTES, &pool, &err),
			 -ENOENT);
}

/* Only "no page left" asks to be tried again later; a bug must not look like famine. */
static void errors_that_are_not_famine_keep_their_number(void **state)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(backing_allocate(fd, 0, GUEST_PAGE_BYTES), -ENODEV);
	close(fd);
	assert_int_equal(backing_allocate(-1, 0, GUEST_PAGE_BYTES), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(available_leaves_out_what_is_promised_to_others),
		cmocka_unit_test(sentence_for_the_host_adds_what_is_missing_to_what_is_there),
		cmocka_unit_test(sentence_for_a_mount_puts_a_larger_one_over_it),
		cmocka_unit_test(pool_of_this_host_can_be_read_or_is_missing),
		cmocka_unit_test(pool_of_a_size_the_kernel_has_not_is_enoent),
		cmocka_unit_test(directory_without_hugetlbfs_is_einval),
		cmocka_unit_test(errors_that_are_not_famine_keep_their_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
