/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* console.c - vm.console: a link of its own to the VM is turned into its console, and handed over. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/contact.h"
#include "host/handlers.h"

enum { CONSOLE_ANSWER_MS = 5000 };

struct console {
	struct api_request *request;
	struct rpc_link *link;
	uv_timer_t later; /* a link is not closed while it calls */
};

static void on_later_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_later(uv_timer_t *later)
{
	struct console *console = later->data;

	rpc_link_close(console->link);
	uv_close((uv_handle_t *)later, on_later_closed);
}

static void on_console(void *ctx, int code, int fd, const char *sentence)
{
	struct console *console = ctx;
	struct api_request *request = console->request;

	if (code == 0) {
		/* Whoever gets it reads and writes as it likes. */
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
		request->answer(request, json_pack("{s:s}", "how", "fd"), fd);
	} else if (code == -ETIMEDOUT) {
		request->fail(request, API_ERROR_SILENT, "the VM does not answer");
	} else if (code == -EPIPE) {
		request->fail(request, API_ERROR_STATE, "the VM ended before it answered");
	} else {
		request->fail(request, code, sentence);
	}
	(void)uv_timer_start(&console->later, on_later, 0, 0);
}

static void on_closed(void *ctx, int reason)
{
	(void)ctx; /* what waits was told */
	(void)reason;
}

static int connect_console(struct host *host, const char *path, struct api_request *request,
			   struct err *err)
{
	static const struct rpc_link_ops ops = { .on_closed = on_closed };
	struct console *console = calloc(1, sizeof(*console));
	int ret;

	if (!console)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	console->request = request;
	console->later.data = console;
	ret = rpc_link_open(&host->loop, path, &ops, console, &console->link, err);
	if (ret == 0)
		ret = rpc_link_console(console->link, CONSOLE_ANSWER_MS, on_console, console);
	if (ret < 0) {
		rpc_link_close(console->link);
		free(console);
		return err->text[0] ? API_ERROR_INTERNAL
				    : (err_set(err, ret, "%s: %s", path, strerror(-ret)),
				       API_ERROR_INTERNAL);
	}
	(void)uv_timer_init(&host->loop, &console->later);
	return API_LATER;
}

int handle_console(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	const char *how = json_string_value(json_object_get(request->params, "how"));
	const struct hosted *vm = host_find(ctx, name);
	char path[RPC_PATH_BYTES];

	if (how && strcmp(how, "fd") != 0 && strcmp(how, "path") != 0)
		return err_set(err, -EINVAL, "how: fd or path"), API_ERROR_INVALID_PARAMS;
	if (!vm)
		return host_no_vm(name, err);
	if (!vm->process)
		return err_set(err, -ESRCH, "%s is %s; its console is there when it runs",
			       vm->definition.name, vm->state),
		       API_ERROR_STATE;
	if (contact_is_silent(vm))
		return err_set(err, -ETIMEDOUT, "%s: %.400s", vm->definition.name, vm->reason),
		       API_ERROR_SILENT;
	if (rpc_vm_path(vm->definition.name, RPC_SOCKET_SUFFIX, path, err) < 0)
		return API_ERROR_INTERNAL;
	if (!how || strcmp(how, "fd") == 0)
		return connect_console(ctx, path, request, err);
	*ret_result = json_pack("{s:s, s:s}", "how", "path", "path", path);
	return *ret_result ? 0 : (err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL);
}
