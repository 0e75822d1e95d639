/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* faulty_io.c - the swap file's disk, which fails in bursts.
 *
 * Reads fail, end early or flip a bit for some milliseconds, as often as they like. Writes fail fewer
 * times than make the store close for writing (SWAP_MAX_WRITE_ERRORS), until faults_close_the_store().
 */
#include "stress.h"

#include <unistd.h>

#include "memory/swap_file.h"

enum { FEW_WRITE_FAULTS = SWAP_MAX_WRITE_ERRORS - 2, BURST_US = 120000, PEACE_US = 900000 };

static atomic_bool reads_fail, writes_fail, closing;
static _Atomic uint64_t dice;

/* Not from a seed: which request is hit depends on the threads anyway. */
static uint64_t roll(uint64_t sides)
{
	struct test_random random = { .state = atomic_fetch_add(&dice, 1) };

	return test_random_below(&random, sides);
}

static ssize_t faulty_read(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t got;

	if (!atomic_load(&reads_fail) || roll(2))
		return pread(fd, buf, len, offset);
	stress_add(&world.numbers.read_faults, 1);
	switch (roll(3)) {
	case 0: errno = EIO; return -1;
	case 1: return 0;
	default:
		got = pread(fd, buf, len, offset);
		if (got > 0)
			((uint8_t *)buf)[roll((uint64_t)got)] ^= (uint8_t)(1U << roll(8));
		return got;
	}
}

static bool write_fails(void)
{
	bool fails = atomic_load(&closing) ||
		     (atomic_load(&writes_fail) && roll(4) == 0 &&
		      atomic_load(&world.numbers.write_faults) < FEW_WRITE_FAULTS);

	if (fails)
		stress_add(&world.numbers.write_faults, 1);
	return fails;
}

static ssize_t faulty_write(int fd, const void *buf, size_t len, off_t offset)
{
	if (!write_fails())
		return pwrite(fd, buf, len, offset);
	if (roll(2))
		return 0;
	errno = EIO;
	return -1;
}

/* The store lets parts of a block go by themselves: what arrived is spoilt, or refused afterwards. */
static ssize_t faulty_arrived(void *buf, bool out, ssize_t result)
{
	if (out)
		return write_fails() ? (roll(2) ? 0 : -EIO) : result;
	if (result <= 0 || !atomic_load(&reads_fail) || roll(2))
		return result;
	stress_add(&world.numbers.read_faults, 1);
	switch (roll(3)) {
	case 0: return -EIO;
	case 1: return result / 2;
	default: ((uint8_t *)buf)[roll((uint64_t)result)] ^= (uint8_t)(1U << roll(8));
	}
	return result;
}

const struct swap_io faulty_io = { .read = faulty_read,
				   .write = faulty_write,
				   .arrived = faulty_arrived };

void *fault_thread(void *unused)
{
	struct test_random random = stress_random();

	(void)unused;
	while (!atomic_load(&world.no_faults)) {
		stress_pause_us(&random, PEACE_US);
		atomic_store(&reads_fail, test_random_below(&random, 2));
		atomic_store(&writes_fail, test_random_below(&random, 2));
		stress_pause_us(&random, BURST_US);
		atomic_store(&reads_fail, false);
		atomic_store(&writes_fail, false);
	}
	return NULL;
}

void faults_close_the_store(void)
{
	atomic_store(&closing, true);
}
