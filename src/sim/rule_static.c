/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rule_static.c - each VM has its maximum, always: sizing for the peak. */
#include "sim/fleet.h"

static void step(struct fleet *fleet)
{
	(void)fleet;
}

const struct fleet_rule fleet_rule_static = {
	.name = "static",
	.help = "each VM has its maximum, always",
	.step = step,
	.starts_full = true,
};
