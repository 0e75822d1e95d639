/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* definition.c - see definition.h. */
#include "host/definition.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "config/options.h"
#include "config/suggest.h"

static const char config_source[] = "config";

void definition_fini(struct definition *definition)
{
	json_decref(definition->config);
	json_decref(definition->labels);
	idempotency_key_fini(&definition->key);
	*definition = (struct definition){ 0 };
}

/* What a client sends has no lines to point to: "config:1: " becomes "config: ". */
static int without_line(int ret, struct err *err)
{
	size_t name_len = sizeof(config_source) - 1;
	char *digits = err->text + name_len + 1;
	size_t digit_count = strspn(digits, "0123456789");

	if (strncmp(err->text, config_source, name_len) == 0 && digit_count > 0)
		memmove(err->text + name_len, digits + digit_count,
			strlen(digits + digit_count) + 1);
	return ret;
}

int definition_read_config(const json_t *config, struct vm_config *ret_config, struct err *err)
{
	CLEANUP(free_text)
	char *text = json_dumps(config, JSON_COMPACT);
	struct vm_config read;
	int ret;

	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	vm_config_init(&read);
	ret = vm_config_load_text(&read, config_source, "/", text, strlen(text), err);
	if (ret == 0)
		ret = vm_config_check(&read, err);
	if (ret < 0) {
		vm_config_fini(&read);
		return without_line(ret, err);
	}
	*ret_config = read;
	return 0;
}

json_t *definition_write_config(const struct vm_config *config)
{
	CLEANUP(free_text)
	char *text = vm_config_to_json(config);

	return text ? json_loads(text, 0, NULL) : NULL;
}

const json_t *definition_value(const json_t *config, const struct option_row *row)
{
	size_t group_len = option_group_len(row);

	if (group_len > 0)
		config = json_object_getn(config, row->key, group_len);
	return json_object_get(config, option_leaf(row));
}

static int check_paths(const json_t *config, struct err *err)
{
	const struct option_row *rows;
	size_t count;

	rows = option_table(&count);
	for (size_t i = 0; i < count; i++) {
		const char *path = json_string_value(definition_value(config, &rows[i]));
		char quoted[QUOTE_BYTES];

		if (rows[i].type == OPTION_PATH && path && path[0] && path[0] != '/')
			return err_set(err, -EINVAL, "%s: %s must be an absolute path here",
				       rows[i].key, quote_text(path, quoted));
	}
	return 0;
}

int definition_make(struct definition *ret_definition, const json_t *untrusted_config,
		    const json_t *untrusted_labels, struct err *err)
{
	struct definition made = { 0 };
	struct vm_config config;
	int ret = check_paths(untrusted_config, err);

	if (ret == 0 && untrusted_labels)
		ret = labels_check(untrusted_labels, false, err);
	if (ret == 0)
		ret = definition_read_config(untrusted_config, &config, err);
	if (ret < 0)
		return ret;
	(void)snprintf(made.name, sizeof(made.name), "%s", config.name);
	(void)snprintf(made.uuid, sizeof(made.uuid), "%s", config.uuid);
	made.config = definition_write_config(&config);
	vm_config_fini(&config);
	made.labels = untrusted_labels ? json_deep_copy(untrusted_labels) : json_object();
	if (!made.config || !made.labels) {
		definition_fini(&made);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret_definition = made;
	return 0;
}

int definition_read_restart(const char *untrusted_text, enum hosted_restart *ret_restart,
			    struct err *err)
{
	char quoted[QUOTE_BYTES];

	for (unsigned i = 0; hosted_restart_names[i]; i++)
		if (strcmp(hosted_restart_names[i], untrusted_text) == 0) {
			*ret_restart = (enum hosted_restart)i;
			return 0;
		}
	return err_set(err, -EINVAL, "restart: %s is none of never, on-failure and always",
		       quote_text(untrusted_text, quoted));
}

json_t *definition_to_json(const struct definition *definition)
{
	json_t *object = json_pack("{s:O, s:O, s:b, s:s}", "config", definition->config, "labels",
				   definition->labels, "autostart", definition->autostart,
				   "restart", hosted_restart_names[definition->restart]);

	if (object)
		idempotency_key_to_json(&definition->key, object);
	return object;
}

int definition_from_json(struct definition *ret_definition, const json_t *object, struct err *err)
{
	const json_t *config = json_object_get(object, "config");
	const json_t *labels = json_object_get(object, "labels");
	const char *restart = json_string_value(json_object_get(object, "restart"));
	struct definition made;
	int ret;

	if (!json_is_object(config) || (labels && !json_is_object(labels)))
		return err_set(err, -EINVAL, "it has no config");
	ret = definition_make(&made, config, labels, err);
	if (ret < 0)
		return ret;
	made.autostart = json_is_true(json_object_get(object, "autostart"));
	if (restart)
		ret = definition_read_restart(restart, &made.restart, err);
	if (ret < 0) {
		definition_fini(&made);
		return ret;
	}
	idempotency_key_from_json(&made.key, object);
	*ret_definition = made;
	return 0;
}
