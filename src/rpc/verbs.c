/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* verbs.c - the verbs that are about the connection itself: events.subscribe, rpc.discover, and a VM's
 * vm.console. They stand among the backend's handlers, so they pass the same checks as all others.
 */
#include "rpc/hub.h"

#include <errno.h>
#include <string.h>

static bool has_result(const struct api_verb_row *verb, const char *name)
{
	for (const struct api_field *field = verb->results; field->name; field++)
		if (strcmp(field->name, name) == 0)
			return true;
	return false;
}

/* First what is kept after the number that the client knows. */
static uint64_t replay_from(const struct event_ring *ring, const json_t *after,
			    uint64_t *ret_missed)
{
	uint64_t known_seq = (uint64_t)json_integer_value(after);

	*ret_missed = 0;
	if (!after || known_seq + 1 >= ring->next_seq)
		return 0;
	if (known_seq + 1 < ring->oldest_seq)
		*ret_missed = ring->oldest_seq - known_seq - 1;
	if (ring->oldest_seq == ring->next_seq)
		return 0;
	return known_seq + 1 > ring->oldest_seq ? known_seq + 1 : ring->oldest_seq;
}

static int subscribe(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct connection *connection = connection_of_rpc(jsonrpc_of(request));
	struct hub *hub = connection->hub;
	const struct event_ring *ring = &hub->ring;
	uint64_t missed;
	int code;

	(void)ctx;
	hub_count_subscriber(hub, connection, -1);
	code = subscription_set(&connection->subscription, hub->backend->set, request->params, err);
	hub_count_subscriber(hub, connection, 1);
	if (code != 0)
		return code;
	connection->replay_seq =
		replay_from(ring, json_object_get(request->params, "after"), &missed);
	*ret_result = json_pack("{s:I}", "seq", (json_int_t)(ring->next_seq - 1));
	if (!has_result(request->verb, "oldest"))
		return 0;
	(void)json_object_update_new(
		*ret_result,
		json_pack("{s:I, s:I, s:b}", "oldest",
			  ring->oldest_seq < ring->next_seq ? (json_int_t)ring->oldest_seq
							    : (json_int_t)0,
			  "missed", (json_int_t)missed, "missed_is_bound",
			  missed > 0 && ring->oldest_seq - missed < ring->first_seq));
	return 0;
}

static int become_console(void *ctx, struct api_request *request, json_t **ret_result,
			  struct err *err)
{
	struct connection *connection = connection_of_rpc(jsonrpc_of(request));
	const struct api_backend *vm = connection->hub->backend;
	int code;

	if (!jsonrpc_is_alone(request) || frame_waiting(&connection->wire.in) > 0 ||
	    connection->rpc.in_flight > 1) {
		(void)err_set(err, -EINVAL,
			      "vm.console stands alone: no batch, an id, and nothing behind it "
			      "until its answer has come");
		return API_ERROR_INVALID_REQUEST;
	}
	code = vm->handlers[request->verb - vm->set->verbs](ctx, request, ret_result, err);
	connection->becomes_console = code == 0;
	return code;
}

static int discover(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct connection *connection = connection_of_rpc(jsonrpc_of(request));

	(void)ctx;
	(void)err;
	*ret_result = api_discover(connection->hub->backend->set);
	return 0;
}

static void take_over(struct hub *hub, const char *method, api_handler handler)
{
	const struct api_set *set = hub->backend->set;
	const struct api_verb_row *verb = api_verb_by_method(set, method);

	if (verb)
		hub->handlers[verb - set->verbs] = handler;
}

void verbs_install(struct hub *hub)
{
	take_over(hub, "events.subscribe", subscribe);
	take_over(hub, "rpc.discover", discover);
	if (hub->backend->take_console)
		take_over(hub, "vm.console", become_console);
}
