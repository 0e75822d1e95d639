/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* console.c - vm.console: a connection to the VM is made here, turned into its console, and handed over.
 *
 * After the VM's answer the connection's bytes are the console's, so not one byte beyond the answer's
 * newline may be read here: what came is looked at (MSG_PEEK), and only the line is taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "config/json_strict.h"
#include "host/contact.h"
#include "host/handlers.h"

enum { CONSOLE_ANSWER_BYTES = 4096, CONSOLE_ANSWER_MS = 5000, CONSOLE_NESTING = 16 };

struct console {
	struct api_request *request;
	int fd;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned closing;
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct console *console = handle->data;

	if (--console->closing == 0) {
		close_fd(&console->fd);
		free(console);
	}
}

static void finish(struct console *console)
{
	console->request = NULL;
	console->closing = 2;
	uv_close((uv_handle_t *)&console->poll, on_handle_closed);
	uv_close((uv_handle_t *)&console->timer, on_handle_closed);
}

static void fail(struct console *console, int code, const char *sentence)
{
	console->request->fail(console->request, code, sentence);
	finish(console);
}

/* Whoever gets it reads and writes as it likes. */
static void hand_over(struct console *console)
{
	json_t *result = json_pack("{s:s}", "how", "fd");
	int flags = fcntl(console->fd, F_GETFL);

	(void)uv_poll_stop(&console->poll);
	(void)fcntl(console->fd, F_SETFL, flags & ~O_NONBLOCK);
	console->request->answer(console->request, result, take_fd(&console->fd));
	finish(console);
}

static void on_line(struct console *console, const char *line, size_t len)
{
	json_t *message = NULL;
	const json_t *error;
	struct err err = { 0 };

	if (json_strict_parse(line, len, CONSOLE_NESTING, &message, &err) < 0) {
		fail(console, API_ERROR_INTERNAL, "the VM answered with something else than JSON");
		return;
	}
	error = json_object_get(message, "error");
	if (json_object_get(message, "result")) {
		hand_over(console);
	} else {
		const char *sentence = json_string_value(json_object_get(error, "message"));
		int code = (int)json_integer_value(json_object_get(error, "code"));

		fail(console, code ? code : API_ERROR_INTERNAL,
		     sentence ? sentence : "the VM did not say why not");
	}
	json_decref(message);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct console *console = poll->data;
	char line[CONSOLE_ANSWER_BYTES];
	const char *newline;
	ssize_t got = recv(console->fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);

	(void)status;
	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	newline = got > 0 ? memchr(line, '\n', (size_t)got) : NULL;
	if (got <= 0 || (!newline && got == (ssize_t)sizeof(line))) {
		fail(console, API_ERROR_STATE, "the VM ended, or is no VM, before it answered");
		return;
	}
	if (!newline)
		return;
	got = recv(console->fd, line, (size_t)(newline - line) + 1, MSG_DONTWAIT);
	on_line(console, line, (size_t)got - 1);
}

static void on_timeout(uv_timer_t *timer)
{
	fail(timer->data, API_ERROR_SILENT, "the VM does not answer");
}

static int connect_to(const char *path, struct err *err)
{
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.console\"}\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
		return err_set(err, -errno, "%s: %m", path);
	return take_fd(&fd);
}

static int connect_console(struct host *host, const char *path, struct api_request *request,
			   struct err *err)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	console->fd = connect_to(path, err);
	if (console->fd < 0 || uv_poll_init(&host->loop, &console->poll, console->fd) < 0) {
		close_fd(&console->fd);
		free(console);
		return API_ERROR_INTERNAL;
	}
	console->request = request;
	console->poll.data = console->timer.data = console;
	(void)uv_timer_init(&host->loop, &console->timer);
	(void)uv_timer_start(&console->timer, on_timeout, CONSOLE_ANSWER_MS, 0);
	(void)uv_poll_start(&console->poll, UV_READABLE | UV_DISCONNECT, on_readable);
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
