/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swap_store_hostile.c - disks that refuse, stop half way, or lie. Writes: the block is not
 * stored, and so stays in memory. Reads: an error, never zeros, never anything older.
 *
 * The disk is struct swap_io: `disk` says what it does next. Damage is done through the descriptor.
 * Everything goes when it is asked for here; test_swap_store_async.c has what goes by itself.
 */
#include "swap_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static struct {
	int write_errno, read_errno; /* fail with it, this many times */
	int write_fails, read_fails;
	size_t most_bytes; /* of one transfer; 0: all */
	bool ends;	   /* transfers end after nothing */
	size_t torn_bytes; /* that still arrive of what is written, though it says all did */
	bool tear;
} disk;

static ssize_t disk_write(int fd, const void *buf, size_t len, off_t offset)
{
	if (disk.write_fails > 0) {
		disk.write_fails--;
		errno = disk.write_errno;
		return -1;
	}
	if (disk.ends)
		return 0;
	if (disk.tear) {
		size_t arrive = disk.torn_bytes < len ? disk.torn_bytes : len;

		if (arrive > 0)
			assert_int_equal(pwrite(fd, buf, arrive, offset), arrive);
		disk.torn_bytes -= arrive;
		return (ssize_t)len;
	}
	return pwrite(fd, buf, disk.most_bytes && disk.most_bytes < len ? disk.most_bytes : len,
		      offset);
}

static ssize_t disk_read(int fd, void *buf, size_t len, off_t offset)
{
	if (disk.read_fails > 0) {
		disk.read_fails--;
		errno = disk.read_errno;
		return -1;
	}
	if (disk.ends)
		return 0;
	return pread(fd, buf, disk.most_bytes && disk.most_bytes < len ? disk.most_bytes : len,
		     offset);
}

static const struct swap_io disk_io = { .read = disk_read, .write = disk_write };

static struct swap_fixture rig_open(bool encrypt)
{
	struct swap_config config = fixture_config(4);
	struct swap_fixture fixture;
	struct test_random random = test_random_start();

	config.encrypt = encrypt;
	fixture = fixture_open(&config);
	memset(&disk, 0, sizeof(disk));
	swap_store_set_io(fixture.store, &disk_io);
	fill_random(&random, fixture.block, SWAP_BLOCK_BYTES);
	return fixture;
}

static int write_block(struct swap_fixture *f, uint64_t block)
{
	return swap_store_write(f->worker, block, f->block, SWAP_BLOCK_BYTES, all_live);
}

static int read_block(struct swap_fixture *f, uint64_t block)
{
	memset(f->back, 0, SWAP_BLOCK_BYTES);
	return swap_store_read(f->worker, block, f->back, SWAP_BLOCK_BYTES);
}

static struct swap_place place_of(const struct swap_fixture *f, uint64_t block)
{
	return swap_extents_place(&f->store->extents, block);
}

/* The bytes of a stored block, as they lie in the file, in or out. */
static void raw(struct swap_fixture *f, uint64_t block, uint8_t *buf, bool out)
{
	const struct swap_place place = place_of(f, block);

	for (int i = 0; i < SWAP_MAX_PIECES && place.len_pages[i]; i++) {
		size_t len = pages_to_bytes(place.len_pages[i]);
		off_t at = (off_t)pages_to_bytes(place.first_page[i]);

		assert_int_equal(out ? pwrite(swap_store_fd(f->store), buf, len, at)
				     : pread(swap_store_fd(f->store), buf, len, at),
				 len);
		buf += len;
	}
}

static void sw01_transfers_that_stop_half_way_go_on(void **state)
{
	struct swap_fixture f = rig_open(true);

	(void)state;
	disk.most_bytes = 3 * GUEST_PAGE_BYTES;
	assert_int_equal(write_block(&f, 1), 0);
	assert_int_equal(read_block(&f, 1), 0);
	assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
	assert_int_equal(fixture_stats(&f).write_errors, 0);
	fixture_close(&f);
}

static void sw01_transfers_that_end_early_are_errors(void **state)
{
	struct swap_fixture f = rig_open(true);

	(void)state;
	assert_int_equal(write_block(&f, 1), 0);
	disk.ends = true;
	assert_int_equal(read_block(&f, 1), -EIO);
	assert_int_equal(write_block(&f, 2), -EIO);
	assert_false(swap_store_has(f.store, 2));
	disk.ends = false;
	assert_int_equal(read_block(&f, 1), 0); /* the failed read took nothing away */
	assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
	assert_int_equal(fixture_stats(&f).read_errors, 1);
	fixture_close(&f);
}

