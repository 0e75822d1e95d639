/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host.c - see host.h: what a daemon is made of, in the order in which it comes up.
 *
 *   lock and read what is stored    a second daemon of the same directory ends here
 *   broker                          the pools as they are
 *   adopt                           VMs that run already, by record and by socket
 *   sockets                         when those have said what they are, or SETTLE_MS have passed
 *   READY=1 to systemd, autostart
 *
 *  H1  Whoever connects sees the VMs that run: the sockets are served after the first look. Events from
 *      before are kept, and get their numbers when there is a server.
 *  H2  Time is monotonic everywhere: a step of the wall clock changes no wait and no order. A tick that comes
 *      late says that we were stopped, not that others are silent.
 *  H3  Nothing waits for a VM: what is asked of one is answered later, or never.
 *  H4  VMs are started at boot once: the runtime directory, which does not outlive the host, says that it
 *      was done.
 *  H5  A disk that is full or read-only keeps no daemon from taking over what runs. The numbers of its events
 *      then go on from the last ones that were stored by the milliseconds since boot, which no daemon of
 *      this boot has come to.
 *  H6  The end begins with silence: first nobody calls us about VMs any more, then those go whom that would
 *      concern. Some let the loop turn while they close what is theirs.
 */
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/suggest.h"
#include "host/adopt.h"
#include "host/broker_loop.h"
#include "host/contact.h"
#include "host/definition.h"
#include "host/diary.h"
#include "host/handlers.h"
#include "host/idempotency.h"
#include "host/jobs.h"
#include "host/lifecycle.h"
#include "host/listens.h"
#include "host/metrics.h"

enum {
	TICK_MS = 1000,
	AWAY_MS = 2500,	 /* H2: between two ticks */
	SETTLE_MS = 400, /* H1 */
	SETTLE_LOOK_MS = 5,
	EARLY_MAX = 4096,
	SEQ_STEP = 1 << 16, /* numbers of events taken at once */
	SEQ_TELL = 1 << 10, /* so many are left between two complaints */
	CONFIG_SPARE_FDS = 512,
};

/* --- events -------------------------------------------------------------------------------------- */

void host_set_listener(struct host *host,
		       void (*on_event)(void *ctx, const struct hosted *vm, const char *kind,
					const json_t *data),
		       void *ctx)
{
	host->listener = on_event;
	host->listener_ctx = ctx;
}

struct broker *host_broker(const struct host *host)
{
	return host->broker;
}

/* The next block of numbers, which begins where the last one ends, or where we went on without the disk. */
static int take_numbers(struct host *host, struct err *err)
{
	uint64_t count = SEQ_STEP, first;
	int ret;

	if (host->last_seq > store_next_number(host->store))
		count += host->last_seq - store_next_number(host->store);
	ret = store_take_numbers(host->store, count, &first, err);
	if (ret < 0)
		return ret;
	if (host->last_seq == 0)
		host->last_seq = first - 1;
	host->seq_end = first + count;
	return 0;
}

/* H5 */
static void go_on_without_numbers(struct host *host, const struct err *err)
{
	uint64_t since_boot_ms = clock_now_ns() / NS_PER_MS;

	log_error("host", "numbers of events may come again after the next boot: %s", err->text);
	host->last_seq = store_next_number(host->store) + since_boot_ms;
}

static void count_event(struct host *host)
{
	struct err err = { 0 };

	host->last_seq++;
	if (host->last_seq + SEQ_STEP / 2 < host->seq_end || host->last_seq % SEQ_TELL != 0)
		return;
	if (take_numbers(host, &err) < 0)
		log_warn("host", "numbers of events: %s", err.text);
}

void host_publish(struct host *host, const struct hosted *vm, const char *kind, json_t *data)
{
	diary_write(vm ? vm->definition.name : NULL, kind, data);
	if (!host->server) { /* H1 */
		if (json_array_size(host->early) < EARLY_MAX)
			(void)json_array_append_new(
				host->early,
				json_pack("[s?, s?, s, O]", vm ? vm->definition.name : NULL,
					  vm ? vm->definition.uuid : NULL, kind, data));
		json_decref(data);
		return;
	}
	if (host->listener)
		host->listener(host->listener_ctx, vm, kind, data);
	rpc_server_publish_of(host->server, vm ? vm->definition.name : NULL,
			      vm ? vm->definition.uuid : NULL, kind, data);
	count_event(host);
}

