/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet_spec.c - see fleet_spec.h.
 *
 * One table of keys for text and for --set. A text is checked to be printable first, so that what
 * a message quotes from it cannot do anything to a terminal.
 */
#include "sim/fleet_spec.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "sim/builtin_fleets.h"

#define MINUTE_S UINT64_C(60)
#define HOUR_S	 (60 * MINUTE_S)
#define DAY_S	 (24 * HOUR_S)

enum { LINE_BYTES = 256 };

const struct fleet_pattern_row fleet_patterns[FLEET_PATTERN_COUNT] = {
#define PATTERN(id, pattern_name, pattern_help) \
	[FLEET_PATTERN_##id] = { pattern_name, pattern_help },
#include "sim/patterns.def"
#undef PATTERN
};

enum key_type { KEY_SIZE, KEY_TIME, KEY_NUMBER, KEY_PATTERN };

struct key {
	const char *name;
	enum key_type type;
	size_t offset, bytes;
	uint64_t min, max;
	const char *default_text;
};

#define KEY_ROW(of, key, key_type, member, low, high, preset) \
	{                                                     \
		key,                                          \
		KEY_##key_type,                               \
		offsetof(struct of, member),                  \
		sizeof(((struct of *)0)->member),             \
		low,                                          \
		high,                                         \
		preset                                        \
	},

static const struct key fleet_keys[] = {
#define CLASS_KEY(key, type, member, low, high, preset, help)
#define FLEET_KEY(key, type, member, low, high, preset, help) \
	KEY_ROW(fleet_spec, key, type, member, low, high, preset)
#include "sim/fleet_keys.def"
#undef FLEET_KEY
#undef CLASS_KEY
};

static const struct key class_keys[] = {
#define FLEET_KEY(key, type, member, low, high, preset, help)
#define CLASS_KEY(key, type, member, low, high, preset, help) \
	KEY_ROW(fleet_class, key, type, member, low, high, preset)
#include "sim/fleet_keys.def"
#undef FLEET_KEY
#undef CLASS_KEY
};

_Static_assert(ARRAY_LEN(class_keys) <= FLEET_KEYS_MAX, "a bit per key");

static const struct key *find_key(const struct key *keys, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* ---- One value ---- */

static int parse_number(const char *text, uint64_t *ret_value, const char **ret_end)
{
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	*ret_value = value;
	*ret_end = end;
	return 0;
}

static int parse_time(const char *text, uint64_t *ret_s)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = { { "s", 1 }, { "m", MINUTE_S }, { "h", HOUR_S }, { "d", DAY_S } };
	const char *suffix;
	uint64_t number;
	int ret = parse_number(text, &number, &suffix);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(suffix, units[i].name) == 0)
			return __builtin_mul_overflow(number, units[i].seconds, ret_s) ? -ERANGE
										       : 0;
	return -EINVAL;
}

static int parse_pattern(const char *text, uint64_t *ret_pattern)
{
	for (uint64_t i = 0; i < FLEET_PATTERN_COUNT; i++) {
		if (strcmp(fleet_patterns[i].name, text) != 0)
			continue;
		*ret_pattern = i;
		return 0;
	}
	return -EINVAL;
}

static int parse_value(const struct key *key, const char *text, uint64_t *ret_value)
{
	const char *end = "";
	int ret;

	switch (key->type) {
	case KEY_SIZE: return units_parse_size(text, ret_value, NULL);
	case KEY_TIME: return parse_time(text, ret_value);
	case KEY_PATTERN: return parse_pattern(text, ret_value);
	case KEY_NUMBER: break;
	}
	ret = parse_number(text, ret_value, &end);
	return ret == 0 && *end ? -EINVAL : ret;
}

static int wrong_value(const struct key *key, const char *text, struct err *err)
{
	static const char *const expected[] = {
		[KEY_SIZE] = "a size like 512M or 2G",
		[KEY_TIME] = "a time like 30s, 5m, 24h or 7d",
		[KEY_NUMBER] = "a number",
		[KEY_PATTERN] = "a pattern; neap help sim has their names",
	};

	return err_set(err, -EINVAL, "%s = \"%.40s\": write %s", key->name, text,
		       expected[key->type]);
}

static int out_of_range(const struct key *key, struct err *err)
{
	char low[UNITS_TEXT_BYTES], high[UNITS_TEXT_BYTES];

	if (key->type == KEY_SIZE)
		return err_set(err, -ERANGE, "%s must be from %s to %s", key->name,
			       units_format_exact(key->min, low),
			       units_format_exact(key->max, high));
	return err_set(err, -ERANGE, "%s must be from %" PRIu64 " to %" PRIu64 "%s", key->name,
		       key->min, key->max, key->type == KEY_TIME ? " seconds" : "");
}

