/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* demand.h - what the programs of one simulated VM need at each moment.
 *
 * A path of straight lines, made from (spec, class, number of the VM) alone: neither the rule that
 * is tried nor the number of VMs changes it, so all rules meet the same demand.
 */
#ifndef NEAP_SIM_DEMAND_H
#define NEAP_SIM_DEMAND_H

#include "sim/fleet_spec.h"
#include "sim/random.h"

struct demand {
	const struct fleet_class *class;
	struct sim_random random;
	uint64_t from_bytes, to_bytes; /* of the line that we are on */
	uint64_t start_s, end_s;
	uint64_t step; /* of the pattern */
};

/* @number: of the VM within its class. */
void demand_init(struct demand *demand, const struct fleet_class *class, uint64_t seed,
		 uint64_t number);

/* @now_s never goes back between two calls. */
uint64_t demand_bytes(struct demand *demand, uint64_t now_s);

#endif
