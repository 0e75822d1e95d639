/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_list.c - what a vm.list costs the daemon, for 200 and for 1,000 VMs that run.
 *
 * The daemon's own handlers and socket, behind which the VMs are made of numbers: no process, no memory.
 * One client asks, and reads to the last byte. Processor time of the thread that answers, which holds on
 * a busy machine, and wall time as the client sees it. Once as it is when nothing moves between two
 * lists ("still"), once with new numbers of every VM before each ("moved").
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "host/host_internal.h"
#include "rpc/rpc.h"

enum { VMS_MAX = 1000, LISTS = 1000, AT_P50 = LISTS / 2, AT_P99 = LISTS / 100 * 99 };

static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.list\"}\n";

struct bench {
	struct host host;
	struct hosted *vms[VMS_MAX];
	uv_async_t end_async, move_async;
	unsigned moves;
	pthread_t thread;
	int fd;
};

static void die(const char *what)
{
	(void)fprintf(stderr, "bench-list: %s\n", what);
	exit(EXIT_FAILURE);
}

/* --- the daemon ---------------------------------------------------------------------------------- */

static void set_usage(struct hosted *vm, unsigned moves)
{
	struct api_usage usage = { 0 };

	for (unsigned id = 0; id < API_USAGE_COUNT; id++)
		api_usage_put(&usage, id, id % 4 == 3 ? id : (id + 7 + moves) * 37 * MIB_BYTES);
	hosted_set_usage(vm, &usage);
}

static struct hosted *make_vm(struct bench *bench, unsigned index, struct process *process)
{
	struct hosted *vm = calloc(1, sizeof(*vm));

	if (!vm)
		die("out of memory");
	vm->host = &bench->host;
	(void)snprintf(vm->definition.name, sizeof(vm->definition.name), "guest-%04u", index);
	(void)snprintf(vm->definition.uuid, sizeof(vm->definition.uuid),
		       "7d1f0000-0000-4000-8000-%012x", index);
	vm->definition.labels = json_pack("{s:s, s:s}", "tier", "web", "rack", "a-17");
	vm->definition.config = json_pack("{s:i}", "cpus", 2);
	vm->state = "running";
	vm->process = process;
	vm->started_ns = clock_now_ns();
	set_usage(vm, 0);
	return vm;
}

static void on_move(uv_async_t *async)
{
	struct bench *bench = async->data;

	bench->moves++;
	for (unsigned i = 0; i < bench->host.vm_count; i++)
		set_usage(bench->vms[i], bench->moves);
}

static void on_end(uv_async_t *async)
{
	uv_stop(async->loop);
}

static void *serve(void *ctx)
{
	struct bench *bench = ctx;

	(void)uv_run(&bench->host.loop, UV_RUN_DEFAULT);
	return NULL;
}

/* A process to name: this one. */
static struct process *make_process(struct bench *bench)
{
	static const struct process_ops ops = { 0 };
	struct process_identity identity;
	struct process *process = NULL;

	if (process_identify(getpid(), &identity) < 0 ||
	    process_adopt(&bench->host.loop, &identity, "/nonexistent", &ops, NULL, &process,
			  NULL) < 0)
		die("no process");
	return process;
}

static void start(struct bench *bench, const char *path)
{
	struct rpc_listen listen_at = {
		.path = path, .fd = -1, .mode = 0600, .gid = (gid_t)-1, .may_change = true
	};
	struct rpc_server_config config = { .loop = &bench->host.loop,
					    .backend = &bench->host.backend,
					    .listens = &listen_at,
					    .listen_count = 1,
					    .connections_max = 16 };
	struct process *process;
	struct err err;

	(void)uv_loop_init(&bench->host.loop);
	process = make_process(bench);
	for (unsigned i = 0; i < VMS_MAX; i++)
		bench->vms[i] = make_vm(bench, i, process);
	bench->host.vms = bench->vms;
	bench->host.backend = (struct api_backend){ .set = &api_host_set,
						    .handlers = host_handlers,
						    .ctx = &bench->host };
	(void)uv_async_init(&bench->host.loop, &bench->end_async, on_end);
	(void)uv_async_init(&bench->host.loop, &bench->move_async, on_move);
	bench->move_async.data = bench;
	if (rpc_server_create_many(&config, &bench->host.server, &err) < 0)
		die(err.text);
}

/* --- the client ---------------------------------------------------------------------------------- */

static void connect_bench(struct bench *bench, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	bench->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(bench->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("no connection");
}

/* Bytes of the answer. */
static size_t list(const struct bench *bench)
{
	static char bytes[MIB_BYTES];
	size_t len = 0;
	ssize_t got;

	if (send(bench->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		die("nobody listens");
	do {
		got = recv(bench->fd, bytes, sizeof(bytes), 0);
		if (got <= 0)
			die("no answer");
		len += (size_t)got;
	} while (bytes[got - 1] != '\n');
	return len;
}

static uint64_t cpu_ns(pthread_t thread)
{
	struct timespec used;
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) < 0)
		die("no clock");
	return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static void measure(struct bench *bench, unsigned vm_count, bool moves)
{
	static uint64_t took_ns[LISTS], used_ns[LISTS];
	const char *how = moves ? "moved" : "still";
	size_t len = 0;

	bench->host.vm_count = vm_count;
	for (unsigned i = 0; i < LISTS; i++) {
		uint64_t begin_ns, begin_cpu_ns;

		if (moves)
			(void)uv_async_send(&bench->move_async);
		begin_cpu_ns = cpu_ns(bench->thread);
		begin_ns = clock_now_ns();
		len = list(bench);
		took_ns[i] = clock_now_ns() - begin_ns;
		used_ns[i] = cpu_ns(bench->thread) - begin_cpu_ns;
	}
	qsort(took_ns, LISTS, sizeof(took_ns[0]), compare);
	qsort(used_ns, LISTS, sizeof(used_ns[0]), compare);
	(void)printf("list.%u_%s_cpu_p50 %.3f ms\n", vm_count, how,
		     (double)used_ns[AT_P50] / (double)NS_PER_MS);
	(void)printf("list.%u_%s_p50 %.3f ms\n", vm_count, how,
		     (double)took_ns[AT_P50] / (double)NS_PER_MS);
	(void)printf("list.%u_%s_p99 %.3f ms\n", vm_count, how,
		     (double)took_ns[AT_P99] / (double)NS_PER_MS);
	(void)printf("list.%u_bytes %zu B\n", vm_count, len);
}

int main(void)
{
	static struct bench bench;
	char dir[] = "/tmp/neap-bench-XXXXXX", path[64];

	if (!mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/neapd.sock", dir);
	start(&bench, path);
	if (pthread_create(&bench.thread, NULL, serve, &bench) != 0)
		return 1;
	connect_bench(&bench, path);
	measure(&bench, 200, false);
	measure(&bench, 200, true);
	measure(&bench, 1000, false);
	measure(&bench, 1000, true);
	(void)close(bench.fd);
	(void)uv_async_send(&bench.end_async);
	(void)pthread_join(bench.thread, NULL);
	rpc_server_destroy(bench.host.server);
	return rmdir(dir) == 0 ? 0 : 1;
}