static void publish_early(struct host *host)
{
	size_t i;
	json_t *event;

	json_array_foreach(host->early, i, event)
	{
		rpc_server_publish_of(host->server, json_string_value(json_array_get(event, 0)),
				      json_string_value(json_array_get(event, 1)),
				      json_string_value(json_array_get(event, 2)),
				      json_incref(json_array_get(event, 3)));
		count_event(host);
	}
	json_decref(host->early);
	host->early = NULL;
}

int host_no_vm(const char *untrusted_name, struct err *err)
{
	char quoted[QUOTE_BYTES];

	(void)err_set(err, -ENOENT, "no VM %s is known; vm.list shows them",
		      quote_text(untrusted_name, quoted));
	return API_ERROR_NO_VM;
}

/* --- time ---------------------------------------------------------------------------------------- */

static void on_alarm(uv_timer_t *timer)
{
	struct host *host = timer->data;
	uint64_t now_ns = clock_now_ns();
	uint64_t next_ns = 0;

	host->alarm_at_ns = 0;
	for (unsigned i = host->vm_count; i-- > 0;) /* one may be removed */
		if (i < host->vm_count)
			life_on_alarm(host->vms[i], now_ns);
	for (unsigned i = 0; i < host->vm_count; i++) {
		uint64_t at_ns = life_alarm_ns(host->vms[i]);

		if (at_ns && (next_ns == 0 || at_ns < next_ns))
			next_ns = at_ns;
	}
	if (next_ns)
		host_alarm(host, next_ns);
}

void host_alarm(struct host *host, uint64_t at_ns)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t ms = at_ns > now_ns ? (at_ns - now_ns) / NS_PER_MS + 1 : 0;

	if (host->alarm_at_ns && host->alarm_at_ns <= at_ns)
		return;
	host->alarm_at_ns = at_ns;
	uv_update_time(&host->loop);
	(void)uv_timer_start(&host->alarm, on_alarm, ms, 0);
}

/* For the line "Status:" of systemctl status. */
static void tell_systemd(struct host *host)
{
	unsigned running = 0;

	for (unsigned i = 0; i < host->vm_count; i++)
		running += host->vms[i]->process != NULL;
	if (running == host->running_told)
		return;
	host->running_told = running;
	(void)sd_notifyf(0, "STATUS=%u VM%s run%s", running, running == 1 ? "" : "s",
			 running == 1 ? "s" : "");
}

static void on_tick(uv_timer_t *timer)
{
	struct host *host = timer->data;
	uint64_t now_ns = clock_now_ns();
	bool was_away = now_ns - host->tick_at_ns > AWAY_MS * NS_PER_MS; /* H2 */

	host->tick_at_ns = now_ns;
	adopt_tick(host);
	for (unsigned i = 0; i < host->vm_count; i++)
		contact_tick(host->vms[i], now_ns, was_away);
	broker_tick(host->broker, now_ns);
	tell_systemd(host);
}

/* --- what is stored ------------------------------------------------------------------------------ */

static bool take_definition(void *ctx, const char *name, const json_t *object, struct err *err)
{
	struct host *host = ctx;
	struct definition definition;
	struct hosted *vm = NULL;

	if (definition_from_json(&definition, object, err) < 0)
		return false;
	if (strcmp(definition.name, name) != 0)
		(void)err_set(err, -EINVAL, "it is the definition of %s", definition.name);
	else if (roster_check_new(host, &definition, err) == 0)
		vm = roster_add(host, &definition, false);
	definition_fini(&definition);
	if (vm && vm->definition.key.text)
		idempotency_remember(host->idempotency, &vm->definition.key,
				     handlers_describe_created(vm));
	return vm != NULL;
}

static int load(struct host *host, struct err *err)
{
	int ret = store_open(host->config->state_dir, host->config->runtime_dir, &host->store, err);

	if (ret < 0)
		return ret;
	host->early = json_array();
	host->idempotency = idempotency_create();
	if (!host->early || !host->idempotency)
		return err_set(err, -ENOMEM, "out of memory");
	return store_load(host->store, STORE_VMS, take_definition, host, err);
}

/* --- at boot ------------------------------------------------------------------------------------- */

