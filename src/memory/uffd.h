/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* uffd.h - the guest view's page tables, as far as they are ours. Inside memory/ only.
 *
 * For: registering the view with userfaultfd, mapping what the file holds, taking mappings away.
 * Not for: deciding (block.h) or answering (pager.h).
 * Ranges are offsets in the file, whole frames, within one block or at least within one region.
 * Source: Linux Documentation/admin-guide/mm/userfaultfd.rst "Resolving Userfaults", "Minor
 * Faults"; ioctl_userfaultfd(2).
 */
#ifndef NEAP_MEMORY_UFFD_H
#define NEAP_MEMORY_UFFD_H

#include "memory/ram.h"

/* Register the whole guest view, for missing and minor faults, with @uffd. */
int uffd_register(const struct ram *ram, int uffd);

/* Map what the file holds there, and wake who sleeps. What is mapped already is only woken for.
 * -EFAULT: the file has a hole there; another negative errno. Without userfaultfd: 0. */
int uffd_map(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);

/* Whoever sleeps there wakes, and touches it again. */
void uffd_wake(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);

/* Nobody sees it any more, KVM included, until it is mapped again. Its bytes stay in the file. */
int uffd_unmap(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);

#endif
