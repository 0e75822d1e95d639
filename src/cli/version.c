/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* version.c - `neap version`: this program. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"

int cli_version(struct cli_call *call)
{
	if (cli_wants_json(call))
		return out_json(json_pack("{s:s}", "version", NEAP_VERSION)) ? EXIT_CODE_OK
									     : EXIT_CODE_FAILED;
	(void)printf("neap %s\n", NEAP_VERSION);
	return EXIT_CODE_OK;
}