static int set_value(void *into, const struct key *key, const char *text, struct err *err)
{
	uint64_t value = 0;
	int ret = parse_value(key, text, &value);
	uint32_t narrow;

	if (ret == -EINVAL)
		return wrong_value(key, text, err);
	if (ret < 0 || (key->type != KEY_PATTERN && (value < key->min || value > key->max)))
		return out_of_range(key, err);
	narrow = (uint32_t)value;
	if (key->bytes == sizeof(narrow))
		memcpy((char *)into + key->offset, &narrow, sizeof(narrow));
	else
		memcpy((char *)into + key->offset, &value, sizeof(value));
	return 0;
}

static void set_defaults(void *into, const struct key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (keys[i].default_text && *keys[i].default_text)
			(void)set_value(into, &keys[i], keys[i].default_text, NULL);
}

/* ---- A class and a fleet, as a whole ---- */

static void complete_class(struct fleet_class *class)
{
	struct policy_settings *settings = &class->settings;

	settings->frame_bytes = HUGE_FRAME_BYTES;
	if (settings->minimum_bytes == 0)
		settings->minimum_bytes = policy_default_minimum_bytes(settings->maximum_bytes);
	if (settings->startup_bytes == 0)
		settings->startup_bytes = settings->maximum_bytes;
	if (class->high_bytes == 0)
		class->high_bytes = class->low_bytes;
}

static int check_class(const struct fleet_class *class, struct err *err)
{
	char maximum[UNITS_TEXT_BYTES];
	int ret = policy_check_settings(&class->settings, err);

	if (ret < 0)
		return ret;
	if (!is_aligned(class->settings.maximum_bytes, HUGE_FRAME_BYTES))
		return err_set(err, -EINVAL, "memory.maximum must be a multiple of 2M");
	if (class->low_bytes > class->high_bytes)
		return err_set(err, -EINVAL, "low is above high");
	if (class->high_bytes > class->settings.maximum_bytes)
		return err_set(err, -EINVAL, "high is above memory.maximum, %s",
			       units_format_exact(class->settings.maximum_bytes, maximum));
	return 0;
}

static int check_spec(const struct fleet_spec *spec, struct err *err)
{
	for (unsigned i = 0; i < spec->class_count; i++)
		if (check_class(&spec->classes[i], err) < 0)
			return err_wrap(err, "[%s]", spec->classes[i].name);
	if (fleet_spec_vms(spec) > FLEET_VMS_MAX)
		return err_set(err, -ERANGE, "more than %d VMs", FLEET_VMS_MAX);
	return 0;
}

uint64_t fleet_spec_vms(const struct fleet_spec *spec)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < spec->class_count; i++)
		count += spec->classes[i].count;
	return count;
}

/* ---- Text ---- */

struct parser {
	const char *name;
	unsigned line;
	struct fleet_spec *spec;
	struct fleet_class *class; /* NULL: before the first */
	uint32_t seen;		   /* bit per key of where we are */
};

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " ");
	end = text + strlen(text);
	while (end > text && end[-1] == ' ')
		*--end = '\0';
	return text;
}

static int require_keys(uint32_t seen, const struct key *keys, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (!keys[i].default_text && !(seen >> i & 1))
			return err_set(err, -EINVAL, "%s is missing", keys[i].name);
	return 0;
}

static int end_section(struct parser *parser, struct err *err)
{
	int ret;

	if (!parser->class)
		return require_keys(parser->seen, fleet_keys, ARRAY_LEN(fleet_keys), err);
	ret = require_keys(parser->seen, class_keys, ARRAY_LEN(class_keys), err);
	complete_class(parser->class);
	if (ret == 0)
		ret = check_class(parser->class, err);
	return ret < 0 ? err_wrap(err, "[%s]", parser->class->name) : 0;
}

static bool is_name(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";
	size_t len = strlen(text);

	return len > 0 && len < FLEET_NAME_BYTES && strspn(text, allowed) == len;
}

