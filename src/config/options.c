/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* options.c - the tables, finding a row, and a struct as a whole. One value is option_value.c's. */
#include "config/options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_file.h"
#include "base/units.h"
#include "config/host_config.h"
#include "policy/constants.h"

static const char *const vm_pages_names[] = { [VM_PAGES_2M] = "2M", [VM_PAGES_4K] = "4K", NULL };
static const char *const vm_console_names[] = {
	[VM_CONSOLE_SERIAL] = "serial",
	[VM_CONSOLE_VIRTIO] = "virtio",
	NULL,
};
static const char *const vm_on_reset_names[] = {
	[VM_ON_RESET_RESTART] = "restart",
	[VM_ON_RESET_STOP] = "stop",
	NULL,
};

#define ROW(struct_, key_, flag_, type_, field_, metavar_, help_, ...) \
	{ .key = (key_),                                               \
	  .flag = (flag_),                                             \
	  .type = OPTION_##type_,                                      \
	  .offset = offsetof(struct struct_, field_),                  \
	  .field_bytes = sizeof(((struct struct_ *)NULL)->field_),     \
	  .metavar = (metavar_),                                       \
	  .help = (help_),                                             \
	  __VA_ARGS__ },

static const struct option_row vm_rows[] = {
#define OPTION(...) ROW(vm_config, __VA_ARGS__)
#define GROUP(name, help)
#include "config/options.def"
#undef GROUP
#undef OPTION
};

static const struct option_row host_rows[] = {
#define OPTION(...) ROW(host_config, __VA_ARGS__)
#define GROUP(name, help)
#include "config/host_options.def"
#undef GROUP
#undef OPTION
};

#define OPTION(...)
#define GROUP(name_, help_) { .name = (name_), .help = (help_) },
static const struct option_group vm_groups[] = {
#include "config/options.def"
};
static const struct option_group host_groups[] = {
#include "config/host_options.def"
};
#undef GROUP
#undef OPTION

_Static_assert(ARRAY_LEN(vm_rows) <= 64 && ARRAY_LEN(host_rows) <= 64,
	       "given_by_flag has a bit per option");

#define TABLE(struct_, rows_, groups_)                                                     \
	{                                                                                  \
		.rows = (rows_), .row_count = ARRAY_LEN(rows_), .groups = (groups_),       \
		.group_count = ARRAY_LEN(groups_), .config_bytes = sizeof(struct struct_), \
		.given_offset = offsetof(struct struct_, given_by_flag)                    \
	}

const struct option_table vm_options = TABLE(vm_config, vm_rows, vm_groups);
const struct option_table host_options = TABLE(host_config, host_rows, host_groups);

const struct option_row *option_table(size_t *ret_count)
{
	*ret_count = vm_options.row_count;
	return vm_options.rows;
}

const struct option_group *option_groups(size_t *ret_count)
{
	*ret_count = vm_options.group_count;
	return vm_options.groups;
}

static bool same_word(const char *word, const char *text, size_t len)
{
	return word && strncmp(word, text, len) == 0 && word[len] == '\0';
}

const struct option_row *options_by_key(const struct option_table *table, const char *key,
					size_t len)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (same_word(table->rows[i].key, key, len))
			return &table->rows[i];
	return NULL;
}

const struct option_row *options_by_flag(const struct option_table *table, const char *flag,
					 size_t len)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (same_word(table->rows[i].flag, flag, len))
			return &table->rows[i];
	return NULL;
}

const struct option_row *option_by_key(const char *key, size_t len)
{
	return options_by_key(&vm_options, key, len);
}

const struct option_row *option_by_flag(const char *flag, size_t len)
{
	return options_by_flag(&vm_options, flag, len);
}

size_t option_group_len(const struct option_row *row)
{
	const char *dot = strchr(row->key, '.');

	return dot ? (size_t)(dot - row->key) : 0;
}

const char *option_leaf(const struct option_row *row)
{
	size_t len = option_group_len(row);

	return row->key + len + (len > 0);
}

bool option_is_in(const struct option_row *row, const char *group)
{
	size_t len = option_group_len(row);

	return group ? len > 0 && same_word(group, row->key, len) : len == 0;
}

bool option_leads_group(const struct option_row *row)
{
	size_t len = option_group_len(row);

	return len > 0 && same_word(row->flag, row->key, len);
}

static void free_value(void *config, const struct option_row *row)
{
	void *field = (char *)config + row->offset;

	if (row->type == OPTION_STRING || row->type == OPTION_PATH)
		free(*(char **)field);
	memset(field, 0, row->field_bytes);
}

void option_reset(void *config, const struct option_row *row)
{
	free_value(config, row);
	if (row->default_text)
		(void)option_set_text(config, row, row->default_text, NULL, NULL);
}

void options_init(const struct option_table *table, void *config)
{
	memset(config, 0, table->config_bytes);
	for (size_t i = 0; i < table->row_count; i++)
		option_reset(config, &table->rows[i]);
}

void options_fini(const struct option_table *table, void *config)
{
	for (size_t i = 0; i < table->row_count; i++)
		free_value(config, &table->rows[i]);
	memset(config, 0, table->config_bytes);
}

/* The object a row's value belongs in; made at its first row. Borrowed. */
static json_t *group_object(json_t *top, const struct option_row *row)
{
	size_t len = option_group_len(row);
	json_t *group;

	if (len == 0)
		return top;
	group = json_object_getn(top, row->key, len);
	if (!group && json_object_setn_new(top, row->key, len, json_object()) == 0)
		group = json_object_getn(top, row->key, len);
	return group;
}

char *options_to_json(const struct option_table *table, const void *config)
{
	json_t *top = json_object();
	char *text;

	for (size_t i = 0; i < table->row_count; i++) {
		const struct option_row *row = &table->rows[i];
		json_t *value = option_get_json(config, row);

		if (value)
			(void)json_object_set_new(group_object(top, row), option_leaf(row), value);
	}
	text = json_dumps(top, JSON_INDENT(2));
	json_decref(top);
	return text;
}
