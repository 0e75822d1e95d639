/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* status.h - what the embedded guest writes to the exit port of its own accord. 1 to 59 are left to
 * the `exit` command. */
#ifndef BARE_STATUS_H
#define BARE_STATUS_H

enum bare_status {
	STATUS_OK = 0,
	STATUS_EXCEPTION = 60, /* an exception in the guest: a bug of it, or lost memory */
	STATUS_INTERNAL = 61,  /* the guest cannot go on: bad boot data, a device that broke */
};

#endif
