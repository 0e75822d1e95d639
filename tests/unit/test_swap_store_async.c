/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swap_store_async.c - parts of a block that go to and from the disk by themselves, while another
 * is sealed or opened: late, short, refused, spoilt, for nothing, or not at all because the kernel
 * forbids it. Whatever becomes of them, a block is what was written, or an error.
 */
#include "swap_fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/swap_parts.h"

enum { PARTS = SWAP_PARTS_PER_PLACE };

/* What becomes of the parts that arrive: in the order of their places. */
static struct {
	bool out;	/* those to the disk are meant, or those from it */
	int spoilt;	/* this one; -1: none */
	ssize_t result; /* it is told to have ended so; 0 and `flip`: as it did */
	bool flip;	/* a bit of it */
	int sync_fails; /* so many transfers that are asked for fail with ENOMEM */
	unsigned arrived, asked;
	const uint8_t *first; /* where part 0 is */
} disk;

static ssize_t disk_arrived(void *buf, bool out, ssize_t result)
{
	uint64_t part = (uint64_t)((uint8_t *)buf - disk.first) / (SWAP_BLOCK_BYTES / PARTS);

	disk.arrived++;
	if (out != disk.out || disk.spoilt != (int)part)
		return result;
	if (disk.flip)
		((uint8_t *)buf)[(size_t)result - 1] ^= 0x10;
	else if (!out)
		memset(buf, 0xee, (size_t)result); /* to be read again, if at all */
	return disk.flip ? result : disk.result;
}

static ssize_t disk_read(int fd, void *buf, size_t len, off_t offset)
{
	disk.asked++;
	return pread(fd, buf, len, offset);
}

static ssize_t disk_write(int fd, const void *buf, size_t len, off_t offset)
{
	disk.asked++;
	if (disk.sync_fails > 0) {
		disk.sync_fails--;
		errno = ENOMEM;
		return -1;
	}
	return pwrite(fd, buf, len, offset);
}

static const struct swap_io disk_io = { .read = disk_read,
					.write = disk_write,
					.arrived = disk_arrived };

static int write_block(struct swap_fixture *f, uint64_t block)
{
	return swap_store_write(f->worker, block, f->block, SWAP_BLOCK_BYTES, all_live);
}

static bool is_zero(const uint8_t *at)
{
	return at[0] == 0 && memcmp(at, at + 1, SWAP_BLOCK_BYTES - 1) == 0;
}

/* Where the worker's parts begin is known after the first transfer: all are from one buffer. */
static ssize_t learn_first(void *buf, bool out, ssize_t result)
{
	(void)out;
	if (!disk.first || (const uint8_t *)buf < disk.first)
		disk.first = buf;
	return result;
}

static const struct swap_io learning_io = { .read = pread,
					    .write = pwrite,
					    .arrived = learn_first };

static struct swap_fixture rig_open(bool encrypt)
{
	struct test_random random = test_random_start();
	struct swap_config config = fixture_config(4);
	struct swap_fixture f;

	config.encrypt = encrypt;
	f = fixture_open(&config);
	memset(&disk, 0, sizeof(disk));
	disk.spoilt = -1;
	fill_random(&random, f.block, SWAP_BLOCK_BYTES);
	swap_store_set_io(f.store, &learning_io);
	assert_int_equal(write_block(&f, 0), 0);
	assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
	if (!disk.first) {
		fixture_close(&f);
		test_skip_case("this kernel does no asynchronous I/O");
	}
	swap_store_set_io(f.store, &disk_io);
	return f;
}

static void parts_go_by_themselves(void **state)
{
	(void)state;
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		struct swap_fixture f = rig_open(encrypt);

		assert_int_equal(write_block(&f, 1), 0);
		assert_int_equal(disk.arrived, PARTS);
		assert_comes_back(&f, 1, SWAP_BLOCK_BYTES, f.block);
		assert_int_equal(disk.arrived, 2 * PARTS);
		assert_int_equal(disk.asked, 0);
		fixture_close(&f);
	}
}