static void sw02_a_store_larger_than_the_disk_is_refused_at_once(void **state)
{
	struct swap_config config = fixture_config(1);
	struct swap_store *store = NULL;
	struct statvfs before, after;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(statvfs(swapdir(), &before), 0);
	config.size_bytes = (before.f_bavail + 1024) * before.f_frsize + GIB_BYTES;
	if (config.size_bytes > SWAP_MAX_FILE_BYTES)
		test_skip_case("the disk has more room than the largest store");
	assert_int_equal(swap_store_open(&config, &store, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "are free there"));
	assert_null(store);
	/* It was not tried out by filling the disk; others write to it meanwhile. */
	assert_int_equal(statvfs(swapdir(), &after), 0);
	assert_true(after.f_bavail > before.f_bavail / 2);
}

/* A write that the disk refuses with @code: not stored, its room retired, the next one works. */
static void refuse_one_write(int code)
{
	struct swap_fixture f = rig_open(true);
	struct swap_stats stats;

	assert_int_equal(write_block(&f, 0), 0);
	disk.write_errno = code;
	disk.write_fails = 1;
	assert_int_equal(write_block(&f, 1), -EIO);
	stats = fixture_stats(&f);
	assert_false(swap_store_has(f.store, 1));
	assert_int_equal(read_block(&f, 1), -ENOENT);
	assert_int_equal(stats.write_errors, 1);
	assert_int_equal(stats.retired_bytes, SWAP_BLOCK_BYTES);
	assert_int_equal(stats.used_bytes, SWAP_BLOCK_BYTES);
	assert_int_equal(write_block(&f, 1), 0);
	assert_int_equal(write_block(&f, 2), 0);
	assert_int_equal(write_block(&f, 3), -ENOSPC); /* the retired piece is not used again */
	for (uint64_t block = 0; block < 3; block++) {
		assert_int_equal(read_block(&f, block), 0);
		assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
	}
	fixture_close(&f);
}

static void sw02_sw03_sw10_refused_writes_retire_their_room(void **state)
{
	(void)state;
	refuse_one_write(ENOSPC); /* SW02 */
	refuse_one_write(EIO);	  /* SW03 */
	refuse_one_write(EROFS);  /* SW10: remounted read-only */
	refuse_one_write(EDQUOT); /* SW10: quota */
}

/* The host is short of memory when it swaps; eight times that must not close the store. */
static void a_kernel_without_memory_is_no_fault_of_the_disk(void **state)
{
	struct swap_fixture f = rig_open(true);

	(void)state;
	disk.write_errno = ENOMEM;
	disk.write_fails = 2 * SWAP_MAX_WRITE_ERRORS;
	for (int i = 0; i < 2 * SWAP_MAX_WRITE_ERRORS; i++)
		assert_int_equal(write_block(&f, 0), -ENOMEM);
	assert_int_equal(fixture_stats(&f).used_bytes + fixture_stats(&f).retired_bytes, 0);
	assert_int_equal(write_block(&f, 0), 0);
	assert_int_equal(read_block(&f, 0), 0);
	assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
	fixture_close(&f);
}

static void sw03_a_read_that_fails_is_an_error_and_can_be_tried_again(void **state)
{
	struct swap_fixture f = rig_open(false);

	(void)state;
	assert_int_equal(write_block(&f, 0), 0);
	disk.read_errno = EIO;
	disk.read_fails = 2;
	assert_int_equal(read_block(&f, 0), -EIO);
	assert_int_equal(read_block(&f, 0), -EIO);
	assert_int_equal(read_block(&f, 0), 0);
	assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
	assert_int_equal(fixture_stats(&f).read_errors, 2);
	fixture_close(&f);
}

static void sw03_after_eight_errors_nothing_is_written_and_all_is_still_read(void **state)
{
	struct swap_config config = fixture_config(16);
	struct swap_fixture f = fixture_open(&config);
	struct test_random random = test_random_start();

	(void)state;
	memset(&disk, 0, sizeof(disk));
	swap_store_set_io(f.store, &disk_io);
	fill_random(&random, f.block, SWAP_BLOCK_BYTES);
	assert_int_equal(write_block(&f, 0), 0);
	disk.write_errno = EIO;
	disk.write_fails = SWAP_MAX_WRITE_ERRORS;
	for (int i = 0; i < SWAP_MAX_WRITE_ERRORS; i++) {
		assert_false(fixture_stats(&f).closed_for_writing);
		assert_int_equal(write_block(&f, 1), -EIO);
	}
	assert_true(fixture_stats(&f).closed_for_writing);
	assert_int_equal(write_block(&f, 1), -EROFS);
	assert_int_equal(read_block(&f, 0), 0);
	assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
	swap_store_drop(f.store, 0);
	assert_int_equal(fixture_stats(&f).used_bytes, 0);
	fixture_close(&f);
}

