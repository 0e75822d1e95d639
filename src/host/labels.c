/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* labels.c - what may be a label. Names that selectors use for themselves are none. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "config/suggest.h"
#include "host/hosted.h"

enum { LABELS_MAX = 64, LABEL_KEY_BYTES = 63, LABEL_VALUE_BYTES = 255 };

static const char *const reserved[] = { "all", "name", "state" };

bool label_is_key(const char *key)
{
	size_t len = strlen(key);

	if (len == 0 || len > LABEL_KEY_BYTES || !isalnum((unsigned char)key[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!isalnum((unsigned char)key[i]) && !strchr("._/-", key[i]))
			return false;
	return true;
}

static bool is_value(const char *value)
{
	if (strlen(value) > LABEL_VALUE_BYTES)
		return false;
	for (const char *c = value; *c; c++)
		if (iscntrl((unsigned char)*c) || *c == ',')
			return false;
	return true;
}

static int check_label(const char *key, const json_t *value, bool may_remove, struct err *err)
{
	char quoted[QUOTE_BYTES];

	(void)quote_text(key, quoted);
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (strcmp(key, reserved[i]) == 0)
			return err_set(err, -EINVAL,
				       "labels: %s means something else in selectors; choose "
				       "another name",
				       quoted);
	if (!label_is_key(key))
		return err_set(
			err, -EINVAL,
			"labels: %s cannot be the name of a label: letters, digits and ._/-, "
			"beginning with a letter or digit, at most %d",
			quoted, LABEL_KEY_BYTES);
	if (may_remove && json_is_null(value))
		return 0;
	if (!json_is_string(value) || !is_value(json_string_value(value)))
		return err_set(err, -EINVAL,
			       "labels: the value of %s must be a string of at most %d bytes "
			       "without commas and control characters",
			       quoted, LABEL_VALUE_BYTES);
	return 0;
}

int labels_check(const json_t *untrusted_labels, bool may_remove, struct err *err)
{
	const char *key;
	json_t *value;

	if (json_object_size(untrusted_labels) > LABELS_MAX)
		return err_set(err, -EINVAL, "labels: at most %d", LABELS_MAX);
	json_object_foreach((json_t *)untrusted_labels, key, value)
	{
		int ret = check_label(key, value, may_remove, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}
