/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_boot_famine.c - a host that runs out of 2 MiB pages while a kernel is being loaded.
 *
 * Boot data is in frame 0, the kernel in another, the initrd at the end in a third: pools of one and
 * two pages fail at the kernel and at the initrd, and a pool of three is enough.
 */
#include "../support/hugemount.h"

#include "boot_fixture.h"

enum { FRAMES_NEEDED = 3 };

static int load(unsigned pool_frames, const void *kernel, uint64_t len_bytes, struct err *err)
{
	struct fixture_file initrd = fixture_file("abc", 3);
	char pool_dir[HUGEMOUNT_TEXT_BYTES];
	struct ram_config config = { .ram_bytes = FIXTURE_RAM_MIB * MIB_BYTES,
				     .frame_bytes = HUGE_FRAME_BYTES,
				     .hugetlbfs_dir = pool_dir };
	struct boot_entry entry;
	struct ram *ram;
	int result;

	hugemount_make(pool_frames, pool_dir);
	assert_int_equal(ram_open(&config, &ram, err), 0);
	result = fixture_boot(ram, kernel, len_bytes, NULL, initrd.path, &entry, err);
	ram_close(ram);
	fixture_unlink(&initrd);
	return result;
}

static void assert_famine_is_told(const void *kernel, uint64_t len_bytes)
{
	static const char *const who[FRAMES_NEEDED] = { "", "the kernel", "the initrd" };
	struct err err = { 0 };

	for (unsigned frames = 1; frames < FRAMES_NEEDED; frames++) {
		assert_int_equal(load(frames, kernel, len_bytes, &err), -ENOSPC);
		assert_non_null(strstr(err.text, "no memory left"));
		assert_non_null(strstr(err.text, who[frames]));
	}
	assert_int_equal(load(FRAMES_NEEDED, kernel, len_bytes, &err), 0);
}

static void test_an_empty_pool_while_an_elf_is_loaded_is_an_answer(void **state)
{
	struct elf_image image = elf_image_good();

	(void)state;
	assert_famine_is_told(&image, sizeof(image));
}

static void test_an_empty_pool_while_a_bzimage_is_loaded_is_an_answer(void **state)
{
	struct bzimage_image image = bzimage_good();

	(void)state;
	assert_famine_is_told(&image, sizeof(image));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_pool_while_an_elf_is_loaded_is_an_answer),
		cmocka_unit_test(test_an_empty_pool_while_a_bzimage_is_loaded_is_an_answer),
	};

	return cmocka_run_group_tests_name("boot_famine", tests, NULL, NULL);
}
