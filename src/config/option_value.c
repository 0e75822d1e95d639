/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* option_value.c - one value: from text, from JSON, to JSON. Every value is checked here against
 * its own row; vm_config_check() and its like check values against each other.
 */
#include "config/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "base/uuid.h"
#include "config/suggest.h"

static void *field(void *config, const struct option_row *row)
{
	return (char *)config + row->offset;
}

static const void *const_field(const void *config, const struct option_row *row)
{
	return (const char *)config + row->offset;
}

/* UNSIGNED, SIZE and ENUM fields are 4 or 8 bytes wide. */
static void store_number(void *to, size_t field_bytes, uint64_t value)
{
	uint32_t narrow = (uint32_t)value;

	if (field_bytes == sizeof(narrow))
		memcpy(to, &narrow, sizeof(narrow));
	else
		memcpy(to, &value, sizeof(value));
}

static uint64_t load_number(const void *from, size_t field_bytes)
{
	uint32_t narrow;
	uint64_t value;

	if (field_bytes == sizeof(narrow)) {
		memcpy(&narrow, from, sizeof(narrow));
		return narrow;
	}
	memcpy(&value, from, sizeof(value));
	return value;
}

static int set_number(void *config, const struct option_row *row, uint64_t value, struct err *err)
{
	char low[UNITS_TEXT_BYTES], high[UNITS_TEXT_BYTES];

	if (value >= row->min && value <= row->max) {
		store_number(field(config, row), row->field_bytes, value);
		return 0;
	}
	if (row->type == OPTION_SIZE)
		return err_set(err, -ERANGE, "must be from %s to %s",
			       units_format_exact(row->min, low),
			       units_format_exact(row->max, high));
	return err_set(err, -ERANGE, "must be from %" PRIu64 " to %" PRIu64, row->min, row->max);
}

static int set_unsigned_text(void *config, const struct option_row *row, const char *text,
			     struct err *err)
{
	char quoted[QUOTE_BYTES];
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return err_set(err, -EINVAL, "%s is not a number", quote_text(text, quoted));
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return err_set(err, -EINVAL, "%s is not a number", quote_text(text, quoted));
	return set_number(config, row, errno == ERANGE ? UINT64_MAX : (uint64_t)value, err);
}

static int set_size_text(void *config, const struct option_row *row, const char *text,
			 struct err *err)
{
	char quoted[QUOTE_BYTES];
	uint64_t bytes;
	int ret = units_parse_size(text, &bytes, NULL);

	if (ret == -ERANGE)
		return set_number(config, row, UINT64_MAX, err);
	if (ret < 0)
		return err_set(err, ret, "%s is not a size; write one like 512M or 2G",
			       quote_text(text, quoted));
	return set_number(config, row, bytes, err);
}

bool option_parse_bool(const char *text, bool *ret_value)
{
	static const char *const words[] = { "off", "on", "false", "true", "no", "yes" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		*ret_value = i & 1;
		return true;
	}
	return false;
}

static int set_bool_text(void *config, const struct option_row *row, const char *text,
			 struct err *err)
{
	char quoted[QUOTE_BYTES];

	if (option_parse_bool(text, field(config, row)))
		return 0;
	return err_set(err, -EINVAL, "%s is neither on nor off", quote_text(text, quoted));
}

static int set_enum_text(void *config, const struct option_row *row, const char *text,
			 struct err *err)
{
	char quoted[QUOTE_BYTES];

	for (unsigned i = 0; row->choices[i]; i++) {
		if (strcasecmp(row->choices[i], text) != 0)
			continue;
		store_number(field(config, row), row->field_bytes, i);
		return 0;
	}
	return err_set(err, -EINVAL, "%s is not one of %s", quote_text(text, quoted), row->metavar);
}

static bool has_letters_of_name(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	return *text && !strchr("._-", *text) && text[strspn(text, allowed)] == '\0';
}

bool vm_name_is_valid(const char *untrusted_text)
{
	return strnlen(untrusted_text, VM_NAME_BYTES) < VM_NAME_BYTES &&
	       has_letters_of_name(untrusted_text);
}

static int set_name_text(void *config, const struct option_row *row, const char *text,
			 struct err *err)
{
	char quoted[QUOTE_BYTES];
	size_t len = strlen(text);

	if (!has_letters_of_name(text))
		return err_set(err, -EINVAL,
			       "%s is not a name; use letters, digits, dot, dash and underscore, "
			       "beginning with a letter or digit",
			       quote_text(text, quoted));
	if (len > row->max)
		return err_set(err, -ERANGE, "longer than %" PRIu64 " bytes", row->max);
	memcpy(field(config, row), text, len + 1);
	return 0;
}

static int set_mode_text(void *config, const struct option_row *row, const char *text,
			 struct err *err)
{
	char quoted[QUOTE_BYTES];
	size_t len = strlen(text);

	if (len < 3 || len > 4 || strspn(text, "01234567") != len ||
	    strtoul(text, NULL, 8) > row->max)
		return err_set(err, -EINVAL,
			       "%s are not permissions; write them in octal, like 0660",
			       quote_text(text, quoted));
	store_number(field(config, row), row->field_bytes, strtoul(text, NULL, 8));
	return 0;
}

static int set_uuid_text(void *config, const struct option_row *row, const char *text,
			 struct err *err)
{
	char quoted[QUOTE_BYTES];
	uint8_t uuid[UUID_BYTES];

	if (!uuid_read(text, uuid))
		return err_set(err, -EINVAL,
			       "%s is not a UUID; one looks like "
			       "123e4567-e89b-42d3-a456-426614174000",
			       quote_text(text, quoted));
	uuid_format(uuid, field(config, row));
	return 0;
}

