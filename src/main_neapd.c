/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* main_neapd.c - the program `neapd`: its flags and its file, and then the daemon. */
#include <stdio.h>
#include <string.h>

#include "base/exit_code.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/host_config.h"
#include "host/host.h"

static int fail(enum exit_code code, const struct err *err)
{
	(void)fprintf(stderr, "neapd: %s\n", err->text);
	return (int)code;
}

static int say_help(void)
{
	CLEANUP(free_text)
	char *flags = host_config_help();

	return printf("neapd looks after the VMs of a host: starts and finds them, divides its "
		      "memory "
		      "among\nthem, and answers whoever scripts them.\n\nUsage: neapd "
		      "[FLAGS]\n\n%s",
		      flags ? flags : "") < 0;
}

int main(int argc, char *argv[])
{
	struct host_config config;
	struct err err = { 0 };
	int used = 0, ret;

	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("neapd %s\n", NEAP_VERSION) < 0;
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return say_help();
	log_set_name("neapd");
	log_set_level(LOG_LEVEL_INFO);
	log_find_journal();
	host_config_init(&config);
	ret = host_config_parse_flags(&config, argc - 1, argv + 1, &used, &err);
	if (ret == 0 && used < argc - 1)
		ret = err_set(&err, -1,
			      "it takes no arguments, only flags; neapd --help shows them");
	if (ret == 0)
		ret = host_config_check(&config, &err);
	if (ret < 0) {
		host_config_fini(&config);
		return fail(EXIT_CODE_USAGE, &err);
	}
	ret = host_run(&config, &err);
	host_config_fini(&config);
	return ret < 0 ? fail(EXIT_CODE_FAILED, &err) : EXIT_CODE_OK;
}
