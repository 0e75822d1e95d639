/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sim.h - the parts of `neap sim`. Inside cli/ only. */
#ifndef NEAP_CLI_SIM_H
#define NEAP_CLI_SIM_H

#include "cli/commands.h"
#include "cli/output.h"

int sim_fleet(struct cli_call *call, const char *spec_name);

/* "0.31 %". */
const char *sim_percent(uint64_t ppm, char text[UNITS_TEXT_BYTES]);

/* How much @part is of @whole. */
uint64_t sim_ppm(uint64_t part, uint64_t whole);

#endif
