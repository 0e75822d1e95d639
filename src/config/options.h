/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* options.h - the table of options made from options.def, and one value in and out of a vm_config.
 *
 * Flags, vm.json, help, the man pages and the defaults all come from these rows.
 * Threads: the table is constant; a vm_config belongs to its caller.
 */
#ifndef NEAP_CONFIG_OPTIONS_H
#define NEAP_CONFIG_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/vm_config.h"

enum option_type {
	OPTION_NAME,	 /* char[VM_NAME_BYTES]: [A-Za-z0-9][A-Za-z0-9._-]* */
	OPTION_UUID,	 /* char[37], kept in lower case */
	OPTION_STRING,	 /* char *, no control characters; NULL = not given */
	OPTION_PATH,	 /* char *, made absolute; NULL = not given */
	OPTION_SIZE,	 /* uint64_t bytes; in JSON "512M" or an integer */
	OPTION_UNSIGNED, /* unsigned or uint64_t, by the field's width */
	OPTION_BOOL,	 /* bool; as text on or off */
	OPTION_ENUM,	 /* an enum from 0; as text one of choices */
};

struct option_row {
	const char *key;
	const char *flag;
	enum option_type type;
	bool live;
	size_t offset;	    /* of the field in struct vm_config */
	size_t field_bytes; /* of that field */
	const char *metavar;
	const char *help;
	const char *unit;
	uint64_t min, max; /* SIZE, UNSIGNED; of STRING, PATH and NAME max is bytes */
	const char *default_text;
	const char *default_words;
	const char *const *choices; /* of an ENUM, in the order of its numbers, NULL at the end */
};

const struct option_row *option_table(size_t *ret_count);

struct option_group {
	const char *name;
	const char *help;
};
const struct option_group *option_groups(size_t *ret_count);

/* Rows by JSON path or flag name (@len bytes of it); NULL: no such. */
const struct option_row *option_by_key(const char *key, size_t len);
const struct option_row *option_by_flag(const char *flag, size_t len);

/* Bytes of the key before its dot; 0: in no group. The leaf is what follows the dot. */
size_t option_group_len(const struct option_row *row);
const char *option_leaf(const struct option_row *row);

/* @group: a group's name, or NULL for the rows that are in none. */
bool option_is_in(const struct option_row *row, const char *group);

/* True when the row's flag has its group's name, and so takes KEY=VALUE of the whole group. */
bool option_leads_group(const struct option_row *row);

/**
 * option_set_text() - one value, as typed after a flag
 * option_set_json() - one value, as in vm.json
 * @base_dir: what a relative path starts from; NULL: the working directory
 *
 * Return: 0; -EINVAL, -ERANGE: @err says what is wrong with the value, without naming the option;
 *         -ENOMEM. On failure @config is as before.
 */
int option_set_text(struct vm_config *config, const struct option_row *row, const char *text,
		    const char *base_dir, struct err *err);
int option_set_json(struct vm_config *config, const struct option_row *row, const json_t *value,
		    const char *base_dir, struct err *err);

/* The value as vm.json has it: a new reference; NULL when it is not given. */
json_t *option_get_json(const struct vm_config *config, const struct option_row *row);

/* "on", "off" and their like. */
bool option_parse_bool(const char *text, bool *ret_value);

#endif
