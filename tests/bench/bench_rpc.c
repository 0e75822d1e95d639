/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_rpc.c - how fast a control socket answers: one client that waits for each answer, and one
 * that sends 64 requests in one go. The VM behind it does nothing, so this is the price of rpc
 * alone.
 *
 * Beside it the kernel's limit: the same bytes on a socket pair, with a loop at the other end that
 * only counts newlines. Both in turns, so that a busy machine is busy for both.
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../api/backend.h"
#include "../support/testing.h"
#include "base/clock.h"
#include "base/units.h"
#include "rpc/rpc.h"

enum { LONE_REQUESTS = 20000, PARTS = 21, IN_FLIGHT = 64 };
enum { PIPELINED_REQUESTS = IN_FLIGHT * PARTS * 100 };
enum { AT_P50 = LONE_REQUESTS / 2, AT_P99 = LONE_REQUESTS / 100 * 99 };

static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.info\"}\n";
static const char answer[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"state\":\"running\"}}\n";

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

static void read_answers(int fd, unsigned count)
{
	char bytes[16384];

	while (count > 0) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

		if (got <= 0)
			exit(1);
		for (ssize_t i = 0; i < got; i++)
			count -= bytes[i] == '\n';
	}
}

static void ask(int fd, unsigned count)
{
	char bytes[IN_FLIGHT * sizeof(request)] = "";
	size_t len = 0;

	for (unsigned i = 0; i < count; i++, len += sizeof(request) - 1)
		memcpy(bytes + len, request, sizeof(request) - 1);
	if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		exit(1);
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* At the other end of the socket pair: as many answers as there are newlines. */
static void *echo(void *ctx)
{
	int fd = *(int *)ctx;
	char bytes[16384], answers[IN_FLIGHT * sizeof(answer)];
	struct epoll_event event = { .events = EPOLLIN };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ssize_t got;

	(void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		memcpy(answers + i * (sizeof(answer) - 1), answer, sizeof(answer) - 1);
	while (epoll_wait(epoll_fd, &event, 1, -1) > 0 &&
	       (got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		size_t count = 0;

		for (ssize_t i = 0; i < got; i++)
			count += bytes[i] == '\n';
		if (count > 0 && send(fd, answers, count * (sizeof(answer) - 1), MSG_NOSIGNAL) < 0)
			break;
	}
	(void)close(epoll_fd);
	return NULL;
}

static uint64_t ask_once(int fd)
{
	uint64_t start_ns = clock_now_ns();

	ask(fd, 1);
	read_answers(fd, 1);
	return clock_now_ns() - start_ns;
}

static void measure_lone(const struct bench *bench, int echo_fd)
{
	static uint64_t took_ns[LONE_REQUESTS], echo_ns[LONE_REQUESTS];

	for (unsigned i = 0; i < LONE_REQUESTS; i++) {
		took_ns[i] = ask_once(bench->fd);
		echo_ns[i] = ask_once(echo_fd);
	}
	qsort(took_ns, LONE_REQUESTS, sizeof(took_ns[0]), compare);
	qsort(echo_ns, LONE_REQUESTS, sizeof(echo_ns[0]), compare);
	printf("rpc.answer_p50 %.1f us\n", (double)took_ns[AT_P50] / (double)NS_PER_US);
	printf("rpc.answer_p99 %.1f us\n", (double)took_ns[AT_P99] / (double)NS_PER_US);
	printf("rpc.echo_p50 %.1f us\n", (double)echo_ns[AT_P50] / (double)NS_PER_US);
	printf("rpc.echo_p99 %.1f us\n", (double)echo_ns[AT_P99] / (double)NS_PER_US);
	printf("rpc.answer_p50_to_echo %.2f x\n",
	       (double)took_ns[AT_P50] / (double)echo_ns[AT_P50]);
}

static uint64_t pipeline(int fd)
{
	uint64_t start_ns = clock_now_ns();

	for (unsigned i = 0; i < PIPELINED_REQUESTS / PARTS; i += IN_FLIGHT) {
		ask(fd, IN_FLIGHT);
		read_answers(fd, IN_FLIGHT);
	}
	return clock_now_ns() - start_ns;
}

static uint64_t cpu_ns(pthread_t thread)
{
	struct timespec used;
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) < 0)
		exit(1);
	return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

/* Processor time too: of wall-clock time a busy machine takes what it likes. */
static void measure_pipelined(const struct bench *bench, pthread_t server, int echo_fd,
			      pthread_t echo_thread)
{
	uint64_t took_ns[PARTS], used_ns = cpu_ns(server), echo_ns = cpu_ns(echo_thread);

	for (unsigned i = 0; i < PARTS; i++) {
		took_ns[i] = pipeline(bench->fd);
		(void)pipeline(echo_fd);
	}
	used_ns = cpu_ns(server) - used_ns;
	echo_ns = cpu_ns(echo_thread) - echo_ns;
	qsort(took_ns, PARTS, sizeof(took_ns[0]), compare);
	printf("rpc.requests_per_s %.0f 1/s\n",
	       (double)PIPELINED_REQUESTS / PARTS * NS_PER_S / (double)took_ns[PARTS / 2]);
	printf("rpc.request_cpu %.2f us\n",
	       (double)used_ns / (double)NS_PER_US / PIPELINED_REQUESTS);
	printf("rpc.echo_cpu %.2f us\n", (double)echo_ns / (double)NS_PER_US / PIPELINED_REQUESTS);
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
	pthread_t thread, echo_thread;
	int pair[2];

	if (!mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/vm.sock", dir);
	(void)uv_loop_init(&bench.loop);
	(void)uv_async_init(&bench.loop, &bench.end_async, on_end);
	if (rpc_server_create(&bench.loop, path, &backend, &bench.server, &err) < 0 ||
	    pthread_create(&thread, NULL, serve, &bench) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
	    pthread_create(&echo_thread, NULL, echo, &pair[1]) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	connect_bench(&bench, path);
	measure_lone(&bench, pair[0]);
	measure_pipelined(&bench, thread, pair[0], echo_thread);
	(void)close(bench.fd);
	(void)close(pair[0]);
	(void)uv_async_send(&bench.end_async);
	(void)pthread_join(thread, NULL);
	(void)pthread_join(echo_thread, NULL);
	return rmdir(dir) == 0 ? 0 : 1;
}
