/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_rpc.c - how fast a control socket answers: one client that waits for each answer, and one
 * that sends 64 requests in one go. The VM behind it does nothing, so this is the price of rpc
 * alone.
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../api/backend.h"
#include "../support/testing.h"
#include "base/clock.h"
#include "base/units.h"
#include "rpc/rpc.h"

enum { LONE_REQUESTS = 20000, PIPELINED_REQUESTS = 100000, IN_FLIGHT = 64 };
enum { AT_P50 = LONE_REQUESTS / 2, AT_P99 = LONE_REQUESTS / 100 * 99 };

static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.info\"}\n";

struct bench {
	uv_loop_t loop;
	uv_async_t end_async;
	struct rpc_server *server;
	int fd;
};

static void on_end(uv_async_t *async)
{
	uv_close((uv_handle_t *)async, NULL);
	uv_stop(async->loop);
}

static void *serve(void *ctx)
{
	struct bench *bench = ctx;

	(void)uv_run(&bench->loop, UV_RUN_DEFAULT);
	rpc_server_destroy(bench->server);
	(void)uv_loop_close(&bench->loop);
	return NULL;
}

static void read_answers(const struct bench *bench, unsigned count)
{
	char bytes[16384];

	while (count > 0) {
		ssize_t got = recv(bench->fd, bytes, sizeof(bytes), 0);

		if (got <= 0)
			exit(1);
		for (ssize_t i = 0; i < got; i++)
			count -= bytes[i] == '\n';
	}
}

static void ask(const struct bench *bench, unsigned count)
{
	char bytes[IN_FLIGHT * sizeof(request)] = "";
	size_t len = 0;

	for (unsigned i = 0; i < count; i++, len += sizeof(request) - 1)
		memcpy(bytes + len, request, sizeof(request) - 1);
	if (send(bench->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		exit(1);
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static void measure_lone(const struct bench *bench)
{
	static uint64_t took_ns[LONE_REQUESTS];

	for (unsigned i = 0; i < LONE_REQUESTS; i++) {
		uint64_t start_ns = clock_now_ns();

		ask(bench, 1);
		read_answers(bench, 1);
		took_ns[i] = clock_now_ns() - start_ns;
	}
	qsort(took_ns, LONE_REQUESTS, sizeof(took_ns[0]), compare);
	printf("rpc.answer_p50 %.1f us\n", (double)took_ns[AT_P50] / (double)NS_PER_US);
	printf("rpc.answer_p99 %.1f us\n", (double)took_ns[AT_P99] / (double)NS_PER_US);
}

static void measure_pipelined(const struct bench *bench)
{
	uint64_t start_ns = clock_now_ns();

	for (unsigned i = 0; i < PIPELINED_REQUESTS; i += IN_FLIGHT) {
		ask(bench, IN_FLIGHT);
		read_answers(bench, IN_FLIGHT);
	}
	printf("rpc.requests_per_s %.0f 1/s\n",
	       (double)PIPELINED_REQUESTS * NS_PER_S / (double)(clock_now_ns() - start_ns));
}

static void connect_bench(struct bench *bench, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	bench->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(bench->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		exit(1);
}

int main(void)
{
	struct counting_vm vm = { .state = API_STATE_RUNNING, .console_fd = -1 };
	struct api_backend backend = counting_backend(&vm);
	char dir[] = "/tmp/neap-bench-XXXXXX", path[64];
	struct bench bench = { 0 };
	struct err err = { 0 };
	pthread_t thread;

	if (!mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/vm.sock", dir);
	(void)uv_loop_init(&bench.loop);
	(void)uv_async_init(&bench.loop, &bench.end_async, on_end);
	if (rpc_server_create(&bench.loop, path, &backend, &bench.server, &err) < 0 ||
	    pthread_create(&thread, NULL, serve, &bench) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	connect_bench(&bench, path);
	measure_lone(&bench);
	measure_pipelined(&bench);
	(void)close(bench.fd);
	(void)uv_async_send(&bench.end_async);
	(void)pthread_join(thread, NULL);
	return rmdir(dir) == 0 ? 0 : 1;
}
