/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_cipher.h - seal what goes to the swap file, and open only what was sealed.
 *
 * Authenticated encryption with associated data by libcrypto: AES-256-GCM, or ChaCha20-Poly1305 on
 * a processor without AES instructions. A store that does not encrypt uses the same cipher for the
 * tag only (the data is all "associated data"; with AES that is GMAC).
 *
 * A nonce must never be used twice with one key: it is the store's write counter, and the key lives
 * no longer than the store.
 *
 * Threads: a cipher belongs to one thread.
 */
#ifndef NEAP_MEMORY_SWAP_CIPHER_H
#define NEAP_MEMORY_SWAP_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct swap_cipher; /* opaque */

enum { SWAP_KEY_BYTES = 32, SWAP_TAG_BYTES = 16, SWAP_NONCE_BYTES = 12 };

/* How much locked memory a cipher wants (locked_map_key). */
enum { SWAP_CIPHER_BYTES = 16384 };

/* What a tag covers beside the data: nothing of it is on the disk. */
struct swap_seal {
	uint8_t vm_uuid[16];
	uint64_t block;
	uint64_t generation; /* of the store, never used twice: the nonce */
};

/* A key from the kernel's random numbers into @key, which lies in locked memory. 0 or -errno. */
int swap_key_make(uint8_t key[SWAP_KEY_BYTES]);

/**
 * swap_cipher_create() - a cipher whose key schedule lies in @memory
 * @memory:  SWAP_CIPHER_BYTES, zeroed, locked; the caller wipes it after swap_cipher_destroy()
 * @encrypt: or only authenticate
 *
 * The first call of a process loads libcrypto, which only VMs that swap pay for.
 *
 * Return: 0; otherwise a negative errno with @err set.
 */
int swap_cipher_create(const uint8_t key[SWAP_KEY_BYTES], bool encrypt, void *memory,
		       struct swap_cipher **ret_cipher, struct err *err);
void swap_cipher_destroy(struct swap_cipher *cipher);

/**
 * swap_cipher_begin() - seal something (@seal), or open what was sealed (swap_cipher_begin_open())
 *
 * Then its parts, in order; then the end, which says whether all of it went well.
 */
void swap_cipher_begin(struct swap_cipher *cipher, const struct swap_seal *seal);
void swap_cipher_begin_open(struct swap_cipher *cipher, const struct swap_seal *seal);

/* Seal the next part in place. */
void swap_cipher_seal_part(struct swap_cipher *cipher, uint8_t *data, size_t len);
/* Open the next part from @data to @out, which may be the same. Not to be believed yet. */
void swap_cipher_open_part(struct swap_cipher *cipher, const uint8_t *data, size_t len,
			   uint8_t *out);

/* 0; -EIO: libcrypto failed, and what was sealed is of no use. */
int swap_cipher_end(struct swap_cipher *cipher, uint8_t ret_tag[SWAP_TAG_BYTES]);
/* 0; -EBADMSG: not what was sealed, or not with this seal; what was opened holds anything. */
int swap_cipher_end_open(struct swap_cipher *cipher, const uint8_t tag[SWAP_TAG_BYTES]);

/* All of it in one part. */
int swap_cipher_seal(struct swap_cipher *cipher, const struct swap_seal *seal, uint8_t *data,
		     size_t len, uint8_t ret_tag[SWAP_TAG_BYTES]);
int swap_cipher_open(struct swap_cipher *cipher, const struct swap_seal *seal, const uint8_t *data,
		     size_t len, const uint8_t tag[SWAP_TAG_BYTES], uint8_t *out);

#endif
