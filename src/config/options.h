/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* options.h - the tables of options, made from options.def and host_options.def, and values in and out of
 * the struct that a table fills.
 *
 * Flags, vm.json and neapd.json, help, the man pages and the defaults all come from these rows.
 * Threads: the tables are constant; a struct belongs to its caller.
 */
#ifndef NEAP_CONFIG_OPTIONS_H
#define NEAP_CONFIG_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/units.h"
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
	OPTION_MODE,	 /* unsigned: permissions of a file, as text in octal: 0660 */
};

struct option_row {
	const char *key;
	const char *flag;
	enum option_type type;
	bool live;
	size_t offset;	    /* of the field in the table's struct */
	size_t field_bytes; /* of that field */
	const char *metavar;
	const char *help;
	const char *unit;
	uint64_t min, max; /* SIZE, UNSIGNED; of STRING, PATH and NAME max is bytes */
	const char *default_text;
	const char *default_words;
	const char *const *choices; /* of an ENUM, in the order of its numbers, NULL at the end */
	bool empty_is_none;	    /* of a PATH: "" is a value, and means that there is none */
};

struct option_group {
	const char *name;
	const char *help;
};

/* All options of one struct: a VM's, or a daemon's. */
struct option_table {
	const struct option_row *rows;
	size_t row_count;
	const struct option_group *groups;
	size_t group_count;
	size_t config_bytes; /* of the struct */
	size_t given_offset; /* of its uint64_t with a bit per row: a flag has set it, and no file shall */
};
extern const struct option_table vm_options;   /* of struct vm_config: options.def */
extern const struct option_table host_options; /* of struct host_config: host_options.def */

/* The VM's. */
const struct option_row *option_table(size_t *ret_count);
const struct option_group *option_groups(size_t *ret_count);

/* Rows by JSON path or flag name (@len bytes of it); NULL: no such. The short ones are the VM's. */
const struct option_row *options_by_key(const struct option_table *table, const char *key,
					size_t len);
const struct option_row *options_by_flag(const struct option_table *table, const char *flag,
					 size_t len);
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
 * option_set_json() - one value, as in a file
 * @config:   the struct of the row's table
 * @base_dir: what a relative path starts from; NULL: the working directory
 *
 * Return: 0; -EINVAL, -ERANGE: @err says what is wrong with the value, without naming the option;
 *         -ENOMEM. On failure @config is as before.
 */
int option_set_text(void *config, const struct option_row *row, const char *text,
		    const char *base_dir, struct err *err);
int option_set_json(void *config, const struct option_row *row, const json_t *value,
		    const char *base_dir, struct err *err);

/* As if it had never been given. */
void option_reset(void *config, const struct option_row *row);

/* The value as a file has it: a new reference; NULL when it is not given. */
json_t *option_get_json(const void *config, const struct option_row *row);

/* All of a struct: it is emptied and gets the defaults of fixed value; its strings are freed. */
void options_init(const struct option_table *table, void *config);
void options_fini(const struct option_table *table, void *config);

/* As JSON text that options_load() reads back to the same; NULL: no memory. Caller frees. */
char *options_to_json(const struct option_table *table, const void *config);

#define OPTIONS_FILE_BYTES MIB_BYTES
enum { OPTIONS_NESTING = 64 };

/* See vm_config_load() and its like: the same for any table. */
int options_load(const struct option_table *table, void *config, const char *path, struct err *err);
int options_load_text(const struct option_table *table, void *config, const char *name,
		      const char *base_dir, const char *untrusted_text, size_t len,
		      struct err *err);
int options_parse_flags(const struct option_table *table, void *config, int argc,
			char *const argv[], int *ret_used, struct err *err);
int options_parse_flag(const struct option_table *table, void *config, int argc, char *const argv[],
		       int *ret_used, struct err *err);

/* The flags of a table, one paragraph each, for a terminal; NULL: no memory. Caller frees. */
char *options_help(const struct option_table *table);

struct suggest;
void options_suggest_flags(const struct option_table *table, struct suggest *suggest);

/* "on", "off" and their like. */
bool option_parse_bool(const char *text, bool *ret_value);

#endif
