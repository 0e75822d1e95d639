/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* restart.c - see restart.h. */
#include "host/restart.h"

#include "base/exit_code.h"

uint64_t restart_backoff_ms(unsigned restarts, uint64_t least_ms, uint64_t most_ms)
{
	uint64_t ms = least_ms;

	for (unsigned i = 1; i < restarts && ms < most_ms; i++)
		ms *= 2;
	return ms < most_ms ? ms : most_ms;
}

bool restart_follows(enum hosted_restart restart, const struct process_end *end)
{
	bool is_known = end->has_exit_code && end->signal == 0;

	if (restart == HOSTED_RESTART_NEVER || (is_known && end->exit_code == EXIT_CODE_KILLED))
		return false;
	return restart == HOSTED_RESTART_ALWAYS || !is_known || end->exit_code != EXIT_CODE_OK;
}

bool restart_never_ran(const struct process_end *end)
{
	return end->has_exit_code &&
	       (end->exit_code == EXIT_CODE_USAGE || end->exit_code == EXIT_CODE_HOST);
}
