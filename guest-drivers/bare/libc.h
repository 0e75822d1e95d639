/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* libc.h - what C promises by these names (C11 §7.24 "String handling"). */
#ifndef BARE_LIBC_H
#define BARE_LIBC_H

#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int byte, size_t len);
void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
int memcmp(const void *a, const void *b, size_t len);

#endif