static void sw04_signals_in_the_middle_change_nothing(void **state)
{
	struct swap_fixture f = rig_open(true);

	(void)state;
	disk.write_errno = disk.read_errno = EINTR;
	disk.write_fails = disk.read_fails = 20;
	disk.most_bytes = 64 * GUEST_PAGE_BYTES;
	assert_int_equal(write_block(&f, 0), 0);
	assert_int_equal(read_block(&f, 0), 0);
	assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
	assert_int_equal(fixture_stats(&f).write_errors, 0);
	fixture_close(&f);
}

/* SW05: the disk says that it wrote everything, and wrote the first part, or nothing. */
static void sw05_a_torn_write_is_found_when_it_is_read(void **state)
{
	(void)state;
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		struct swap_fixture f = rig_open(encrypt);

		disk.tear = true;
		for (size_t arrive = 0; arrive < SWAP_BLOCK_BYTES;
		     arrive += SWAP_BLOCK_BYTES / 4 - GUEST_PAGE_BYTES / 8) {
			disk.torn_bytes = align_down(arrive, GUEST_PAGE_BYTES);
			assert_int_equal(write_block(&f, 0), 0);
			assert_int_equal(read_block(&f, 0), -EBADMSG);
			f.block[0]++; /* other bytes than the last round's, which lie there */
		}
		assert_true(fixture_stats(&f).bad_blocks >= 4);
		fixture_close(&f);
	}
}

static void sw06_a_flipped_bit_anywhere_is_found(void **state)
{
	struct test_random random = test_random_start();
	uint8_t *bytes = fixture_block();

	(void)state;
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		struct swap_fixture f = rig_open(encrypt);

		fill_compressible(&random, f.block, SWAP_BLOCK_BYTES / 2);
		for (int i = 0; i < 12; i++) {
			struct swap_place place;
			size_t len, at;

			/* Dense, with a map, compressed: the last page's padding counts too. */
			memset(f.block + SWAP_BLOCK_BYTES - pages_to_bytes((uint64_t)i), 0,
			       pages_to_bytes((uint64_t)i));
			assert_int_equal(write_block(&f, 0), 0);
			raw(&f, 0, bytes, false);
			place = place_of(&f, 0);
			len = pages_to_bytes(swap_place_pages(&place));
			at = i % 3 ? test_random_below(&random, len) : len - 1;
			bytes[at] ^= (uint8_t)(1 << i % 8);
			raw(&f, 0, bytes, true);
			assert_int_equal(read_block(&f, 0), -EBADMSG);
			bytes[at] ^= (uint8_t)(1 << i % 8);
			raw(&f, 0, bytes, true);
			assert_int_equal(read_block(&f, 0), 0);
			assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
		}
		fixture_close(&f);
	}
	(void)munmap(bytes, SWAP_BLOCK_BYTES);
}

static void sw07_what_was_stored_before_is_not_taken_for_now(void **state)
{
	uint8_t *old = fixture_block();

	(void)state;
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		struct swap_fixture f = rig_open(encrypt);
		struct swap_place place, again;

		assert_int_equal(write_block(&f, 0), 0);
		raw(&f, 0, old, false);
		place = place_of(&f, 0);
		f.block[77]++;
		assert_int_equal(write_block(&f, 0), 0);
		again = place_of(&f, 0);
		assert_memory_equal(&place, &again, sizeof(place));
		raw(&f, 0, old, true);
		assert_int_equal(read_block(&f, 0), -EBADMSG);
		/* Even the same bytes, written again, are another generation. */
		f.block[77]--;
		assert_int_equal(write_block(&f, 0), 0);
		if (encrypt) {
			raw(&f, 0, old, true);
			assert_int_equal(read_block(&f, 0), -EBADMSG);
		}
		fixture_close(&f);
	}
	(void)munmap(old, SWAP_BLOCK_BYTES);
}

