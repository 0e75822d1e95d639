/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_link.c - what a VM says, through the link of a daemon that has asked it something.
 *
 * The first byte says in which pieces the rest arrives, and what is asked before. What must hold: each
 * call is done at most once, and all that were begun when the link ends; the end is told once and last.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "rpc/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	unsigned begun, done;
	bool has_ended, has_console;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void on_event(void *ctx, const char *kind, const json_t *data)
{
	const struct fuzz *fuzz = ctx;

	require(!fuzz->has_ended && kind && json_is_object(data));
}

static void on_closed(void *ctx, int reason)
{
	struct fuzz *fuzz = ctx;

	require(!fuzz->has_ended && fuzz->done == fuzz->begun && rpc_link_reason(reason));
	fuzz->has_ended = true;
}

static void on_done(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct fuzz *fuzz = ctx;

	require(!fuzz->has_ended && (code == 0) == (result != NULL) && sentence);
	require(++fuzz->done <= fuzz->begun);
}

static void on_console(void *ctx, int code, int fd, const char *sentence)
{
	struct fuzz *fuzz = ctx;

	require((code == 0) == (fd >= 0) && sentence && !fuzz->has_console);
	require(++fuzz->done <= fuzz->begun);
	fuzz->has_console = code == 0;
	if (fd >= 0)
		(void)close(fd);
}

static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void unlink_at_end(void)
{
	(void)unlink(address.sun_path);
}

static int listen_once(void)
{
	static int listener = -1;

	if (listener >= 0)
		return listener;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/neap-fuzz-link-%d",
		       (int)getpid());
	(void)unlink(address.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	require(listen(listener, 1) == 0 && atexit(unlink_at_end) == 0);
	return listener;
}

static void ask(struct fuzz *fuzz, struct rpc_link *link, unsigned how)
{
	for (unsigned i = 0; i < how % 4; i++)
		fuzz->begun += rpc_link_call(link, "vm.info", NULL, 60000, on_done, fuzz) == 0;
	if (how & 4)
		fuzz->begun += rpc_link_console(link, -1, on_console, fuzz) == 0;
}

static void say(uv_loop_t *loop, int vm, const uint8_t *data, size_t size, size_t step)
{
	while (size > 0) {
		ssize_t sent =
			send(vm, data, size < step ? size : step, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno != EAGAIN)
			return; /* the link is closed */
		if (sent > 0) {
			data += sent;
			size -= (size_t)sent;
		}
		(void)uv_run(loop, UV_RUN_NOWAIT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rpc_link_ops ops = { .on_event = on_event, .on_closed = on_closed };
	unsigned how = size > 0 ? data[0] : 0;
	struct rpc_link *link = NULL;
	struct fuzz fuzz = { 0 };
	struct err err = { 0 };
	uv_loop_t loop;
	int vm, listener = listen_once();

	(void)uv_loop_init(&loop);
	require(rpc_link_open(&loop, address.sun_path, &ops, &fuzz, &link, &err) == 0);
	vm = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ask(&fuzz, link, how);
	if (size > 1)
		say(&loop, vm, data + 1, size - 1, (how >> 3) + 1);
	(void)close(vm);
	for (int i = 0; i < 100 && !fuzz.has_ended && !fuzz.has_console; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	require(fuzz.has_ended || fuzz.has_console);
	rpc_link_close(link);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	require(uv_loop_close(&loop) == 0);
	return 0;
}
