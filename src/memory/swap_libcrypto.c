/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_libcrypto.c - see swap_libcrypto.h.
 *
 * Problem. libcrypto keeps expanded keys in memory that it allocates itself, and the first bytes of
 * an expanded AES key are the key. Ordinary memory reaches core dumps and the host's swap.
 *
 * Design. libcrypto lets a program bring its own malloc, if it does so before the first allocation.
 * Ours is malloc, except while a thread has lent memory of its own: contexts with keys are made
 * then, and lie where nothing is dumped or swapped. A header before each piece says whose it is.
 *
 * The library's configuration file is not read: a provider that somebody configured for a web server
 * has no business in a VM.
 *
 * Sources: OPENSSL_malloc(3); OPENSSL_init_crypto(3); EVP_EncryptInit(3).
 */
#include "memory/swap_libcrypto.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The interface of OpenSSL 3; its headers and this name belong together. */
#define LIBCRYPTO_NAME "libcrypto.so.3"

struct piece {
	_Alignas(16) size_t len;
	size_t lent;
};

static _Thread_local struct libcrypto_memory *lent_memory;

static struct libcrypto library;
static struct err load_err;

static struct piece *take_lent(struct libcrypto_memory *memory, size_t len)
{
	struct piece *piece;

	if (len > memory->len - memory->used)
		return NULL;
	piece = (struct piece *)(void *)(memory->base + memory->used);
	memory->used += len;
	return piece;
}

static void *take(size_t len, const char *file, int line)
{
	size_t whole = (len + sizeof(struct piece) + 15) & ~(size_t)15;
	struct piece *piece;

	(void)file;
	(void)line;
	if (whole < len)
		return NULL;
	piece = lent_memory ? take_lent(lent_memory, whole) : malloc(whole);
	if (!piece)
		return NULL;
	*piece = (struct piece){ .len = len, .lent = lent_memory != NULL };
	return piece + 1;
}

static void give(void *at, const char *file, int line)
{
	struct piece *piece = at;

	(void)file;
	(void)line;
	if (piece && !piece[-1].lent)
		free(piece - 1);
}

static void *change(void *at, size_t len, const char *file, int line)
{
	struct piece *piece = at;
	void *now = take(len, file, line);

	if (now && piece)
		memcpy(now, piece, piece[-1].len < len ? piece[-1].len : len);
	if (now)
		give(at, file, line);
	return now;
}

static int find_functions(void *handle)
{
	bool all = true;

#define LIBCRYPTO_FIND(name)                                                      \
	library.name = (__typeof__(library.name))(uintptr_t)dlsym(handle, #name); \
	all = all && library.name;
	LIBCRYPTO_FUNCTIONS(LIBCRYPTO_FIND)
#undef LIBCRYPTO_FIND
	return all ? 0 : err_set(&load_err, -ELIBBAD, "swap: %s lacks a function", LIBCRYPTO_NAME);
}

/* Asked by hand: __builtin_cpu_supports() brings a constructor that asks the processor for all it can
 * when the program starts, and each such question traps where the host is a VM itself. */
static const char *best_cipher(void)
{
#ifdef __x86_64__
	unsigned eax, ebx, ecx, edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_AES) || !(ecx & bit_PCLMUL))
		return "ChaCha20-Poly1305";
#endif
	return "AES-256-GCM";
}

static void load(void)
{
	void *handle = dlopen(LIBCRYPTO_NAME, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		(void)err_set(&load_err, -ELIBACC,
			      "swap: %s: install libssl3 (OpenSSL 3), or run without a swap file",
			      dlerror());
		return;
	}
	if (find_functions(handle))
		return;
	if (!library.CRYPTO_set_mem_functions(take, change, give)) {
		(void)err_set(&load_err, -EBUSY,
			      "swap: something else in this process uses %s already",
			      LIBCRYPTO_NAME);
		return;
	}
	(void)library.OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT,
					  NULL);
	library.cipher = library.EVP_CIPHER_fetch(NULL, best_cipher(), NULL);
	if (!library.cipher)
		(void)err_set(&load_err, -ELIBBAD, "swap: %s has no %s", LIBCRYPTO_NAME,
			      best_cipher());
}

const struct libcrypto *libcrypto_get(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, load);
	if (load_err.code == 0)
		return &library;
	(void)err_set(err, load_err.code, "%s", load_err.text);
	return NULL;
}

void libcrypto_lend(struct libcrypto_memory *memory)
{
	lent_memory = memory;
}