static int begin_class(struct parser *parser, char *name, struct err *err)
{
	struct fleet_spec *spec = parser->spec;
	size_t len = strlen(name);
	int ret = end_section(parser, err);

	if (ret < 0)
		return ret;
	if (name[len - 1] != ']')
		return err_set(err, -EINVAL, "a class is written [NAME]");
	name[len - 1] = '\0';
	name = trim(name + 1);
	if (!is_name(name))
		return err_set(err, -EINVAL,
			       "\"%.40s\" is no name of a class; use at most %d letters, digits, "
			       "dashes and underscores",
			       name, FLEET_NAME_BYTES - 1);
	for (unsigned i = 0; i < spec->class_count; i++)
		if (strcmp(spec->classes[i].name, name) == 0)
			return err_set(err, -EINVAL, "[%s] is there already", name);
	if (spec->class_count == FLEET_CLASSES_MAX)
		return err_set(err, -E2BIG, "more than %d classes", FLEET_CLASSES_MAX);
	parser->class = &spec->classes[spec->class_count++];
	parser->seen = 0;
	memcpy(parser->class->name, name, strlen(name) + 1);
	set_defaults(parser->class, class_keys, ARRAY_LEN(class_keys));
	return 0;
}

static int read_pair(struct parser *parser, char *text, struct err *err)
{
	const struct key *keys = parser->class ? class_keys : fleet_keys;
	size_t count = parser->class ? ARRAY_LEN(class_keys) : ARRAY_LEN(fleet_keys);
	void *into = parser->class ? (void *)parser->class : (void *)parser->spec;
	char *equals = strchr(text, '=');
	const struct key *key;
	char *name;

	if (!equals)
		return err_set(err, -EINVAL, "\"%.40s\" is neither KEY = VALUE nor [CLASS]", text);
	*equals = '\0';
	name = trim(text);
	key = find_key(keys, count, name);
	if (!key)
		return err_set(err, -EINVAL, "there is no key \"%.40s\" %s", name,
			       parser->class ? "of a class" : "of a fleet");
	if (parser->seen >> (key - keys) & 1)
		return err_set(err, -EINVAL, "%s is there already", name);
	parser->seen |= 1U << (key - keys);
	return set_value(into, key, trim(equals + 1), err);
}

static int read_line(struct parser *parser, const char *bytes, size_t len, struct err *err)
{
	char text[LINE_BYTES], *start;

	if (len >= sizeof(text))
		return err_set(err, -E2BIG, "a line is longer than %d bytes", LINE_BYTES - 1);
	for (size_t i = 0; i < len; i++)
		if ((bytes[i] < ' ' && bytes[i] != '\t' && bytes[i] != '\r') || bytes[i] > '~')
			return err_set(err, -EINVAL,
				       "byte %zu is not a printable character of ASCII", i + 1);
	memcpy(text, bytes, len);
	text[len] = '\0';
	for (char *c = text; *c; c++)
		if (*c < ' ')
			*c = ' '; /* a message may quote it */
	text[strcspn(text, "#")] = '\0';
	start = trim(text);
	if (*start == '\0')
		return 0;
	return *start == '[' ? begin_class(parser, start, err) : read_pair(parser, start, err);
}

static int read_lines(struct parser *parser, const char *bytes, size_t len, struct err *err)
{
	const char *end = bytes + len;

	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		size_t line_len = (size_t)((newline ? newline : end) - bytes);
		int ret;

		parser->line++;
		ret = read_line(parser, bytes, line_len, err);
		if (ret < 0)
			return ret;
		bytes += line_len + (newline != NULL);
	}
	if (!parser->class)
		return err_set(err, -EINVAL, "there is no [CLASS] of VMs");
	return end_section(parser, err);
}

/* The last part of a path, without its ending: what the fleet is called. */
static void take_name(struct fleet_spec *spec, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t len = strcspn(name, ".");

	len = len < FLEET_NAME_BYTES ? len : FLEET_NAME_BYTES - 1;
	memcpy(spec->name, name, len);
	for (size_t i = 0; i < len; i++)
		if (spec->name[i] < ' ' || spec->name[i] > '~')
			spec->name[i] = '?';
}

int fleet_spec_parse(const char *name, const char *untrusted_bytes, size_t len,
		     struct fleet_spec *ret_spec, struct err *err)
{
	struct fleet_spec spec = { 0 };
	struct parser parser = { .name = name, .spec = &spec };
	int ret;

	if (len > FLEET_TEXT_BYTES)
		return err_set(err, -E2BIG, "%s: longer than %d bytes", name, FLEET_TEXT_BYTES);
	take_name(&spec, name);
	set_defaults(&spec, fleet_keys, ARRAY_LEN(fleet_keys));
	ret = read_lines(&parser, untrusted_bytes, len, err);
	if (ret == 0)
		ret = check_spec(&spec, err);
	if (ret < 0) {
		(void)err_wrap(err, "%s:%u", name, parser.line);
		return ret;
	}
	*ret_spec = spec;
	return 0;
}

const char *fleet_spec_builtin(unsigned number)
{
	return number < ARRAY_LEN(builtin_fleets) ? builtin_fleets[number].name : NULL;
}

