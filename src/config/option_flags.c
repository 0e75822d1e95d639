/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* option_flags.c - flags of a program into a struct, by the rows of its table: neap run, neapd.
 *
 *   --FLAG VALUE, --FLAG=VALUE
 *   --FLAG, --no-FLAG             a boolean; a following word "on", "off" or alike is its value
 *   --GROUP VALUE,KEY=VALUE,...   a flag that leads its group: VALUE for itself, KEY for GROUP.KEY
 *   --config FILE                 loads it; what flags set, before or after, stays (given_by_flag)
 */
#include "config/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "config/suggest.h"

static const char config_flag[] = "config";

struct parse {
	const struct option_table *table;
	void *config;
};

/* A flag taken apart: --[no-]name[=value] */
struct flag {
	const struct option_row *row;
	bool is_config;
	bool negated;
	const char *value; /* after '='; NULL: none */
};

static int set_given(const struct parse *parse, const struct option_row *row, const char *text,
		     struct err *err)
{
	int ret = option_set_text(parse->config, row, text, NULL, err);
	char *at = (char *)parse->config + parse->table->given_offset;
	uint64_t given;

	if (ret < 0)
		return ret;
	memcpy(&given, at, sizeof(given));
	given |= UINT64_C(1) << (row - parse->table->rows);
	memcpy(at, &given, sizeof(given));
	return 0;
}

/* GROUP.KEY for KEY of the group that @leader leads, or NULL. */
static const struct option_row *group_member(const struct option_table *table,
					     const struct option_row *leader, const char *key,
					     size_t key_len)
{
	for (size_t i = 0; i < table->row_count; i++) {
		const char *leaf = option_leaf(&table->rows[i]);

		if (option_is_in(&table->rows[i], leader->flag) &&
		    strncmp(leaf, key, key_len) == 0 && leaf[key_len] == '\0')
			return &table->rows[i];
	}
	return NULL;
}

static int unknown_member(const struct option_table *table, const struct option_row *leader,
			  const char *key, struct err *err)
{
	struct suggest suggest = suggest_start(key);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];
	for (size_t i = 0; i < table->row_count; i++)
		if (option_is_in(&table->rows[i], leader->flag))
			suggest_offer(&suggest, option_leaf(&table->rows[i]));
	return err_set(err, -EINVAL, "unknown key %s%s", quote_text(key, quoted),
		       suggest_hint(&suggest, "", hint));
}

/* One element of a leader's list; @position 0 may be the leader's own value. */
static int set_element(const struct parse *parse, const struct option_row *leader, char *element,
		       unsigned position, struct err *err)
{
	char *equals = strchr(element, '=');
	const struct option_row *row;
	char quoted[QUOTE_BYTES];
	int ret;

	if (!equals && position == 0)
		return set_given(parse, leader, element, err);
	if (!equals)
		return err_set(err, -EINVAL, "%s is not KEY=VALUE", quote_text(element, quoted));
	*equals = '\0';
	row = group_member(parse->table, leader, element, strlen(element));
	if (!row)
		return unknown_member(parse->table, leader, element, err);
	ret = set_given(parse, row, equals + 1, err);
	return ret < 0 ? err_wrap(err, "%s", element) : 0;
}

