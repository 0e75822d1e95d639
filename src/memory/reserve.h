/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* reserve.h - frames taken at the start, before anybody can touch them. Inside memory/ only. */
#ifndef NEAP_MEMORY_RESERVE_H
#define NEAP_MEMORY_RESERVE_H

#include "memory/ram.h"

/**
 * reserve_frames() - allocate and map the first @total_bytes of @ram's file (whole frames, not zero)
 *
 * With config->progress and more than one frame: it is called on the caller's thread, now and then
 * and at the end.
 *
 * Return: 0; -ENOMEM with the sentence that says what to do; -ECANCELED: progress called it off.
 * After an error the file holds nothing, and @ram is good for nothing but ram_close().
 */
int reserve_frames(struct ram *ram, const struct ram_config *config, uint64_t total_bytes,
		   struct err *err);

#endif
