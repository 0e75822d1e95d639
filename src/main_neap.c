/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* main_neap.c - the program `neap`: the command line, joined to the machine that `neap run` starts.
 */
#include "cli/cli.h"
#include "machine/machine.h"

int main(int argc, char *argv[])
{
	static const struct cli_programs programs = { .run_vm = machine_run };

	return cli_main(argc, argv, &programs);
}
