/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host_set.c - what a host's daemon offers: its own verbs and events, and those of its VMs that it passes
 * on, for which one more parameter says which VM is meant. */
#include "api/api.h"
#include "base/units.h"

#define SET_VERBS	"api/host_all.def"
#define FORWARDED_COUNT GLUE(PARAM_NUMBER_, __COUNTER__), GLUE(PARAM_NUMBER_, __COUNTER__),
#define FORWARDED_PARAMS                                                                          \
	PARAM_ROW("vm", STRING, false, "the VM: name or UUID")                                    \
	PARAM_ROW("selector", STRING, false,                                                      \
		  "or all that this selects; the answer is then results, per VM: vm, and result " \
		  "or error")
#include "api/set_tables.inc"

static const struct api_event_row events[] = {
#define EVENT(id, kind_, data_, help_) { .kind = (kind_), .data = (data_), .help = (help_) },
#include "api/events.def"
#include "api/host_events.def"
#undef EVENT
};

static const struct api_state_row states[] = {
#define STATE(id, name_, help_) { .name = (name_), .help = (help_) },
#include "api/states.def"
#include "api/host_states.def"
#undef STATE
};

const struct api_set api_host_set = {
	.title = "neap, the virtual machines of a host",
	.description = "JSON-RPC 2.0 on the daemon's UNIX socket, one message per line.",
	.verbs = verbs,
	.verb_count = ARRAY_LEN(verbs),
	.hidden_reach = API_OWN,
	.has_deadline = true,
	.events = events,
	.event_count = ARRAY_LEN(events),
	.states = states,
	.state_count = ARRAY_LEN(states),
};