/* Short, or for a passing reason: asked for again, and that answer counts. */
static void sw01_sw04_a_part_that_did_not_arrive_is_transferred_again(void **state)
{
	const ssize_t results[] = { 0, GUEST_PAGE_BYTES, -EINTR, -EAGAIN, -ENOMEM };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(results); i++) {
		struct swap_fixture f = rig_open(i % 2);

		disk.result = results[i];
		for (disk.spoilt = 0; disk.spoilt < PARTS; disk.spoilt++) {
			disk.asked = 0;
			disk.out = true;
			assert_int_equal(write_block(&f, 1), 0);
			assert_int_equal(disk.asked, 1);
			disk.out = false;
			assert_comes_back(&f, 1, SWAP_BLOCK_BYTES, f.block);
			assert_int_equal(disk.asked, 2);
			assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
		}
		assert_int_equal(fixture_stats(&f).write_errors + fixture_stats(&f).read_errors, 0);
		fixture_close(&f);
	}
}

static void sw03_a_part_that_was_refused_refuses_the_block(void **state)
{
	(void)state;
	for (int part = 0; part < PARTS; part++) {
		struct swap_fixture f = rig_open(true);
		struct swap_stats stats;

		disk.spoilt = part;
		disk.result = -EIO;
		disk.out = true;
		assert_int_equal(write_block(&f, 1), -EIO);
		assert_false(swap_store_has(f.store, 1));
		stats = fixture_stats(&f);
		assert_int_equal(stats.write_errors, 1);
		assert_int_equal(stats.retired_bytes, SWAP_BLOCK_BYTES);
		disk.out = false;
		assert_int_equal(swap_store_read(f.worker, 0, f.back, SWAP_BLOCK_BYTES), -EIO);
		assert_true(is_zero(f.back));
		assert_int_equal(fixture_stats(&f).read_errors, 1);
		assert_int_equal(disk.asked, 0); /* a disk that refused is not asked again */
		disk.spoilt = -1;
		assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
		assert_int_equal(write_block(&f, 1), 0);
		assert_comes_back(&f, 1, SWAP_BLOCK_BYTES, f.block);
		fixture_close(&f);
	}
}

static void a_kernel_without_memory_is_no_fault_of_the_disk(void **state)
{
	struct swap_fixture f = rig_open(true);

	(void)state;
	disk.out = true;
	disk.spoilt = 2;
	disk.result = -ENOMEM;
	disk.sync_fails = 1;
	assert_int_equal(write_block(&f, 1), -ENOMEM);
	assert_int_equal(fixture_stats(&f).used_bytes, SWAP_BLOCK_BYTES);
	assert_int_equal(fixture_stats(&f).retired_bytes, 0);
	assert_int_equal(write_block(&f, 1), 0);
	fixture_close(&f);
}

static void sw06_a_flipped_bit_in_any_part_is_found_and_nothing_of_the_block_is_left(void **state)
{
	(void)state;
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		struct swap_fixture f = rig_open(encrypt);

		disk.flip = true;
		for (disk.spoilt = 0; disk.spoilt < PARTS; disk.spoilt++) {
			assert_int_equal(swap_store_read(f.worker, 0, f.back, SWAP_BLOCK_BYTES),
					 -EBADMSG);
			assert_true(is_zero(f.back));
		}
		assert_int_equal(fixture_stats(&f).bad_blocks, PARTS);
		assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
		fixture_close(&f);
	}
}

static void sw09_a_file_cut_short_in_any_part_is_an_error(void **state)
{
	struct swap_fixture f = rig_open(true);

	(void)state;
	for (uint64_t bytes = SWAP_BLOCK_BYTES; bytes > 0; bytes -= SWAP_BLOCK_BYTES / 8) {
		assert_int_equal(ftruncate(swap_store_fd(f.store), (off_t)bytes - 1), 0);
		assert_int_equal(swap_store_read(f.worker, 0, f.back, SWAP_BLOCK_BYTES), -EIO);
		assert_true(is_zero(f.back));
	}
	fixture_close(&f);
}

static void what_was_fetched_is_what_is_read(void **state)
{
	struct swap_fixture f = rig_open(true);

	(void)state;
	swap_store_fetch(f.worker, 0);
	assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
	assert_int_equal(disk.arrived, PARTS); /* once */
	swap_store_fetch(f.worker, 0);
	swap_store_fetch(f.worker, 0);
	assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
	assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
	swap_store_fetch(f.worker, 0);
	disk.flip = true;
	disk.spoilt = 1;
	assert_int_equal(swap_store_read(f.worker, 0, f.back, SWAP_BLOCK_BYTES), -EBADMSG);
	fixture_close(&f);
}