static void marker_path(const struct host *host, char ret_path[STORE_PATH_BYTES])
{
	(void)snprintf(ret_path, STORE_PATH_BYTES, "%s/booted", host->config->runtime_dir);
}

static void read_boot_id(char ret_id[64])
{
	CLEANUP(close_fd)
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret_id, 63);

	ret_id[got > 0 ? got : 0] = '\0';
}

static bool is_first_of_boot(const struct host *host)
{
	char path[STORE_PATH_BYTES], now[64], then[64] = "";

	marker_path(host, path);
	read_boot_id(now);
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t got = fd < 0 ? 0 : read(fd, then, sizeof(then) - 1);

	then[got > 0 ? got : 0] = '\0';
	return strcmp(now, then) != 0;
}

/* A daemon that is killed while it starts VMs leaves no mark, and the next one starts the rest. */
static void mark_boot(const struct host *host)
{
	char path[STORE_PATH_BYTES], now[64];

	marker_path(host, path);
	read_boot_id(now);
	CLEANUP(close_fd)
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fd_write_full(fd, now, strlen(now)) < 0)
		log_warn("host", "%s: %s: the next daemon starts VMs with autostart again", path,
			 strerror(errno));
}

static void autostart(struct host *host)
{
	if (!is_first_of_boot(host))
		return;
	for (unsigned i = 0; i < host->vm_count; i++)
		if (host->vms[i]->definition.autostart && !host->vms[i]->process)
			life_autostart(host->vms[i]);
	mark_boot(host);
}

/* --- sockets ------------------------------------------------------------------------------------- */

static int serve(struct host *host, struct err *err)
{
	const struct host_config *config = host->config;
	struct listens listens;
	struct rpc_server_config server = { .loop = &host->loop,
					    .backend = &host->backend,
					    .listens = listens.rpc,
					    .connections_max = (unsigned)config->socket.connections,
					    .events_kept = (unsigned)config->socket.events };
	int ret;

	if (take_numbers(host, err) < 0)
		go_on_without_numbers(host, err);
	server.first_seq = host->last_seq + 1;
	ret = listens_find(config, &listens, err);
	if (ret < 0)
		return ret;
	host->metrics_fd = listens.metrics_fd;
	server.listen_count = listens.rpc_count;
	server.any_user = config->socket.group || config->socket.mode & 077 ||
			  config->socket.read_mode & 077 || listens.rpc[0].fd >= 0;
	ret = rpc_server_create_many(&server, &host->server, err);
	if (ret == 0)
		publish_early(host);
	return ret;
}

static void describe_daemon(void *ctx, struct metrics_daemon *ret_daemon)
{
	const struct host *host = ctx;

	*ret_daemon = (struct metrics_daemon){
		.connections = host->server ? rpc_server_connections(host->server) : 0,
		.events = host->last_seq,
		.started_ns = host->started_ns
	};
}

/* Numbers are for people who look: VMs are served without. */
static void serve_metrics(struct host *host)
{
	const struct host_config *config = host->config;
	struct metrics_config metrics = { .loop = &host->loop,
					  .host = host,
					  .path = config->metrics.path,
					  .fd = host->metrics_fd,
					  .mode = config->socket.read_mode,
					  .port = config->metrics.port,
					  .daemon = describe_daemon,
					  .ctx = host };
	struct err err = { 0 };

	if (!config->metrics.enabled && host->metrics_fd >= 0)
		log_warn("host", "systemd hands in a socket for metrics, and metrics.enabled is "
				 "off: nobody answers there (systemctl disable --now "
				 "neapd-metrics.socket)");
	if (!config->metrics.enabled)
		return;
	if (listens_find_group(config->socket.group, &metrics.gid, &err) < 0 ||
	    metrics_create(&metrics, &host->metrics, &err) < 0)
		log_error("host", "no metrics and no page: %s", err.text);
}

/* --- from beginning to end ----------------------------------------------------------------------- */

static void on_signal(uv_signal_t *handle, int number)
{
	struct host *host = handle->data;

	if (number == SIGHUP) {
		log_warn("host", "SIGHUP: neapd.json is read at the start only; restart neapd to "
				 "read it again, VMs go on meanwhile");
		return;
	}
	host->has_to_end = true;
	uv_stop(&host->loop);
}

