/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_libcrypto.h - the few functions of libcrypto that the swap store calls, loaded when a store
 * is first opened.
 *
 * Not linked: libcrypto costs every process that links it 1.1 ms at its start and 1.4 MiB, and most
 * VMs never swap. The names and types are those of its headers.
 */
#ifndef NEAP_MEMORY_SWAP_LIBCRYPTO_H
#define NEAP_MEMORY_SWAP_LIBCRYPTO_H

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LIBCRYPTO_FUNCTIONS(X)      \
	X(CRYPTO_set_mem_functions) \
	X(OPENSSL_init_crypto)      \
	X(EVP_CIPHER_fetch)         \
	X(EVP_CIPHER_CTX_new)       \
	X(EVP_CIPHER_CTX_free)      \
	X(EVP_CIPHER_CTX_ctrl)      \
	X(EVP_EncryptInit_ex)       \
	X(EVP_EncryptUpdate)        \
	X(EVP_EncryptFinal_ex)      \
	X(EVP_DecryptInit_ex)       \
	X(EVP_DecryptUpdate)        \
	X(EVP_DecryptFinal_ex)

struct libcrypto {
#define LIBCRYPTO_MEMBER(name) __typeof__(name) *(name);
	LIBCRYPTO_FUNCTIONS(LIBCRYPTO_MEMBER)
#undef LIBCRYPTO_MEMBER
	EVP_CIPHER *cipher; /* the one that this processor is good at */
};

/* Memory that libcrypto takes from while a thread has lent it (libcrypto_lend). */
struct libcrypto_memory {
	uint8_t *base;
	size_t len, used;
};

/* The library, or NULL with @err set. Any thread; the first call loads it. */
const struct libcrypto *libcrypto_get(struct err *err);

/* From now on this thread's allocations inside libcrypto come from @memory; NULL: from malloc. What
 * was taken is not given back one by one: the owner wipes it all. */
void libcrypto_lend(struct libcrypto_memory *memory);

#endif
