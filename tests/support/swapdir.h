/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapdir.h - a directory on a real disk for swap files: $NEAP_TEST_DIR, or where the test runs (the
 * build directory). A swap file has no name, so nothing is left behind there.
 */
#ifndef NEAP_TESTS_SUPPORT_SWAPDIR_H
#define NEAP_TESTS_SUPPORT_SWAPDIR_H

#include <string.h>

#include "base/err.h"
#include "memory/swap_store.h"
#include "testing.h"

TESTING_INLINE const char *swapdir(void)
{
	const char *chosen = getenv("NEAP_TEST_DIR");

	return chosen ? chosen : ".";
}

/* Ends the program as skipped when there is no disk to swap to, or no memory may be locked. */
TESTING_INLINE void swapdir_need(void)
{
	const struct swap_config config = { .dir = swapdir(),
					    .size_bytes = SWAP_BLOCK_BYTES,
					    .block_count = 1 };
	struct swap_worker *workers[2] = { NULL };
	struct err err = { 0 };
	struct swap_store *store;

	if (swap_store_open(&config, &store, &err) || swap_worker_open(store, &workers[0], &err) ||
	    swap_worker_open(store, &workers[1], &err))
		test_skip_program(err.text);
	swap_worker_close(workers[0]);
	swap_worker_close(workers[1]);
	swap_store_close(store);
}

#endif
