/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* store_logs.c - the logs of VMs that are forgotten.
 *
 * Problem: a transient VM that failed is gone before anybody asks why, so its log has to stay. But whoever
 * may run VMs could fill the disk with the logs of a million of them.
 * Design: a list of the names that were retired last, the oldest first. When it is full the oldest name's
 * logs go. A name that is used again leaves the list, and its log grows on.
 */
#include "host/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log_file.h"

static const char suffix[] = ".log";

void store_remove_log(struct store *store, const char *name)
{
	char file[VM_NAME_BYTES + 16];

	if (!vm_name_is_valid(name))
		return;
	(void)snprintf(file, sizeof(file), "%s%s", name, suffix);
	(void)unlinkat(store->logs_fd, file, 0);
	for (unsigned i = 0; i <= LOG_FILE_KEEP_MOST; i++) {
		(void)snprintf(file, sizeof(file), "%s%s.%u", name, suffix, i);
		(void)unlinkat(store->logs_fd, file, 0);
	}
}

static void drop(struct store *store, unsigned place)
{
	store->retired_count--;
	memmove(store->retired[place], store->retired[place + 1],
		(store->retired_count - place) * sizeof(store->retired[0]));
}

void store_use_log(struct store *store, const char *name)
{
	for (unsigned i = 0; i < store->retired_count; i++)
		if (strcmp(store->retired[i], name) == 0) {
			drop(store, i);
			return;
		}
}

void store_retire_log(struct store *store, const char *name)
{
	store_use_log(store, name);
	if (store->retired_count == STORE_RETIRED_LOGS) {
		store_remove_log(store, store->retired[0]);
		drop(store, 0);
	}
	(void)snprintf(store->retired[store->retired_count++], VM_NAME_BYTES, "%s", name);
}

/* A log that nobody knows, and when it was written last. */
struct found_log {
	char name[VM_NAME_BYTES];
	struct timespec written;
};

static int compare_age(const void *a, const void *b)
{
	const struct found_log *first = a, *second = b;

	if (first->written.tv_sec != second->written.tv_sec)
		return first->written.tv_sec < second->written.tv_sec ? -1 : 1;
	if (first->written.tv_nsec != second->written.tv_nsec)
		return first->written.tv_nsec < second->written.tv_nsec ? -1 : 1;
	return strcmp(first->name, second->name);
}

/* NAME of NAME.log, in @ret_name; false: it is another file. Older logs go with NAME.log. */
static bool name_of_log(const char *file, char ret_name[VM_NAME_BYTES])
{
	size_t len = strlen(file);

	if (len < sizeof(suffix) || len - (sizeof(suffix) - 1) >= VM_NAME_BYTES ||
	    strcmp(file + len - (sizeof(suffix) - 1), suffix) != 0)
		return false;
	memcpy(ret_name, file, len - (sizeof(suffix) - 1));
	ret_name[len - (sizeof(suffix) - 1)] = '\0';
	return vm_name_is_valid(ret_name);
}

/* When there is no memory to remember it, it stays. */
static void add_found(struct found_log **logs, size_t *count, const char *name,
		      const struct timespec *written)
{
	void *more =
		*count == STORE_OBJECTS_MAX ? NULL : realloc(*logs, (*count + 1) * sizeof(**logs));

	if (!more)
		return;
	*logs = more;
	memcpy((*logs)[*count].name, name, VM_NAME_BYTES);
	(*logs)[(*count)++].written = *written;
}

void store_retire_unknown_logs(struct store *store, bool (*is_known)(void *ctx, const char *name),
			       void *ctx)
{
	int fd = openat(store->logs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct found_log *logs = NULL;
	char name[VM_NAME_BYTES] = "";
	struct dirent *entry;
	struct stat file;
	size_t count = 0;

	if (!dir) {
		close_fd(&fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (name_of_log(entry->d_name, name) && !is_known(ctx, name) &&
		    fstatat(fd, entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0)
			add_found(&logs, &count, name, &file.st_mtim);
	(void)closedir(dir);
	if (count > 0)
		qsort(logs, count, sizeof(*logs), compare_age);
	for (size_t i = 0; i < count; i++)
		store_retire_log(store, logs[i].name);
	free(logs);
}
