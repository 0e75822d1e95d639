/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* placement.h - the command line and the initrd: checks, and a place in guest RAM. */
#ifndef NEAP_BOOT_PLACEMENT_H
#define NEAP_BOOT_PLACEMENT_H

#include "base/err.h"
#include "memory/ram.h"

struct placed_initrd {
	uint64_t start;
	uint64_t len_bytes; /* 0: there is none */
};

/**
 * cmdline_write() - put the command line at GUEST_CMDLINE
 * @max_bytes: what the kernel takes, without the final NUL
 * Return: 0; -E2BIG: too long; -EINVAL: a control character (a newline, say).
 */
int cmdline_write(struct ram *ram, const char *cmdline, uint64_t max_bytes, struct err *err);

/**
 * initrd_load() - put the file as high as it may go, page aligned
 * @path:     or NULL: nothing is done, and ret->len_bytes is 0
 * @low_end:  first address above the kernel's memory
 * @high_end: first address the initrd may not touch
 * Return: 0; -EINVAL: not a file to use; -E2BIG: does not fit between the two.
 */
int initrd_load(const char *path, struct ram *ram, uint64_t low_end, uint64_t high_end,
		struct placed_initrd *ret_initrd, struct err *err);

#endif
