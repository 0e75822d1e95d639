/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top.c - `neap top`: all VMs of this user and their memory, live on a terminal, else once. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/top.h"

static void wait_for_answers(struct fleet *fleet)
{
	uint64_t deadline_ns = clock_now_ns() + FLEET_PATIENCE_MS * NS_PER_MS;
	uint64_t now_ns;

	while (!fleet_is_settled(fleet) && (now_ns = clock_now_ns()) < deadline_ns)
		fleet_wait(fleet, NULL, 0, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1);
}

static int show_once(struct fleet *fleet, bool as_json)
{
	struct top_rows rows = { 0 };
	struct top_host host = { 0 };
	struct err err = { 0 };
	int ret = EXIT_CODE_FAILED;

	fleet->details = FLEET_DETAILS_ALL;
	if (fleet_look(fleet, &err) < 0)
		return out_fail(EXIT_CODE_FAILED, "%s", err.text);
	wait_for_answers(fleet);
	fleet_give_up(fleet);
	if (fleet->daemon_is_silent)
		return out_fail(
			EXIT_CODE_FAILED,
			"neapd does not answer (--host none looks at single VMs without it)");
	top_host_read(&host);
	if (top_rows_take(&rows, fleet, TOP_BY_NAME, false))
		ret = top_once(&rows, &host, as_json);
	top_rows_fini(&rows);
	return ret;
}

int cli_top(struct cli_call *call)
{
	bool is_live = !cli_flag(call, "once") && !cli_wants_json(call) && isatty(STDIN_FILENO) &&
		       isatty(STDOUT_FILENO);
	char daemon_path[RPC_PATH_BYTES] = "";
	bool is_named = false;
	struct fleet fleet;
	int ret = -1;

	if (!daemon_socket(call, daemon_path, &is_named))
		daemon_path[0] = '\0';
	fleet_init(&fleet, daemon_path, is_named);
	if (is_live)
		ret = top_live(&fleet);
	if (ret < 0 && is_live)
		out_note(
			"no live screen: libncursesw.so.6 or what it knows of this terminal (TERM) "
			"is missing");
	if (ret < 0)
		ret = show_once(&fleet, cli_wants_json(call));
	fleet_fini(&fleet);
	return ret;
}
