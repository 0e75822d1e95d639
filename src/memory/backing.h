/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* backing.h - the file whose pages are guest RAM. Inside memory/ only.
 *
 * 2 MiB frames: a hugetlb memfd, or an unnamed file on a hugetlbfs mount the user names.
 * 4 KiB frames: a memfd. Nothing of it has a name, so nothing is left when the process dies.
 */
#ifndef NEAP_MEMORY_BACKING_H
#define NEAP_MEMORY_BACKING_H

#include "memory/ram.h"

/* The file, config->ram_bytes long and all holes; or a negative errno. */
int backing_open(const struct ram_config *config, struct err *err);

/**
 * backing_check_room() - does the host seem to have @first_frames frames for this guest now?
 *
 * By counters, without taking anything; always yes for 4 KiB frames. The sentence on failure is
 * about the whole guest, since that is what a person wants to reserve.
 *
 * Return: 0; -ENOMEM with the sentence that says what to do; another negative errno.
 */
int backing_check_room(const struct ram_config *config, uint64_t first_frames, struct err *err);

/* The same once backing_allocate() has failed and everything was given back: always an error, and
 * @err says the likeliest why. */
int backing_explain_failure(const struct ram_config *config, uint64_t first_frames,
			    struct err *err);

/* Allocate [offset, offset + len) of the file: 0; -ENOSPC: not now; another negative errno. */
int backing_allocate(int fd, uint64_t offset_bytes, uint64_t len_bytes);

/**
 * backing_populate() - the same for frames of 2 MiB, by way of a mapping that is not registered with
 * userfaultfd (the host view): [@at, @at + len_bytes) is allocated and mapped there
 *
 * For threads that allocate side by side. fallocate on hugetlbfs holds the file's lock while it
 * zeroes, so that two of them take turns, with each other and with every punch: 120 us per frame
 * with one thread and with two, against 120 and 62 this way. On 4 KiB frames fallocate is the
 * cheaper one (1.4 us a page against 3.3).
 *
 * Return: 0; -ENOSPC: not now; another negative errno.
 * Source: madvise(2) MADV_POPULATE_WRITE (Linux 5.14; fallocate before that).
 */
int backing_populate(int fd, void *at, uint64_t offset_bytes, uint64_t len_bytes);

#endif