static int set_list(const struct parse *parse, const struct option_row *leader, const char *list,
		    struct err *err)
{
	CLEANUP(free_text)
	char *copy = strdup(list); /* NOLINT: no element of argv below argc is NULL */
	char *rest = copy;
	char *element;

	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	for (unsigned position = 0; (element = strsep(&rest, ",")); position++) {
		int ret = set_element(parse, leader, element, position, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Does the argument after a boolean flag belong to it? */
static bool is_value_of_bool(const struct option_table *table, const struct option_row *row,
			     const char *next)
{
	size_t first_len = strcspn(next, ",=");
	char word[8] = "";
	bool ignored;

	if (option_leads_group(row) && next[first_len] == '=')
		return group_member(table, row, next, first_len) != NULL;
	if (first_len >= sizeof(word) || (next[first_len] && !option_leads_group(row)))
		return false;
	memcpy(word, next, first_len);
	return option_parse_bool(word, &ignored);
}

static bool split_flag(const struct option_table *table, const char *arg, struct flag *ret_flag)
{
	const char *name = arg + 2;
	size_t len = strcspn(name, "=");

	*ret_flag = (struct flag){ .value = name[len] == '=' ? name + len + 1 : NULL };
	ret_flag->is_config = len == sizeof(config_flag) - 1 && !strncmp(name, config_flag, len);
	ret_flag->row = options_by_flag(table, name, len);
	if (ret_flag->row || ret_flag->is_config)
		return true;
	if (len <= 3 || strncmp(name, "no-", 3) != 0)
		return false;
	ret_flag->row = options_by_flag(table, name + 3, len - 3);
	ret_flag->negated = true;
	return ret_flag->row && ret_flag->row->type == OPTION_BOOL;
}

/* The value, from after '=', from the next argument, or what a bare boolean means. */
static int find_value(const struct option_table *table, struct flag *flag, int argc,
		      char *const argv[], int *ret_used, struct err *err)
{
	bool is_bool = flag->row && flag->row->type == OPTION_BOOL;

	*ret_used = 1;
	if (flag->negated && flag->value)
		return err_set(err, -EINVAL, "takes no value");
	if (flag->negated)
		flag->value = "off";
	if (flag->value)
		return 0;
	if (is_bool && (argc < 2 || !is_value_of_bool(table, flag->row, argv[1]))) {
		flag->value = "on";
		return 0;
	}
	if (argc < 2)
		return err_set(err, -EINVAL, "needs a value: %s",
			       flag->row ? flag->row->metavar : "FILE");
	flag->value = argv[1];
	*ret_used = 2;
	return 0;
}

static int apply_flag(const struct parse *parse, const struct flag *flag, struct err *err)
{
	if (option_leads_group(flag->row))
		return set_list(parse, flag->row, flag->value, err);
	return set_given(parse, flag->row, flag->value, err);
}

int options_parse_flag(const struct option_table *table, void *config, int argc, char *const argv[],
		       int *ret_used, struct err *err)
{
	const struct parse parse = { .table = table, .config = config };
	struct flag flag;
	int used;
	int ret;

	if (argc < 1 || strncmp(argv[0], "--", 2) != 0 || !split_flag(table, argv[0], &flag))
		return -ENOENT;
	ret = find_value(table, &flag, argc, argv, &used, err);
	if (ret == 0 && flag.is_config) {
		ret = options_load(table, config, flag.value, err);
		if (ret < 0)
			return ret == -ENOENT ? -EINVAL : ret;
	} else if (ret == 0) {
		ret = apply_flag(&parse, &flag, err);
	}
	if (ret < 0)
		return err_wrap(err, "%.*s", (int)strcspn(argv[0], "="), argv[0]);
	*ret_used = used;
	return 0;
}

void options_suggest_flags(const struct option_table *table, struct suggest *suggest)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (table->rows[i].flag)
			suggest_offer(suggest, table->rows[i].flag);
	suggest_offer(suggest, config_flag);
}

static int unknown_flag(const struct option_table *table, const char *arg, struct err *err)
{
	char shown[SUGGEST_WORD_BYTES + 4] = ""; /* cut: nothing is near so long a word */
	size_t len = strcspn(arg, "=");
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];
	struct suggest suggest;

	memcpy(shown, arg, len < sizeof(shown) ? len : sizeof(shown) - 1);
	suggest = suggest_start(shown + strspn(shown, "-"));
	options_suggest_flags(table, &suggest);
	return err_set(err, -EINVAL, "unknown flag %s%s", quote_text(shown, quoted),
		       suggest_hint(&suggest, "--", hint));
}

int options_parse_flags(const struct option_table *table, void *config, int argc,
			char *const argv[], int *ret_used, struct err *err)
{
	int at = 0;

	while (at < argc && argv[at][0] == '-' && argv[at][1]) {
		int used = 1;
		int ret;

		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		ret = options_parse_flag(table, config, argc - at, argv + at, &used, err);
		if (ret == -ENOENT)
			return unknown_flag(table, argv[at], err);
		if (ret < 0)
			return ret;
		at += used;
	}
	*ret_used = at;
	return 0;
}
