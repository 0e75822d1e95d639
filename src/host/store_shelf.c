/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* store_shelf.c - the objects of a store: written whole, read strictly, set aside when broken.
 *
 * A shelf's directory holds NAME.json and what was set aside, NAME.json.broken-N. Other files there are
 * somebody's and stay. What a daemon that was killed left half written has a leading dot, and is
 * taken away when the shelf is loaded.
 */
#include "host/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "config/json_strict.h"
#include "config/suggest.h"
#include "config/vm_config.h"

enum { BROKEN_MAX = 100, TOLD_MAX = 64 };

static const char suffix[] = ".json";
static const char broken_mark[] = ".json.broken-";

void store_tell(struct store *store, const char *dir, const char *name, const char *reason)
{
	if (store->set_aside_count++ >= TOLD_MAX)
		return;
	log_warn("store", "%s/%s: %s", dir, name, reason);
	(void)json_array_append_new(store->set_aside, json_sprintf("%s/%s: %s", dir, name, reason));
}

json_t *store_set_aside(const struct store *store)
{
	json_t *told = json_copy(store->set_aside);

	if (told && store->set_aside_count > TOLD_MAX)
		(void)json_array_append_new(
			told, json_sprintf("and %llu more",
					   (unsigned long long)store->set_aside_count - TOLD_MAX));
	return told;
}

void store_put_aside(struct store *store, int dir_fd, const char *dir, const char *name,
		     const char *reason)
{
	char other[NAME_MAX + 1];
	char text[2 * ERR_TEXT_BYTES];
	int ret = -1;

	errno = EEXIST;
	for (unsigned i = 1; ret < 0 && errno == EEXIST && i <= BROKEN_MAX; i++) {
		(void)snprintf(other, sizeof(other), "%s.broken-%u", name, i);
		ret = renameat2(dir_fd, name, dir_fd, other, RENAME_NOREPLACE);
	}
	if (ret == 0)
		(void)snprintf(text, sizeof(text), "%s; it is now %s", reason, other);
	else
		(void)snprintf(text, sizeof(text), "%s; it is passed over, and stays: %s", reason,
			       strerror(errno));
	store_tell(store, dir, name, text);
}

static int file_name(const char *name, char ret_file[NAME_MAX + 1], struct err *err)
{
	char quoted[QUOTE_BYTES];

	if (!vm_name_is_valid(name))
		return err_set(err, -EINVAL, "%s is not the name of a VM",
			       quote_text(name, quoted));
	(void)snprintf(ret_file, NAME_MAX + 1, "%s%s", name, suffix);
	return 0;
}

/* What a host's boot takes away needs no disk. */
static bool is_durable(enum store_shelf shelf)
{
	return shelf == STORE_VMS;
}

int store_write(struct store *store, enum store_shelf shelf, const char *name, const json_t *object,
		struct err *err)
{
	CLEANUP(free_text)
	char *text = NULL;
	char file[NAME_MAX + 1];
	size_t len;
	int ret = file_name(name, file, err);

	if (ret < 0)
		return ret;
	text = json_dumps(object, JSON_INDENT(2));
	if (!text)
		return err_set(err, -ENOMEM, "%s/%s: out of memory", store->shelf_dirs[shelf],
			       file);
	len = strlen(text);
	if (len >= STORE_FILE_BYTES)
		return err_set(err, -EFBIG, "%s/%s: would be larger than 1 MiB",
			       store->shelf_dirs[shelf], file);
	text[len] = '\n'; /* in place of the NUL */
	ret = file_replace(store->shelf_fds[shelf], file, text, len + 1, is_durable(shelf), err);
	return ret < 0 && err ? err_wrap(err, "%s/%s", store->shelf_dirs[shelf], file) : ret;
}

int store_remove(struct store *store, enum store_shelf shelf, const char *name, struct err *err)
{
	char file[NAME_MAX + 1];
	int ret = file_name(name, file, err);

	if (ret < 0)
		return ret;
	if (unlinkat(store->shelf_fds[shelf], file, 0) < 0 && errno != ENOENT)
		return err_set(err, -errno, "%s/%s cannot be removed: %m", store->shelf_dirs[shelf],
			       file);
	if (is_durable(shelf) && fsync(store->shelf_fds[shelf]) < 0)
		return err_set(err, -errno,
			       "%s/%s: removed, but perhaps there again after a power failure: %m",
			       store->shelf_dirs[shelf], file);
	return 0;
}

struct names {
	char (*rows)[VM_NAME_BYTES];
	size_t count, capacity;
};