static void sw08_two_blocks_exchanged_are_found(void **state)
{
	uint8_t *one = fixture_block(), *two = fixture_block();

	(void)state;
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		struct swap_fixture f = rig_open(encrypt);

		assert_int_equal(write_block(&f, 1), 0);
		f.block[4096]++;
		assert_int_equal(write_block(&f, 2), 0);
		raw(&f, 1, one, false);
		raw(&f, 2, two, false);
		raw(&f, 1, two, true);
		raw(&f, 2, one, true);
		assert_int_equal(read_block(&f, 1), -EBADMSG);
		assert_int_equal(read_block(&f, 2), -EBADMSG);
		raw(&f, 1, one, true);
		raw(&f, 2, two, true);
		assert_int_equal(read_block(&f, 2), 0);
		assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
		/* Not even when our own table mixes them up. */
		f.store->entries[3] = f.store->entries[2];
		assert_int_equal(read_block(&f, 3), -EBADMSG);
		f.store->entries[3].word = 0;
		fixture_close(&f);
	}
	(void)munmap(one, SWAP_BLOCK_BYTES);
	(void)munmap(two, SWAP_BLOCK_BYTES);
}

static void sw09_a_file_cut_short_is_an_error(void **state)
{
	struct swap_fixture f = rig_open(true);
	int fd = swap_store_fd(f.store);

	(void)state;
	assert_int_equal(write_block(&f, 0), 0);
	assert_int_equal(ftruncate(fd, (off_t)SWAP_BLOCK_BYTES / 2), 0);
	assert_int_equal(read_block(&f, 0), -EIO);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(read_block(&f, 0), -EIO);
	/* Grown again it is a file of zeros. */
	assert_int_equal(ftruncate(fd, (off_t)f.store->size_bytes), 0);
	assert_int_equal(read_block(&f, 0), -EBADMSG);
	fixture_close(&f);
}

static int entries_of(const char *dir)
{
	DIR *open_dir = opendir(dir);
	int count = 0;

	assert_non_null(open_dir);
	while (readdir(open_dir))
		count++;
	(void)closedir(open_dir);
	return count;
}

