/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* store_internal.h - a store from inside: its directories, kept open. */
#ifndef NEAP_HOST_STORE_INTERNAL_H
#define NEAP_HOST_STORE_INTERNAL_H

#include "base/units.h"
#include "config/vm_config.h"
#include "host/store.h"

#define STORE_FILE_BYTES MIB_BYTES
enum { STORE_NESTING = 64 };

struct store {
	char *state_dir; /* absolute */
	char *shelf_dirs[STORE_SHELF_COUNT];
	char *logs_dir;
	int state_fd, logs_fd, lock_fd;
	int shelf_fds[STORE_SHELF_COUNT];
	json_t *set_aside;
	uint64_t set_aside_count;
	bool has_loaded;				 /* STORE_VMS, once */
	uint64_t next_number;				 /* 0: not read yet */
	char retired[STORE_RETIRED_LOGS][VM_NAME_BYTES]; /* the oldest first */
	unsigned retired_count;
};

/* One more sentence for store_set_aside(), about @name in @dir. */
void store_tell(struct store *store, const char *dir, const char *name, const char *reason);

/* Gives @name in @dir_fd another name, and tells. */
void store_put_aside(struct store *store, int dir_fd, const char *dir, const char *name,
		     const char *reason);

#endif
