/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* set_options.c - `neap set` of a VM that a daemon keeps: any option of vm.json, and how it is kept
 * (labels, autostart, restart). See set.h.
 *
 * A value is read here by the option's row, so a wrong one costs no question.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/bulk.h"
#include "cli/output.h"
#include "cli/set.h"
#include "config/options.h"

#define LABEL_PREFIX "label."

/* Steals @value. */
static int add(json_t *object, const char *key, json_t *value)
{
	if (json_object_get(object, key)) {
		json_decref(value);
		return out_fail(EXIT_CODE_USAGE, "%s is given twice", key);
	}
	(void)json_object_set_new(object, key, value);
	return EXIT_CODE_OK;
}

static json_t *member(json_t *update, const char *name)
{
	if (!json_object_get(update, name))
		(void)json_object_set_new(update, name, json_object());
	return json_object_get(update, name);
}

/* An empty value that is none is the option's default. */
static int keep_option(json_t *update, const struct option_row *row, const char *text)
{
	struct vm_config config;
	struct err err = { 0 };
	json_t *value = NULL;

	vm_config_init(&config);
	if (option_set_text(&config, row, text, NULL, &err) == 0)
		value = option_get_json(&config, row);
	else if (!*text)
		value = json_null();
	vm_config_fini(&config);
	if (!value)
		return out_fail(EXIT_CODE_USAGE, "%s: %s", row->key,
				err.code ? err.text : "that is no value");
	return add(member(update, "set"), row->key, value);
}

/* An empty value removes the label. */
static int keep_label(json_t *update, const char *key, const char *value)
{
	if (!*key)
		return out_fail(EXIT_CODE_USAGE, "write: " LABEL_PREFIX "NAME=VALUE");
	return add(member(update, "labels"), key, *value ? json_string(value) : json_null());
}

static int keep_autostart(json_t *update, const char *text)
{
	bool value;

	if (!option_parse_bool(text, &value))
		return out_fail(EXIT_CODE_USAGE, "autostart is on or off, and not \"%.40s\"", text);
	return add(update, "autostart", json_boolean(value));
}

int set_keep(json_t *update, const char *text)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : "";
	const struct option_row *row = option_by_key(text, len);
	CLEANUP(free_text)
	char *key = strndup(text, len);

	if (!key || text[len] != '=')
		return -ENOENT;
	if (row)
		return keep_option(update, row, value);
	if (strncmp(key, LABEL_PREFIX, strlen(LABEL_PREFIX)) == 0)
		return keep_label(update, key + strlen(LABEL_PREFIX), value);
	if (strcmp(key, "autostart") == 0)
		return keep_autostart(update, value);
	if (strcmp(key, "restart") == 0)
		return add(update, key, json_string(value));
	return -ENOENT;
}

void set_each_kept_key(set_take_key take, void *ctx)
{
	const struct option_row *rows;
	size_t count;

	rows = option_table(&count);
	for (size_t i = 0; i < count; i++)
		take(ctx, rows[i].key, rows[i].metavar, rows[i].help);
	take(ctx, "autostart", "on|off", "start it when neapd starts on a freshly booted host");
	take(ctx, "restart", "never|on-failure|always", "what is done when it ends by itself");
}

/* --- said --------------------------------------------------------------------------------------- */

/* "memory.minimum, cpus" */
static void put_words(char text[], size_t text_bytes, size_t *len, const char *before,
		      const json_t *words)
{
	for (size_t i = 0; i < json_array_size(words) && *len < text_bytes; i++)
		*len += (size_t)snprintf(text + *len, text_bytes - *len, "%s%s", i ? ", " : before,
					 json_string_value(json_array_get(words, i)));
}

static const char *say(const json_t *result, char text[], size_t text_bytes)
{
	size_t len = 0;

	(void)snprintf(text, text_bytes, "as it was");
	put_words(text, text_bytes, &len, "at once: ", json_object_get(result, "live"));
	put_words(text, text_bytes, &len, len ? "; at the next start: " : "at the next start: ",
		  json_object_get(result, "next_start"));
	return text;
}

void set_say_kept(const char *vm_name, const json_t *result)
{
	char text[512];

	out_about(vm_name, say(result, text, sizeof(text)));
}

int set_keep_selected(const struct cli_call *call, json_t *update)
{
	json_t *results = NULL;
	struct daemon daemon;
	int ret = daemon_need(call, "VMs are selected", &daemon);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = bulk_call(call, &daemon, "vm.update", json_copy(update), VM_CHANGE_TIMEOUT_MS,
			&results);
	daemon_close(&daemon);
	return ret == EXIT_CODE_OK ? bulk_report(call, results, say) : ret;
}
