/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_lz4.c - see swap_lz4.h. */
#include "memory/swap_lz4.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The interface of LZ4 1.x; its header and this name belong together. */
#define LZ4_NAME "liblz4.so.1"

static struct lz4 library;
static struct err load_err;

static void load(void)
{
	void *handle = dlopen(LZ4_NAME, RTLD_NOW | RTLD_LOCAL);
	bool all = true;

	if (!handle) {
		(void)err_set(&load_err, -ELIBACC,
			      "swap: %s: install liblz4-1, or run with swap.compress false",
			      dlerror());
		return;
	}
#define LZ4_FIND(name)                                                            \
	library.name = (__typeof__(library.name))(uintptr_t)dlsym(handle, #name); \
	all = all && library.name;
	LZ4_FUNCTIONS(LZ4_FIND)
#undef LZ4_FIND
	if (!all)
		(void)err_set(&load_err, -ELIBBAD, "swap: %s lacks a function", LZ4_NAME);
}

const struct lz4 *lz4_get(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, load);
	if (load_err.code == 0)
		return &library;
	(void)err_set(err, load_err.code, "%s", load_err.text);
	return NULL;
}
