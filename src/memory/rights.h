/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rights.h - may this process answer page faults itself? If not: what is missing, and what mends it.
 *
 * The one place that opens a userfaultfd, so that what `neap doctor` says is what neap does.
 * Threads: any; nothing is kept.
 */
#ifndef NEAP_MEMORY_RIGHTS_H
#define NEAP_MEMORY_RIGHTS_H

#include <stdbool.h>

enum { RIGHTS_TEXT_BYTES = 240 };

struct userfaultfd_rights {
	bool allowed;
	char how[RIGHTS_TEXT_BYTES];	 /* allowed: by what */
	char missing[RIGHTS_TEXT_BYTES]; /* else: everything that would have done */
	char mend[RIGHTS_TEXT_BYTES];	 /* and a command for one of them */
};

/**
 * rights_open_userfaultfd() - a userfaultfd that sees faults from inside the kernel, as KVM's are
 *
 * Close-on-exec and non-blocking. Not a USER_MODE_ONLY one: KVM, and whoever else touches guest
 * memory from inside the kernel, would fail instead of waiting.
 *
 * Return: the descriptor, which knows nothing of memory yet; or a negative errno. @ret_rights, which
 * may be NULL, is filled in either way.
 * Source: userfaultfd(2); Linux Documentation/admin-guide/mm/userfaultfd.rst "Creating a
 * userfaultfd".
 */
int rights_open_userfaultfd(struct userfaultfd_rights *ret_rights);

/* The same question without keeping anything open. Also asks whether this kernel can do it for huge
 * pages. */
void rights_check_userfaultfd(struct userfaultfd_rights *ret_rights);

/* A userfaultfd was opened, and then this kernel could not use it for our memory. */
void rights_deny(struct userfaultfd_rights *rights);

#endif
