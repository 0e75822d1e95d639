/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm_set.c - what a VM's own socket offers: verbs.def, events.def, states.def. */
#include "api/api.h"
#include "base/units.h"

#define SET_VERBS	 "api/verbs.def"
#define FORWARDED_COUNT	 /* nothing */
#define FORWARDED_PARAMS /* nothing */
#include "api/set_tables.inc"

static const struct api_event_row events[] = {
#define EVENT(id, kind_, data_, help_) { .kind = (kind_), .data = (data_), .help = (help_) },
#include "api/events.def"
#undef EVENT
};

static const struct api_state_row states[] = {
#define STATE(id, name_, help_) { .name = (name_), .help = (help_) },
#include "api/states.def"
#undef STATE
};

const struct api_set api_vm_set = {
	.title = "neap, one virtual machine",
	.description = "JSON-RPC 2.0 on the VM's UNIX socket, one message per line.",
	.verbs = verbs,
	.verb_count = ARRAY_LEN(verbs),
	.hidden_reach = API_HOST,
	.events = events,
	.event_count = ARRAY_LEN(events),
	.states = states,
	.state_count = ARRAY_LEN(states),
};