/* So nobody can unlink, replace or open it. */
static void sw09_the_file_has_no_name_and_gets_none(void **state)
{
	char dir[4096], path[64], name[8192];
	struct swap_config config = fixture_config(1);
	struct swap_fixture f;
	struct stat status;

	(void)state;
	assert_in_range(snprintf(dir, sizeof(dir), "%s/neap-swap-XXXXXX", swapdir()), 1, 4095);
	assert_non_null(mkdtemp(dir));
	config.dir = dir;
	f = fixture_open(&config);
	assert_int_equal(entries_of(dir), 2);
	assert_int_equal(fstat(swap_store_fd(f.store), &status), 0);
	assert_int_equal(status.st_nlink, 0);
	assert_int_equal(status.st_mode & 07777, 0);
	assert_true((uint64_t)status.st_blocks * 512 >= SWAP_BLOCK_BYTES);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", swap_store_fd(f.store));
	(void)snprintf(name, sizeof(name), "%s/name", dir);
	assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW), -1);
	assert_int_equal(fcntl(swap_store_fd(f.store), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	/* The directory may go while the store is at work. */
	assert_int_equal(rmdir(dir), 0);
	f.block[0] = 1;
	assert_int_equal(write_block(&f, 0), 0);
	assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
	fixture_close(&f);
}

static void refuse_dir(const char *dir, int code, const char *says)
{
	struct swap_config config = fixture_config(1);
	struct swap_store *store = NULL;
	struct err err = { 0 };
	int result;

	config.dir = dir;
	result = swap_store_open(&config, &store, &err);
	if (result != code || !strstr(err.text, says))
		fail_msg("%s: %d, \"%s\"", dir, result, err.text);
	assert_int_equal(err.code, code);
	assert_null(store);
}

static void sw09_what_is_no_directory_on_a_disk_is_refused(void **state)
{
	char dir[4096], link_path[8192], fifo_path[8192], file_path[8192];
	int fd;

	(void)state;
	assert_in_range(snprintf(dir, sizeof(dir), "%s/neap-swap-XXXXXX", swapdir()), 1, 4095);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(link_path, sizeof(link_path), "%s/link", dir);
	(void)snprintf(fifo_path, sizeof(fifo_path), "%s/fifo", dir);
	(void)snprintf(file_path, sizeof(file_path), "%s/file", dir);
	assert_int_equal(symlink(".", link_path), 0);
	assert_int_equal(mkfifo(fifo_path, 0600), 0);
	fd = open(file_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	(void)close(fd);
	refuse_dir(link_path, -ENOTDIR, "symbolic link");
	refuse_dir(fifo_path, -ENOTDIR, "ot a directory");
	refuse_dir(file_path, -ENOTDIR, "ot a directory");
	(void)unlink(link_path);
	(void)unlink(fifo_path);
	(void)unlink(file_path);
	(void)rmdir(dir);
	refuse_dir(dir, -ENOENT, "make it");
	refuse_dir("/dev/null", -ENOTDIR, "ot a directory");
}

static void a_directory_in_memory_is_refused_by_name(void **state)
{
	struct statvfs fs;

	(void)state;
	if (statvfs("/dev/shm", &fs))
		test_skip_case("no /dev/shm here");
	refuse_dir("/dev/shm", -EINVAL, "memory itself");
	if (geteuid() == 0) /* others may not write there in the first place */
		refuse_dir("/proc", -EOPNOTSUPP, "O_TMPFILE");
}

/* SW10: over RLIMIT_FSIZE the kernel would end the process by SIGXFSZ. */
static void sw10_a_limit_on_files_is_an_error_and_no_signal(void **state)
{
	struct swap_config config = fixture_config(2);
	struct swap_store *store = NULL;
	struct rlimit before, low;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	low = (struct rlimit){ SWAP_BLOCK_BYTES, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(swap_store_open(&config, &store, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(strstr(err.text, "ulimit -f"));
}

static void sizes_that_make_no_sense_are_refused(void **state)
{
	const uint64_t sizes[] = { 0, UINT64_MAX, SWAP_MAX_FILE_BYTES + 1 };
	struct swap_config config = fixture_config(1);
	struct swap_store *store = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct err err = { 0 };

		config.size_bytes = sizes[i];
		assert_true(swap_store_open(&config, &store, &err) < 0);
		assert_true(err.text[0] != '\0');
	}
	config = fixture_config(1);
	config.block_count = UINT64_MAX;
	assert_int_equal(swap_store_open(&config, &store, NULL), -ERANGE);
	config.block_count = 0;
	assert_int_equal(swap_store_open(&config, &store, NULL), -EINVAL);
}

/* A nonce is never used twice, so the counter must not wrap. */
static void a_store_out_of_generations_closes(void **state)
{
	struct swap_fixture f = rig_open(true);

	(void)state;
	atomic_store(&f.store->generation, ENTRY_LAST_GENERATION - 1);
	assert_int_equal(write_block(&f, 0), 0);
	assert_int_equal(write_block(&f, 1), -EROFS);
	assert_true(fixture_stats(&f).closed_for_writing);
	assert_int_equal(write_block(&f, 2), -EROFS);
	assert_int_equal(fixture_stats(&f).used_bytes, SWAP_BLOCK_BYTES);
	assert_int_equal(read_block(&f, 0), 0);
	assert_memory_equal(f.back, f.block, SWAP_BLOCK_BYTES);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sw01_transfers_that_stop_half_way_go_on),
		cmocka_unit_test(sw01_transfers_that_end_early_are_errors),
		cmocka_unit_test(sw02_a_store_larger_than_the_disk_is_refused_at_once),
		cmocka_unit_test(sw02_sw03_sw10_refused_writes_retire_their_room),
		cmocka_unit_test(a_kernel_without_memory_is_no_fault_of_the_disk),
		cmocka_unit_test(sw03_a_read_that_fails_is_an_error_and_can_be_tried_again),
		cmocka_unit_test(sw03_after_eight_errors_nothing_is_written_and_all_is_still_read),
		cmocka_unit_test(sw04_signals_in_the_middle_change_nothing),
		cmocka_unit_test(sw05_a_torn_write_is_found_when_it_is_read),
		cmocka_unit_test(sw06_a_flipped_bit_anywhere_is_found),
		cmocka_unit_test(sw07_what_was_stored_before_is_not_taken_for_now),
		cmocka_unit_test(sw08_two_blocks_exchanged_are_found),
		cmocka_unit_test(sw09_a_file_cut_short_is_an_error),
		cmocka_unit_test(sw09_the_file_has_no_name_and_gets_none),
		cmocka_unit_test(sw09_what_is_no_directory_on_a_disk_is_refused),
		cmocka_unit_test(a_directory_in_memory_is_refused_by_name),
		cmocka_unit_test(sw10_a_limit_on_files_is_an_error_and_no_signal),
		cmocka_unit_test(sizes_that_make_no_sense_are_refused),
		cmocka_unit_test(a_store_out_of_generations_closes),
	};

	swapdir_need();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
