/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* version.c - `neap version`: this program and the libraries it runs with. */
#include <stdio.h>
#include <uv.h>

#include "cli/commands.h"
#include "cli/output.h"

int cli_version(struct cli_call *call)
{
	if (cli_wants_json(call))
		return out_json(json_pack("{s:s, s:s, s:s}", "neap", NEAP_VERSION, "libuv",
					  uv_version_string(), "jansson", jansson_version_str()))
			       ? EXIT_CODE_OK
			       : EXIT_CODE_FAILED;
	(void)printf("neap %s (libuv %s, jansson %s)\n", NEAP_VERSION, uv_version_string(),
		     jansson_version_str());
	return EXIT_CODE_OK;
}