static void watch_signals(struct host *host)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	_Static_assert(ARRAY_LEN(numbers) == ARRAY_LEN(host->signals), "a handle per signal");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		(void)uv_signal_init(&host->loop, &host->signals[i]);
		host->signals[i].data = host;
		(void)uv_signal_start(&host->signals[i], on_signal, numbers[i]);
	}
}

static void init_handles(struct host *host)
{
	uv_timer_t *const timers[] = { &host->reaper, &host->alarm, &host->tick };

	for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
		(void)uv_timer_init(&host->loop, timers[i]);
		timers[i]->data = host;
	}
	(void)uv_idle_init(&host->loop, &host->turns);
	host->turns.data = host;
}

/* A descriptor per connection and three per VM. */
static void raise_limits(const struct host_config *config)
{
	struct rlimit limit;

	(void)mallopt(M_ARENA_MAX, 1);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur < config->socket.connections + CONFIG_SPARE_FDS)
		log_warn("host",
			 "%llu files may be open (RLIMIT_NOFILE): too few for %llu "
			 "connections and VMs besides",
			 (unsigned long long)limit.rlim_cur,
			 (unsigned long long)config->socket.connections);
}

static void on_settle_look(uv_timer_t *timer)
{
	(void)timer; /* the loop turns, and settle() looks */
}

/* H1 */
static void settle(struct host *host)
{
	uint64_t until_ns = clock_now_ns() + SETTLE_MS * NS_PER_MS;

	(void)uv_timer_start(&host->tick, on_settle_look, SETTLE_LOOK_MS, SETTLE_LOOK_MS);
	while (!host->has_to_end && !adopt_is_settled(host) && clock_now_ns() < until_ns)
		(void)uv_run(&host->loop, UV_RUN_ONCE);
	(void)uv_timer_stop(&host->tick);
}

static bool is_vm(void *ctx, const char *name)
{
	return host_find(ctx, name) != NULL;
}

static int start(struct host *host, struct err *err)
{
	int ret = load(host, err);

	if (ret == 0)
		ret = broker_loop_open(host, err);
	if (ret == 0)
		ret = adopt_start(host, err);
	if (ret < 0)
		return ret;
	settle(host);
	store_retire_unknown_logs(host->store, is_vm, host);
	ret = serve(host, err);
	if (ret < 0)
		return ret;
	serve_metrics(host);
	host->tick_at_ns = clock_now_ns();
	(void)uv_timer_start(&host->tick, on_tick, 0, TICK_MS);
	(void)sd_notify(0, "READY=1");
	tell_systemd(host);
	autostart(host);
	return 0;
}

static void on_walk(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* H6 */
static void fall_quiet(struct host *host)
{
	adopt_stop(host);
	(void)uv_timer_stop(&host->tick);
	(void)uv_timer_stop(&host->alarm);
	broker_loop_stop(host);
	for (unsigned i = 0; i < host->vm_count; i++)
		life_let_go(host->vms[i], "neapd ends; the VM goes on");
	jobs_let_go(host, "neapd ends, and this was not begun");
}

static void stop(struct host *host)
{
	(void)sd_notify(0, "STOPPING=1");
	fall_quiet(host);
	if (host->server)
		rpc_server_destroy(host->server);
	host->server = NULL;
	metrics_destroy(host->metrics);
	roster_fini(host);
	broker_destroy(host->broker);
	idempotency_destroy(host->idempotency);
	json_decref(host->early);
	store_close(host->store);
	uv_walk(&host->loop, on_walk, NULL);
	(void)uv_run(&host->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&host->loop);
}

int host_run(const struct host_config *config, struct err *err)
{
	struct host *host = calloc(1, sizeof(*host));
	int ret;

	if (!host)
		return err_set(err, -ENOMEM, "out of memory");
	host->config = config;
	host->started_ns = clock_now_ns();
	host->running_told = UINT_MAX;
	host->backend = (struct api_backend){ .set = &api_host_set,
					      .handlers = host_handlers,
					      .ctx = host };
	raise_limits(config);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)uv_loop_init(&host->loop);
	init_handles(host);
	watch_signals(host);
	ret = start(host, err);
	if (ret == 0 && !host->has_to_end)
		(void)uv_run(&host->loop, UV_RUN_DEFAULT);
	stop(host);
	free(host);
	return ret;
}
