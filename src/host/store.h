/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* store.h - the files of a daemon: what VMs there are, and which of them run.
 *
 * Two shelves of JSON objects, one file each: STORE_VMS (in the state directory; outlives the host) and
 * STORE_RUNS (in the runtime directory; gone at the next boot). A file is written beside its place and
 * renamed, after its bytes are on the disk: it is old or new, never half. One that cannot be read as
 * what it should be is set aside under another name and told, and the rest goes on.
 * Threads: the loop's; calls block for as long as the disk does.
 */
#ifndef NEAP_HOST_STORE_H
#define NEAP_HOST_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum store_shelf { STORE_VMS, STORE_RUNS, STORE_SHELF_COUNT };

struct store; /* opaque */

/* A shelf is loaded up to so many objects, and a file up to 1 MiB: whoever makes objects keeps to it. */
enum { STORE_OBJECTS_MAX = 16384 };

/* Makes both directories if absent (0700), and locks the state directory. -EBUSY: another daemon has
 * it, @err says which (its pid). Refused: a directory that others own or may write. */
int store_open(const char *state_dir, const char *runtime_dir, struct store **ret_store,
	       struct err *err);
void store_close(struct store *store); /* NULL is fine */

/* Borrows @object. -EINVAL: @name is none of a VM; -EFBIG; -ENOSPC, -EROFS, ...: @err says what was not
 * stored; the old file is whole. */
int store_write(struct store *store, enum store_shelf shelf, const char *name, const json_t *object,
		struct err *err);
/* None there is fine. */
int store_remove(struct store *store, enum store_shelf shelf, const char *name, struct err *err);

/* Calls @each for every object of a shelf, sorted by name; @object borrowed. When @each returns false
 * the file is set aside, with the sentence it left in @err. */
typedef bool (*store_each)(void *ctx, const char *name, const json_t *object, struct err *err);
int store_load(struct store *store, enum store_shelf shelf, store_each each, void *ctx,
	       struct err *err);

/* What was set aside so far, as "path: reason" strings: a new reference. The first 64, and how many
 * more. */
json_t *store_set_aside(const struct store *store);

/* NAME.log, NAME.exit: paths of files that belong to a VM (see process.h). */
enum { STORE_PATH_BYTES = 4096 };
enum store_file { STORE_FILE_LOG, STORE_FILE_EXIT };
void store_path(const struct store *store, enum store_file file, const char *name,
		char ret_path[STORE_PATH_BYTES]);

/* Logs outlive their VMs by so many others: a forgotten VM's log is retired, and the oldest of more than
 * STORE_RETIRED_LOGS goes. A name that starts anew is in use. */
enum { STORE_RETIRED_LOGS = 64 };
void store_retire_log(struct store *store, const char *name);
void store_use_log(struct store *store, const char *name);
void store_remove_log(struct store *store, const char *name); /* with its predecessors, at once */

/* At the start of a daemon: what others left. */
void store_retire_unknown_logs(struct store *store, bool (*is_known)(void *ctx, const char *name),
			       void *ctx);

/* Numbers that were never given before, by this daemon or an earlier one of this directory: the first of
 * @count. On the disk before it returns. When the file that keeps them is spoilt, they go on far above all
 * that can have been given. -ENOSPC, -EROFS, ...: none were taken; ask again later. */
#define STORE_NUMBER_MAX (UINT64_C(1) << 53) /* every JSON reader can tell two of them apart */
int store_take_numbers(struct store *store, uint64_t count, uint64_t *ret_first, struct err *err);

/* The number that the next call would give, for who must go on although the disk does not take it; 0: not
 * known, since it could not even be read. */
uint64_t store_next_number(const struct store *store);

#endif
