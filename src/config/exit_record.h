/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* exit_record.h - how a VM's process ended, left by itself in a file for whoever started it.
 *
 * JSON: {"exit_code", "reason", "uuid", "pid", "ended"}; exit_code is one of base/exit_codes.def, ended
 * the time (UTC). Written for every end that the process knows of; there is none after SIGKILL or a
 * crash of neap itself. The file is whole, or not there.
 * Threads: one writes.
 */
#ifndef NEAP_CONFIG_EXIT_RECORD_H
#define NEAP_CONFIG_EXIT_RECORD_H

#include <sys/types.h>

#include "base/err.h"

enum { EXIT_REASON_BYTES = 512, EXIT_NAME_BYTES = 256 };

/* Where it shall be: opened early, so that a wrong path shows at once. */
struct exit_place {
	int dir_fd; /* -1: nowhere */
	char name[EXIT_NAME_BYTES];
};

/* A record of an earlier process there is removed. */
int exit_place_open(const char *path, struct exit_place *ret_place, struct err *err);
void exit_place_close(struct exit_place *place);

struct exit_record {
	int exit_code;
	pid_t pid; /* 0: not said */
	char reason[EXIT_REASON_BYTES];
};

/* Of this process. @reason: untrusted text, made printable. A place that is nowhere takes it. */
int exit_record_write(const struct exit_place *place, int exit_code, const char *reason,
		      const char *uuid, struct err *err);

/* -ENOENT: there is none. Another negative errno: not one of ours, @err says why. */
int exit_record_read(const char *path, struct exit_record *ret_record, struct err *err);

#endif
