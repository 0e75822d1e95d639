/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* options.c - the table, and finding a row. Values are option_value.c's. */
#include "config/options.h"

#include <limits.h>
#include <string.h>

#include "base/units.h"
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

static const struct option_row option_rows[] = {
#define OPTION(key_, flag_, type_, field_, metavar_, help_, ...)     \
	{ .key = (key_),                                             \
	  .flag = (flag_),                                           \
	  .type = OPTION_##type_,                                    \
	  .offset = offsetof(struct vm_config, field_),              \
	  .field_bytes = sizeof(((struct vm_config *)NULL)->field_), \
	  .metavar = (metavar_),                                     \
	  .help = (help_),                                           \
	  __VA_ARGS__ },
#define GROUP(name, help)
#include "config/options.def"
#undef GROUP
#undef OPTION
};

static const struct option_group groups[] = {
#define OPTION(...)
#define GROUP(name_, help_) { .name = (name_), .help = (help_) },
#include "config/options.def"
#undef GROUP
#undef OPTION
};

_Static_assert(ARRAY_LEN(option_rows) <= 64, "given_by_flag has a bit per option");

const struct option_row *option_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(option_rows);
	return option_rows;
}

const struct option_group *option_groups(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(groups);
	return groups;
}

static bool same_word(const char *word, const char *text, size_t len)
{
	return word && strncmp(word, text, len) == 0 && word[len] == '\0';
}

const struct option_row *option_by_key(const char *key, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(option_rows); i++)
		if (same_word(option_rows[i].key, key, len))
			return &option_rows[i];
	return NULL;
}

const struct option_row *option_by_flag(const char *flag, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(option_rows); i++)
		if (same_word(option_rows[i].flag, flag, len))
			return &option_rows[i];
	return NULL;
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
