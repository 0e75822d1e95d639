/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_lz4.h - the few functions of liblz4 that the swap store calls, loaded when they are first
 * needed. Not linked, for the reason of swap_libcrypto.h.
 */
#ifndef NEAP_MEMORY_SWAP_LZ4_H
#define NEAP_MEMORY_SWAP_LZ4_H

#include <lz4.h>

#include "base/err.h"

#define LZ4_FUNCTIONS(X)              \
	X(LZ4_sizeofState)            \
	X(LZ4_compress_fast_extState) \
	X(LZ4_decompress_safe)

struct lz4 {
#define LZ4_MEMBER(name) __typeof__(name) *(name);
	LZ4_FUNCTIONS(LZ4_MEMBER)
#undef LZ4_MEMBER
};

/* The library, or NULL with @err set. Any thread; the first call loads it. */
const struct lz4 *lz4_get(struct err *err);

#endif