/* What cannot be shown in JSON or on one line is not a value. */
static int check_string(const struct option_row *row, const char *text, struct err *err)
{
	json_t *utf8 = json_string(text);

	if (!utf8)
		return err_set(err, -EINVAL, "is not UTF-8");
	json_decref(utf8);
	if (strlen(text) > row->max)
		return err_set(err, -ERANGE, "longer than %" PRIu64 " bytes", row->max);
	for (const char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			return err_set(err, -EINVAL, "has a control character at byte %td",
				       c - text);
	return 0;
}

/* Takes @copy, which is NULL when there was no memory. */
static int set_copy(void *config, const struct option_row *row, char *copy, struct err *err)
{
	char **to = field(config, row);

	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	free(*to);
	*to = copy;
	return 0;
}

/* An empty string is one that is not given. */
static int set_string_text(void *config, const struct option_row *row, const char *text,
			   struct err *err)
{
	char **to = field(config, row);
	int ret = check_string(row, text, err);

	if (ret < 0)
		return ret;
	if (*text)
		return set_copy(config, row, strdup(text), err);
	free(*to);
	*to = NULL;
	return 0;
}

static int set_path_text(void *config, const struct option_row *row, const char *text,
			 const char *base_dir, struct err *err)
{
	CLEANUP(free_text)
	char *path = NULL;
	CLEANUP(free_text)
	char *here = NULL;
	int ret = check_string(row, text, err);

	if (ret < 0)
		return ret;
	if (*text == '\0' && row->empty_is_none)
		return set_copy(config, row, strdup(text), err);
	if (*text == '\0')
		return err_set(err, -EINVAL, "is empty");
	if (*text != '/' && !base_dir) {
		here = getcwd(NULL, 0);
		if (!here)
			return err_set(err, -errno, "the working directory: %m");
		base_dir = here;
	}
	if (*text == '/')
		path = strdup(text);
	else if (asprintf(&path, "%s/%s", base_dir, text) < 0)
		path = NULL;
	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	ret = check_string(row, path, err); /* its length, now */
	if (ret < 0)
		return ret;
	ret = set_copy(config, row, path, err);
	path = NULL;
	return ret;
}

int option_set_text(void *config, const struct option_row *row, const char *text,
		    const char *base_dir, struct err *err)
{
	switch (row->type) {
	case OPTION_NAME: return set_name_text(config, row, text, err);
	case OPTION_UUID: return set_uuid_text(config, row, text, err);
	case OPTION_SIZE: return set_size_text(config, row, text, err);
	case OPTION_UNSIGNED: return set_unsigned_text(config, row, text, err);
	case OPTION_BOOL: return set_bool_text(config, row, text, err);
	case OPTION_ENUM: return set_enum_text(config, row, text, err);
	case OPTION_PATH: return set_path_text(config, row, text, base_dir, err);
	case OPTION_STRING: return set_string_text(config, row, text, err);
	case OPTION_MODE: return set_mode_text(config, row, text, err);
	}
	return err_set(err, -EINVAL, "unknown type of option");
}

static int set_integer_json(void *config, const struct option_row *row, const json_t *value,
			    struct err *err)
{
	json_int_t number = json_integer_value(value);

	if (number < 0)
		return err_set(err, -ERANGE, "must not be negative");
	return set_number(config, row, (uint64_t)number, err);
}

int option_set_json(void *config, const struct option_row *row, const json_t *value,
		    const char *base_dir, struct err *err)
{
	static const char *const expected[] = {
		[OPTION_NAME] = "a string",
		[OPTION_UUID] = "a string",
		[OPTION_STRING] = "a string",
		[OPTION_PATH] = "a string",
		[OPTION_SIZE] = "a size as a string like \"512M\", or an integer of bytes",
		[OPTION_UNSIGNED] = "an integer",
		[OPTION_BOOL] = "true or false",
		[OPTION_ENUM] = "a string",
		[OPTION_MODE] = "a string of octal digits like \"0660\"",
	};

	if (row->type == OPTION_BOOL && json_is_boolean(value)) {
		*(bool *)field(config, row) = json_is_true(value);
		return 0;
	}
	if ((row->type == OPTION_UNSIGNED || row->type == OPTION_SIZE) && json_is_integer(value))
		return set_integer_json(config, row, value, err);
	if (row->type != OPTION_BOOL && row->type != OPTION_UNSIGNED && json_is_string(value))
		return option_set_text(config, row, json_string_value(value), base_dir, err);
	return err_set(err, -EINVAL, "must be %s", expected[row->type]);
}

/* Leaving out what was emptied would mean the default when it is read back. */
static json_t *string_or_absent(const struct option_row *row, const char *text)
{
	if (text && (*text || row->empty_is_none))
		return json_string(text);
	return row->default_text ? json_string("") : NULL;
}

json_t *option_get_json(const void *config, const struct option_row *row)
{
	const void *from = const_field(config, row);
	char text[UNITS_TEXT_BYTES];

	switch (row->type) {
	case OPTION_NAME:
	case OPTION_UUID: return string_or_absent(row, from);
	case OPTION_STRING:
	case OPTION_PATH: return string_or_absent(row, *(char *const *)from);
	case OPTION_SIZE: return json_string(units_format_exact(load_number(from, 8), text));
	case OPTION_UNSIGNED: return json_integer((json_int_t)load_number(from, row->field_bytes));
	case OPTION_BOOL: return json_boolean(*(const bool *)from);
	case OPTION_MODE:
		return json_sprintf("%04o", (unsigned)load_number(from, row->field_bytes));
	case OPTION_ENUM: return json_string(row->choices[load_number(from, row->field_bytes)]);
	}
	return NULL;
}
