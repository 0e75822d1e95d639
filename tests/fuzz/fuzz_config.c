/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_config.c - any bytes as vm.json, or, when they begin with a dash, as flags (a line each).
 *
 * Never a crash; a sentence of printable characters for every refusal; and whatever is accepted is
 * written as JSON that is read back to the same JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "config/vm_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FUZZ_ARGS = 32 };

static void check_refusal(int ret, const struct err *err)
{
	if (ret < 0 && (err->code >= 0 || err->text[0] == '\0'))
		abort();
}

static int read_as_flags(struct vm_config *config, const uint8_t *data, size_t len, struct err *err)
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
	ret = vm_config_parse_flags(config, argc, argv, &used, err);
	if (ret == 0 && (used < 0 || used > argc))
		abort();
	return ret;
}

static void round_trip(const struct vm_config *config)
{
	CLEANUP(vm_config_fini)
	struct vm_config back;
	CLEANUP(free_text)
	char *first = vm_config_to_json(config);
	CLEANUP(free_text)
	char *second = NULL;
	struct err err;

	vm_config_init(&back);
	if (vm_config_load_text(&back, "again", NULL, first, strlen(first), &err) < 0)
		abort();
	second = vm_config_to_json(&back);
	if (strcmp(first, second) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };
	int ret;

	vm_config_init(&config);
	if (len > 0 && data[0] == '-')
		ret = read_as_flags(&config, data, len, &err);
	else
		ret = vm_config_load_text(&config, "fuzz", "/base", (const char *)data, len, &err);
	check_refusal(ret, &err);
	if (ret == 0) {
		round_trip(&config);
		ret = vm_config_check(&config, &err);
		check_refusal(ret, &err);
	}
	return 0;
}