static bool add_name(struct names *names, const char *name, size_t len)
{
	if (names->count == names->capacity) {
		size_t capacity = names->capacity ? 2 * names->capacity : 64;
		void *rows = realloc(names->rows, capacity * sizeof(names->rows[0]));

		if (!rows)
			return false;
		names->rows = rows;
		names->capacity = capacity;
	}
	memcpy(names->rows[names->count], name, len);
	names->rows[names->count++][len] = '\0';
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The bytes of NAME in NAME.json, or 0. */
static size_t name_len(const char *file)
{
	size_t len = strlen(file);

	return len >= sizeof(suffix) && strcmp(file + len - (sizeof(suffix) - 1), suffix) == 0
		       ? len - (sizeof(suffix) - 1)
		       : 0;
}

/* What file_replace() wrote beside NAME.json when somebody stopped it. */
static bool is_left_over(const char *file)
{
	size_t len = strlen(file);

	return file[0] == '.' && len > 4 && strcmp(file + len - 4, ".new") == 0;
}

/* NAME.json.broken-N of a daemon before us: its VM is still missing. */
static void tell_broken(struct store *store, enum store_shelf shelf, const char *file)
{
	char quoted[QUOTE_BYTES];

	if (shelf == STORE_VMS && !store->has_loaded && strstr(file, broken_mark))
		store_tell(store, store->shelf_dirs[shelf],
			   vm_name_is_valid(file) ? file : quote_text(file, quoted),
			   "was set aside before; mend it, give it its name again, and restart "
			   "neapd, or remove it");
}

static int take_entry(struct store *store, enum store_shelf shelf, const char *file,
		      struct names *names)
{
	size_t len = name_len(file);
	char quoted[QUOTE_BYTES];
	char name[NAME_MAX + 1];

	if (is_left_over(file))
		(void)unlinkat(store->shelf_fds[shelf], file, 0);
	if (len == 0 || file[0] == '.') {
		tell_broken(store, shelf, file);
		return 0;
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, file);
	if (!vm_name_is_valid(name)) {
		store_tell(store, store->shelf_dirs[shelf], quote_text(file, quoted),
			   "not the name of a VM; it is passed over");
		return 0;
	}
	if (names->count == STORE_OBJECTS_MAX)
		return -E2BIG;
	return add_name(names, name, len) ? 0 : -ENOMEM;
}

static int list_names(struct store *store, enum store_shelf shelf, struct names *names,
		      struct err *err)
{
	const char *path = store->shelf_dirs[shelf];
	int fd = openat(store->shelf_fds[shelf], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int ret = 0;

	if (!dir) {
		ret = err_set(err, -errno, "%s: %m", path);
		close_fd(&fd);
		return ret;
	}
	for (errno = 0; ret == 0 && (entry = readdir(dir)); errno = 0)
		ret = take_entry(store, shelf, entry->d_name, names);
	if (ret == -E2BIG) {
		store_tell(store, path, "...", "too many VMs; the others are passed over");
		ret = 0;
	} else if (ret < 0) {
		(void)err_set(err, ret, "%s: out of memory", path);
	} else if (errno) {
		ret = err_set(err, -errno, "%s: %m", path);
	}
	(void)closedir(dir);
	if (names->count > 0)
		qsort(names->rows, names->count, sizeof(names->rows[0]), compare_names);
	return ret;
}

static int read_object(struct store *store, enum store_shelf shelf, const char *file,
		       json_t **ret_object, struct err *err)
{
	CLEANUP(free_text)
	char *text = NULL;
	struct json_place place;
	size_t len = 0;
	int ret = file_read_trusted(store->shelf_fds[shelf], file, 0, STORE_FILE_BYTES, &text, &len,
				    err);

	if (ret < 0)
		return ret;
	if (json_strict_parse_at(text, len, STORE_NESTING, ret_object, &place, err) < 0)
		return err_wrap(err, "line %u: not JSON", place.line);
	if (!json_is_object(*ret_object))
		return err_set(err, -EINVAL, "is not a JSON object");
	return 0;
}

/* Nothing is wrong with the file, so it stays where it is. */
static bool is_our_trouble(int ret)
{
	return ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE || ret == -EIO;
}

static void load_one(struct store *store, enum store_shelf shelf, const char *name, store_each each,
		     void *ctx)
{
	const char *path = store->shelf_dirs[shelf];
	struct err err = { 0 };
	json_t *object = NULL;
	char file[NAME_MAX + 1];
	int ret = file_name(name, file, NULL);

	if (ret == 0)
		ret = read_object(store, shelf, file, &object, &err);
	if (ret < 0 && is_our_trouble(ret))
		store_tell(store, path, file, err.text);
	else if (ret != -ENOENT && (ret < 0 || !each(ctx, name, object, &err)))
		store_put_aside(store, store->shelf_fds[shelf], path, file, err.text);
	json_decref(object);
}

int store_load(struct store *store, enum store_shelf shelf, store_each each, void *ctx,
	       struct err *err)
{
	struct names names = { 0 };
	int ret = list_names(store, shelf, &names, err);

	for (size_t i = 0; ret == 0 && i < names.count; i++)
		load_one(store, shelf, names.rows[i], each, ctx);
	store->has_loaded |= shelf == STORE_VMS;
	free(names.rows);
	return ret;
}