static int no_such_file(const char *path, struct err *err)
{
	char names[LINE_BYTES] = "";
	int code = -errno;

	for (size_t i = 0; i < ARRAY_LEN(builtin_fleets); i++)
		(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			       i ? ", " : "", builtin_fleets[i].name);
	return err_set(err, code, "%s: %s; the fleets that are built in are %s", path,
		       strerror(-code), names);
}

static int load_file(const char *path, struct fleet_spec *ret_spec, struct err *err)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t len;
	int ret;

	if (!file)
		return no_such_file(path, err);
	text = malloc(FLEET_TEXT_BYTES + 1);
	len = text ? fread(text, 1, FLEET_TEXT_BYTES + 1, file) : 0;
	if (!text)
		ret = err_set(err, -ENOMEM, "%s: out of memory", path);
	else if (ferror(file))
		ret = err_set(err, -EIO, "%s: %m", path);
	else
		ret = fleet_spec_parse(path, text, len, ret_spec, err);
	free(text);
	(void)fclose(file);
	return ret;
}

int fleet_spec_load(const char *name, struct fleet_spec *ret_spec, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(builtin_fleets); i++)
		if (strcmp(builtin_fleets[i].name, name) == 0)
			return fleet_spec_parse(name, builtin_fleets[i].text,
						strlen(builtin_fleets[i].text), ret_spec, err);
	return load_file(name, ret_spec, err);
}

/* ---- --set ---- */

/* Calls @set for each KEY=VALUE of a list. */
static int each_pair(const char *list, int (*set)(void *, const char *, const char *, struct err *),
		     void *ctx, struct err *err)
{
	char text[LINE_BYTES], *equals, *name;

	while (*list) {
		size_t len = strcspn(list, ",");
		int ret;

		if (len >= sizeof(text))
			return err_set(err, -E2BIG, "--set: longer than %d bytes", LINE_BYTES - 1);
		memcpy(text, list, len);
		text[len] = '\0';
		equals = strchr(text, '=');
		if (!equals)
			return err_set(err, -EINVAL, "--set: \"%.40s\" is not KEY=VALUE", text);
		*equals = '\0';
		name = trim(text);
		ret = set(ctx, name, trim(equals + 1), err);
		if (ret < 0) {
			(void)err_wrap(err, "--set");
			return ret;
		}
		list += len + (list[len] == ',');
	}
	return 0;
}

static int set_in_class(struct fleet_class *class, const char *name, const char *value,
			struct err *err)
{
	const struct key *key = find_key(class_keys, ARRAY_LEN(class_keys), name);

	if (!key)
		return err_set(err, -EINVAL, "there is no key \"%.40s\"", name);
	return set_value(class, key, value, err);
}

static int set_in_spec(void *ctx, const char *name, const char *value, struct err *err)
{
	struct fleet_spec *spec = ctx;
	const struct key *key = find_key(fleet_keys, ARRAY_LEN(fleet_keys), name);
	int ret = 0;

	if (key)
		return set_value(spec, key, value, err);
	for (unsigned i = 0; i < spec->class_count; i++) {
		size_t len = strlen(spec->classes[i].name);

		if (strncmp(name, spec->classes[i].name, len) == 0 && name[len] == '.')
			return set_in_class(&spec->classes[i], name + len + 1, value, err);
	}
	for (unsigned i = 0; ret == 0 && i < spec->class_count; i++)
		ret = set_in_class(&spec->classes[i], name, value, err);
	return ret;
}

int fleet_spec_set(struct fleet_spec *spec, const char *untrusted_list, struct err *err)
{
	int ret = each_pair(untrusted_list, set_in_spec, spec, err);

	if (ret == 0 && check_spec(spec, err) < 0)
		ret = err_wrap(err, "--set");
	return ret;
}

static int set_in_settings(void *ctx, const char *name, const char *value, struct err *err)
{
	struct fleet_class class = { .settings = *(struct policy_settings *)ctx };
	int ret;

	if (strncmp(name, "memory.", strlen("memory.")) != 0)
		return err_set(err, -EINVAL, "there is no key \"%.40s\" of a VM's dynamic memory",
			       name);
	ret = set_in_class(&class, name, value, err);
	if (ret == 0)
		*(struct policy_settings *)ctx = class.settings;
	return ret;
}

int sim_settings_set(struct policy_settings *settings, const char *untrusted_list, struct err *err)
{
	int ret = each_pair(untrusted_list, set_in_settings, settings, err);

	if (ret == 0 && policy_check_settings(settings, err) < 0)
		ret = err_wrap(err, "--set");
	return ret;
}
