/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* delays.c - now and then, a thread loses its CPU just where it hurts.
 *
 * Between two steps that must not be parted there is a microsecond; a race that needs another thread to
 * do a millisecond's work in there would show once a day. So the linker gives us the calls that stand
 * at such places, and some of them take their time: before a stored copy is dropped, and around
 * mapping and unmapping. Nothing may be lost by that, only time.
 */
#include "stress.h"

#include "memory/uffd.h"

void __real_swap_store_drop(struct swap_store *store, uint64_t block);
void __wrap_swap_store_drop(struct swap_store *store, uint64_t block);
int __real_uffd_map(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);
int __wrap_uffd_map(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);
int __real_uffd_unmap(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);
int __wrap_uffd_unmap(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);

enum { DROPS_PER_DELAY = 8, MAPS_PER_DELAY = 128, DELAY_US = 3000 };

static void delay_one_of(uint64_t times)
{
	static _Atomic uint64_t turns;
	struct test_random random = { .state = world.options.seed + atomic_fetch_add(&turns, 1) };

	if (world.options.delays && test_random_below(&random, times) == 0)
		stress_pause_us(&random, DELAY_US);
}

void __wrap_swap_store_drop(struct swap_store *store, uint64_t block)
{
	delay_one_of(DROPS_PER_DELAY);
	__real_swap_store_drop(store, block);
}

int __wrap_uffd_map(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	int result;

	delay_one_of(MAPS_PER_DELAY);
	result = __real_uffd_map(ram, offset_bytes, len_bytes);
	delay_one_of(MAPS_PER_DELAY);
	return result;
}

int __wrap_uffd_unmap(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	int result;

	delay_one_of(MAPS_PER_DELAY);
	result = __real_uffd_unmap(ram, offset_bytes, len_bytes);
	delay_one_of(MAPS_PER_DELAY);
	return result;
}
