/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* frame_state.h - the names of the states of guest memory, for those who show or count them. */
#ifndef NEAP_MEMORY_FRAME_STATE_H
#define NEAP_MEMORY_FRAME_STATE_H

enum frame_state {
#define STATE(id, name, help) FRAME_##id,
#include "memory/frame_states.def"
#undef STATE
	FRAME_STATE_COUNT
};

extern const char *const frame_state_names[FRAME_STATE_COUNT];

#endif
