/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daemon.c - see daemon.h.
 *
 * The usual place is rpc_host_dir(). For whoever has logged in, $XDG_RUNTIME_DIR is /run/user/UID, but the
 * host's daemon was started by the system, for root and a group: so they look in /run/neapd, too, and so
 * does whoever has no such directory: sudo -u, cron.
 * Source: pam_systemd(8), "XDG_RUNTIME_DIR".
 */
#include "cli/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"

#define SYSTEM_SOCKET "/run/neapd/" RPC_HOST_SOCKET

static bool is_of_login(const char *runtime)
{
	char usual[32];

	(void)snprintf(usual, sizeof(usual), "/run/user/%u", (unsigned)geteuid());
	return strcmp(runtime, usual) == 0;
}

/* The directory is not made for looking into it. */
static bool usual_socket(char ret_path[RPC_PATH_BYTES])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int len;

	if (!runtime || runtime[0] != '/') {
		(void)snprintf(ret_path, RPC_PATH_BYTES, "%s", SYSTEM_SOCKET);
		return geteuid() == 0 || access(SYSTEM_SOCKET, W_OK) == 0;
	}
	len = snprintf(ret_path, RPC_PATH_BYTES, "%s/neapd/%s", runtime, RPC_HOST_SOCKET);
	if (len < 0 || len >= RPC_PATH_BYTES)
		return false;
	if (access(ret_path, F_OK) < 0 && is_of_login(runtime) && access(SYSTEM_SOCKET, W_OK) == 0)
		(void)snprintf(ret_path, RPC_PATH_BYTES, "%s", SYSTEM_SOCKET);
	return true;
}

bool daemon_socket(const struct cli_call *call, char ret_path[RPC_PATH_BYTES], bool *ret_is_named)
{
	const char *named = call ? cli_flag(call, "host") : NULL;

	if (!named || !*named)
		named = getenv("NEAP_HOST_SOCKET");
	*ret_is_named = named && *named;
	if (!*ret_is_named)
		return usual_socket(ret_path);
	if (strcmp(named, "none") == 0)
		return false;
	/* One that is too long is cut, and found not to be there. */
	(void)snprintf(ret_path, RPC_PATH_BYTES, "%s", named);
	return true;
}

static const char *why_not(int code)
{
	switch (code) {
	case -ENOENT: return "there is no such socket";
	case -ECONNREFUSED: return "nobody listens there";
	case -ETIMEDOUT: return "it does not take new connections";
	case -EACCES: return "you may not";
	default: return strerror(-code);
	}
}

int daemon_open(const struct cli_call *call, struct daemon *ret_daemon)
{
	struct daemon daemon = { 0 };
	int ret;

	*ret_daemon = daemon;
	if (!daemon_socket(call, daemon.path, &daemon.is_named))
		return EXIT_CODE_OK;
	ret = rpc_client_open(daemon.path, &daemon.client, NULL);
	if (ret < 0 && daemon.is_named)
		return out_fail(EXIT_CODE_FAILED,
				"no neapd at %s: %s (--host none speaks to single VMs)",
				daemon.path, why_not(ret));
	if (ret < 0 && ret != -ENOENT)
		out_note("neapd does not answer at %s (%s): going on with single VMs", daemon.path,
			 why_not(ret));
	*ret_daemon = daemon;
	return EXIT_CODE_OK;
}

/* There is one on this host, which nobody named, and we may not. */
static bool is_for_others(const struct cli_call *call)
{
	char path[RPC_PATH_BYTES];
	bool is_named;

	(void)daemon_socket(call, path, &is_named);
	return !is_named && access(SYSTEM_SOCKET, F_OK) == 0 && access(SYSTEM_SOCKET, W_OK) < 0;
}

int daemon_need(const struct cli_call *call, const char *what, struct daemon *ret_daemon)
{
	int ret = daemon_open(call, ret_daemon);

	if (ret != EXIT_CODE_OK || ret_daemon->client)
		return ret;
	if (is_for_others(call))
		return out_fail(EXIT_CODE_FAILED,
				"%s by neapd, and that of this host, at " SYSTEM_SOCKET
				", is not for you: join the group neap (sudo usermod -aG neap "
				"$USER, then log in again)",
				what);
	return out_fail(EXIT_CODE_FAILED,
			"%s by neapd, and none runs here (start it: neapd, or systemctl "
			"start neapd; --host SOCKET names one elsewhere)",
			what);
}

void daemon_close(struct daemon *daemon)
{
	rpc_client_close(daemon->client);
	daemon->client = NULL;
}

int daemon_ask(struct rpc_client *client, const char *method, json_t *params, int timeout_ms,
	       json_t **ret_result, struct err *err)
{
	if (!params)
		params = json_object();
	(void)json_object_set_new(params, "deadline_ms",
				  json_integer(timeout_ms > 0 ? timeout_ms : 1));
	return rpc_client_call(client, method, params, timeout_ms + DAEMON_SLACK_MS, ret_result,
			       err);
}

static enum exit_code exit_code_of(int code)
{
	switch (code) {
	case API_ERROR_STATE:
	case API_ERROR_BUSY: return EXIT_CODE_STATE;
	case API_ERROR_INVALID_PARAMS: return EXIT_CODE_USAGE;
	case API_ERROR_NO_VM: return EXIT_CODE_NO_VM;
	case API_ERROR_NO_MEMORY: return EXIT_CODE_HOST;
	default: return EXIT_CODE_FAILED;
	}
}

/* Many of its sentences name the VM already. */
static bool names(const char *sentence, const char *about)
{
	size_t len = strlen(about);

	return strncmp(sentence, about, len) == 0 && strchr(" :'\"", sentence[len]);
}

int daemon_say_failure(const char *about, int code, const struct err *err)
{
	if (code == -ETIMEDOUT)
		return out_fail(EXIT_CODE_FAILED,
				"neapd does not answer (--host none speaks to single "
				"VMs without it)");
	if (code == -EPIPE)
		return out_fail(EXIT_CODE_FAILED,
				"neapd ended before it answered; what it had begun may be "
				"done (neap ps shows how things are)");
	if (!about || names(err->text, about))
		return out_fail((int)exit_code_of(code), "%s", err->text);
	return out_fail((int)exit_code_of(code), "%s: %s", about, err->text);
}

int daemon_call(struct daemon *daemon, const char *method, json_t *params, int timeout_ms,
		json_t **ret_result)
{
	struct err err = { 0 };
	int ret = daemon_ask(daemon->client, method, params, timeout_ms, ret_result, &err);

	return ret == 0 ? EXIT_CODE_OK : daemon_say_failure(NULL, ret, &err);
}
