/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_config.c - any bytes as vm.json and as neapd.json, or, when they begin with a dash, as flags of
 * neap run and of neapd (a line each).
 *
 * Never a crash; a sentence of printable characters for every refusal; and whatever is accepted is
 * written as JSON that is read back to the same JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "config/host_config.h"
#include "config/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FUZZ_ARGS = 32 };

union any_config {
	struct vm_config vm;
	struct host_config host;
};

static void check_refusal(int ret, const struct err *err)
{
	if (ret < 0 && (err->code >= 0 || err->text[0] == '\0'))
		abort();
}

static int read_as_flags(const struct option_table *table, union any_config *config,
			 const uint8_t *data, size_t len, struct err *err)
{
	CLEANUP(free_text)
	char *text = strndup((const char *)data, len);
	char *argv[FUZZ_ARGS + 1] = { NULL };
	char *rest = text;
	int argc = 0;
	int used = 0;
	int ret;

	while (argc < FUZZ_ARGS && rest)
		argv[argc++] = strsep(&rest, "\n");
	for (int i = 0; i < argc; i++)
		if (strncmp(argv[i], "--config", 8) == 0)
			return 0; /* no file of this machine */
	ret = options_parse_flags(table, config, argc, argv, &used, err);
	if (ret == 0 && (used < 0 || used > argc))
		abort();
	return ret;
}

static void round_trip(const struct option_table *table, const union any_config *config)
{
	union any_config back;
	CLEANUP(free_text)
	char *first = options_to_json(table, config);
	CLEANUP(free_text)
	char *second = NULL;
	struct err err;

	options_init(table, &back);
	if (options_load_text(table, &back, "again", NULL, first, strlen(first), &err) < 0)
		abort();
	second = options_to_json(table, &back);
	if (strcmp(first, second) != 0)
		abort();
	options_fini(table, &back);
}

static int check(const struct option_table *table, const union any_config *config, struct err *err)
{
	return table == &vm_options ? vm_config_check(&config->vm, err)
				    : host_config_check(&config->host, err);
}

static void try_as(const struct option_table *table, const uint8_t *data, size_t len)
{
	union any_config config;
	struct err err = { 0 };
	int ret;

	options_init(table, &config);
	if (len > 0 && data[0] == '-')
		ret = read_as_flags(table, &config, data, len, &err);
	else
		ret = options_load_text(table, &config, "fuzz", "/base", (const char *)data, len,
					&err);
	check_refusal(ret, &err);
	if (ret == 0) {
		round_trip(table, &config);
		ret = check(table, &config, &err);
		check_refusal(ret, &err);
	}
	options_fini(table, &config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	try_as(&vm_options, data, len);
	try_as(&host_options, data, len);
	return 0;
}
