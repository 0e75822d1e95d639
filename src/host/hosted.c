/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hosted.c - words for what hosted.h names. */
#include "host/hosted.h"

const char *const hosted_restart_names[] = {
	[HOSTED_RESTART_NEVER] = "never",
	[HOSTED_RESTART_ON_FAILURE] = "on-failure",
	[HOSTED_RESTART_ALWAYS] = "always",
	NULL,
};