static void fetching_for_nothing_changes_nothing(void **state)
{
	static const uint64_t three_live[SWAP_LIVE_WORDS] = { 7 };
	struct swap_fixture f = rig_open(true);
	struct swap_worker *other;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(swap_worker_open(f.store, &other, &err), 0);
	assert_int_equal(write_block(&f, 1), 0);
	swap_store_fetch(f.worker, 0); /* and another is read */
	assert_comes_back(&f, 1, SWAP_BLOCK_BYTES, f.block);
	swap_store_fetch(f.worker, 0); /* and one is written, from the same buffer */
	assert_int_equal(swap_store_write(f.worker, 2, f.block, SWAP_BLOCK_BYTES, three_live), 0);
	memset(f.back, 0, SWAP_BLOCK_BYTES);
	assert_int_equal(swap_store_read(f.worker, 2, f.back, SWAP_BLOCK_BYTES), 0);
	assert_memory_equal(f.back, f.block, 3 * GUEST_PAGE_BYTES);
	swap_store_fetch(f.worker, 0); /* and another worker writes others over it */
	swap_store_drop(f.store, 0);
	f.block[5]++;
	assert_int_equal(swap_store_write(other, 3, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	assert_int_equal(swap_store_write(other, 0, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
	assert_comes_back(&f, 3, SWAP_BLOCK_BYTES, f.block);
	swap_store_fetch(f.worker, 0); /* and it is forgotten */
	swap_store_drop(f.store, 0);
	assert_int_equal(swap_store_read(f.worker, 0, f.back, SWAP_BLOCK_BYTES), -ENOENT);
	swap_store_fetch(f.worker, 0);
	swap_store_fetch(f.worker, 1000); /* no such block */
	swap_store_fetch(f.worker, 3);	  /* and the worker goes home */
	swap_worker_close(other);
	fixture_close(&f);
}

/* From here on this process has no io_setup. */
static void forbid_async_io(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { ARRAY_LEN(program), program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &filter))
		_exit(TEST_EXIT_SKIP);
}

static _Noreturn void swap_without_async_io(void)
{
	struct test_random random = { .state = 1 };
	struct swap_config config = fixture_config(2);
	struct swap_fixture f;

	forbid_async_io();
	f = fixture_open(&config);
	fill_random(&random, f.block, SWAP_BLOCK_BYTES);
	swap_store_set_io(f.store, &disk_io);
	if (write_block(&f, 0))
		_exit(1);
	swap_store_fetch(f.worker, 0);
	if (swap_store_read(f.worker, 0, f.back, SWAP_BLOCK_BYTES))
		_exit(2);
	_exit(memcmp(f.back, f.block, SWAP_BLOCK_BYTES) || disk.arrived || disk.asked != 2 * PARTS);
}

static void where_the_kernel_forbids_it_parts_go_one_after_the_other(void **state)
{
	pid_t child;
	int status;

	(void)state;
	memset(&disk, 0, sizeof(disk));
	child = fork();
	if (child == 0)
		swap_without_async_io();
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_EXIT_SKIP)
		test_skip_case("no seccomp here");
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_go_by_themselves),
		cmocka_unit_test(sw01_sw04_a_part_that_did_not_arrive_is_transferred_again),
		cmocka_unit_test(sw03_a_part_that_was_refused_refuses_the_block),
		cmocka_unit_test(a_kernel_without_memory_is_no_fault_of_the_disk),
		cmocka_unit_test(
			sw06_a_flipped_bit_in_any_part_is_found_and_nothing_of_the_block_is_left),
		cmocka_unit_test(sw09_a_file_cut_short_in_any_part_is_an_error),
		cmocka_unit_test(what_was_fetched_is_what_is_read),
		cmocka_unit_test(fetching_for_nothing_changes_nothing),
		cmocka_unit_test(where_the_kernel_forbids_it_parts_go_one_after_the_other),
	};

	swapdir_need();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
