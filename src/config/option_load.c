/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* option_load.c - a JSON file into a struct, by the rows of its table: vm.json, neapd.json.
 *
 * The file decides what we may open, so it is trusted only when nobody else can have written it:
 * ours or root's, and not writable by group or others. It is opened without blocking and looked at
 * through the descriptor, so a FIFO or a file exchanged meanwhile does no harm.
 */
#include "config/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/file.h"
#include "config/json_lines.h"
#include "config/json_strict.h"
#include "config/suggest.h"

/* What is being read; @config may be half filled when a mistake is found. */
struct load {
	const struct option_table *table;
	void *config;
	const char *name;
	const char *base_dir;
	const char *text;
	size_t len;
};

/* Puts FILE:LINE before what @err says; @member may be NULL. */
static int fail_at(const struct load *load, const char *key, const char *member, struct err *err)
{
	const char *keys[] = { key, member };
	unsigned line = json_line_of(load->text, load->len, keys, member ? 2 : 1);

	return err_wrap(err, "%s:%u", load->name, line);
}

/* The row of @group's @member, or of the ungrouped key @member when @group is NULL. */
static const struct option_row *find_row(const struct option_table *table, const char *group,
					 const char *member)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (option_is_in(&table->rows[i], group) &&
		    strcmp(option_leaf(&table->rows[i]), member) == 0)
			return &table->rows[i];
	return NULL;
}

static bool is_group(const struct option_table *table, const char *key)
{
	for (size_t i = 0; i < table->group_count; i++)
		if (strcmp(table->groups[i].name, key) == 0)
			return true;
	return false;
}

/* A right name in the wrong place is the likeliest mistake: "kernel" instead of boot.kernel. */
static const struct option_row *misplaced(const struct option_table *table, const char *key)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (strcmp(table->rows[i].key, key) == 0 ||
		    strcmp(option_leaf(&table->rows[i]), key) == 0)
			return &table->rows[i];
	return NULL;
}

static void offer_keys(const struct option_table *table, struct suggest *suggest, const char *group)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (option_is_in(&table->rows[i], group))
			suggest_offer(suggest, option_leaf(&table->rows[i]));
	for (size_t i = 0; i < table->group_count && !group; i++)
		suggest_offer(suggest, table->groups[i].name);
}

static int unknown_key(const struct option_table *table, const char *group, const char *key,
		       struct err *err)
{
	const struct option_row *elsewhere = misplaced(table, key);
	struct suggest suggest = suggest_start(key);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];

	(void)quote_text(key, quoted);
	if (elsewhere && option_group_len(elsewhere) > 0)
		return err_set(err, -EINVAL,
			       "unknown key %s; it belongs in \"%.*s\": {\"%s\": ...}", quoted,
			       (int)option_group_len(elsewhere), elsewhere->key,
			       option_leaf(elsewhere));
	if (elsewhere)
		return err_set(err, -EINVAL, "unknown key %s; it belongs at the top", quoted);
	offer_keys(table, &suggest, group);
	return err_set(err, -EINVAL, "unknown key %s%s", quoted, suggest_hint(&suggest, "", hint));
}

static bool is_given(const struct load *load, const struct option_row *row)
{
	uint64_t given;

	memcpy(&given, (const char *)load->config + load->table->given_offset, sizeof(given));
	return given >> (row - load->table->rows) & 1;
}

/* It holds nothing, but has to be right. */
static int check_value(const struct load *load, const struct option_row *row, const json_t *value,
		       struct err *err)
{
	void *ignored = calloc(1, load->table->config_bytes);
	int ret = ignored ? option_set_json(ignored, row, value, load->base_dir, err)
			  : err_set(err, -ENOMEM, "out of memory");

	if (ignored)
		options_fini(load->table, ignored);
	free(ignored);
	return ret;
}

static int load_value(const struct load *load, const char *group, const char *key,
		      const json_t *value, struct err *err)
{
	const struct option_row *row = find_row(load->table, group, key);
	int ret;

	if (!row)
		return unknown_key(load->table, group, key, err);
	if (is_given(load, row))
		ret = check_value(load, row, value, err);
	else
		ret = option_set_json(load->config, row, value, load->base_dir, err);
	return ret < 0 ? err_wrap(err, "%s", row->key) : 0;
}

static int load_group(const struct load *load, const char *group, json_t *members, struct err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(members)) {
		(void)err_set(err, -EINVAL, "%s: must be an object", group);
		return fail_at(load, group, NULL, err);
	}
	json_object_foreach(members, key, value) if (load_value(load, group, key, value, err) <
						     0) return fail_at(load, group, key, err);
	return 0;
}

static int load_object(const struct load *load, json_t *top, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(top, key, value)
	{
		int ret;

		if (is_group(load->table, key)) {
			ret = load_group(load, key, value, err);
			if (ret < 0)
				return ret;
		} else if (load_value(load, NULL, key, value, err) < 0) {
			return fail_at(load, key, NULL, err);
		}
	}
	return 0;
}

int options_load_text(const struct option_table *table, void *config, const char *name,
		      const char *base_dir, const char *untrusted_text, size_t len, struct err *err)
{
	struct load load = { .table = table,
			     .config = config,
			     .name = name,
			     .base_dir = base_dir,
			     .text = untrusted_text,
			     .len = len };
	struct json_place place;
	json_t *top = NULL;
	struct err discarded;
	int ret;

	if (!err)
		err = &discarded;
	ret = json_strict_parse_at(untrusted_text, len, OPTIONS_NESTING, &top, &place, err);
	if (ret < 0)
		return err_wrap(err, "%s:%u: not JSON", name, place.line);
	if (json_is_object(top))
		ret = load_object(&load, top, err);
	else
		ret = err_set(err, -EINVAL, "%s:1: must be a JSON object: {...}", name);
	json_decref(top);
	return ret;
}

/* The absolute directory of @path; NULL: no memory, or it is gone. Caller frees. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(free_text)
	char *dir = NULL;

	if (!slash)
		return realpath(".", NULL);
	dir = strndup(path, (size_t)(slash - path) + 1);
	return dir ? realpath(dir, NULL) : NULL;
}

int options_load(const struct option_table *table, void *config, const char *path, struct err *err)
{
	CLEANUP(free_text)
	char *text = NULL;
	CLEANUP(free_text)
	char *base_dir = NULL;
	size_t len = 0;
	int ret = file_read_trusted(AT_FDCWD, path, FILE_FOLLOW_LINKS, OPTIONS_FILE_BYTES, &text,
				    &len, err);

	if (ret < 0)
		return err ? err_wrap(err, "%s", path) : ret;
	base_dir = directory_of(path);
	if (!base_dir)
		return err_set(err, -errno, "%s: its directory: %m", path);
	return options_load_text(table, config, path, base_dir, text, len, err);
}
