/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host_internal.h - struct host, and what its files are to each other. Inside host/ only.
 *
 *   host.c       wiring: store, broker, sockets, signals, the one second tick
 *   roster.c     all VMs by name; their records
 *   lifecycle.c  the states of a VM's process, and who may change them
 *   contact.c    the link to one VM: its events, its silence, calls
 *   adopt.c      VMs that run already: by their records, and by their sockets
 *   jobs.c       one request's work on one VM or on all that a selector names
 *   handlers*.c  the verbs
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_HOST_INTERNAL_H
#define NEAP_HOST_HOST_INTERNAL_H

#include <uv.h>

#include "config/host_config.h"
#include "host/hosted.h"
#include "host/store.h"
#include "rpc/rpc.h"

struct adopt;
struct idempotency;
struct job;
struct jobs;
struct metrics;

struct job_list {
	struct job *first;
};

struct host {
	uv_loop_t loop;
	const struct host_config *config;
	struct store *store;
	struct broker *broker;
	struct api_backend backend;
	struct rpc_server *server; /* NULL: not yet */
	struct metrics *metrics;   /* NULL: off */
	int metrics_fd;		   /* its socket from systemd, or -1 */
	struct adopt *adopt;
	struct idempotency *idempotency;

	struct hosted **vms; /* sorted by name */
	unsigned vm_count, vm_capacity;
	struct hosted *removed; /* freed when the loop comes round */
	uv_timer_t reaper;
	struct jobs *waiting_jobs; /* jobs.c's: they have their turn when the loop comes round */
	uv_idle_t turns;

	uv_timer_t alarm; /* the earliest alarm of any VM */
	uint64_t alarm_at_ns;
	uv_timer_t tick;
	uv_prepare_t before_sleep;
	uv_timer_t soon; /* the broker wants a tick of its own */
	uint64_t tick_at_ns;
	uv_signal_t signals[3];
	uint64_t started_ns;
	bool has_to_end;       /* somebody asked */
	unsigned running_told; /* to systemd */

	json_t *early;	   /* events from before there was a server */
	uint64_t last_seq; /* of the last event */
	uint64_t seq_end;  /* numbers below are taken */
	void (*listener)(void *ctx, const struct hosted *vm, const char *kind, const json_t *data);
	void *listener_ctx;
};

/* --- roster.c ------------------------------------------------------------------------------------ */

/* A new VM, stopped; takes what is in @definition. NULL: no memory (and nothing taken). The caller has
 * seen that neither name nor UUID is known. */
struct hosted *roster_add(struct host *host, struct definition *definition, bool is_transient);
/* It is unknown at once, and freed when the loop comes round. Its process, link and the rest are gone. */
void roster_remove(struct hosted *vm);
void roster_fini(struct host *host);
/* Where a VM of that name is in host->vms, or would be. */
unsigned roster_place(const struct host *host, const char *name);
int roster_check_new(const struct host *host, const struct definition *definition,
		     struct err *err); /* 0, or API_ERROR_EXISTS */

int roster_store(struct hosted *vm, struct err *err);
void roster_record_run(struct hosted *vm); /* what runs, for a daemon that comes after us */
void roster_forget_run(struct hosted *vm);

static inline uint64_t json_get_bytes(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* --- host.c -------------------------------------------------------------------------------------- */

/* Something of some VM is due at that time (life_alarm_ns). */
void host_alarm(struct host *host, uint64_t at_ns);
/* Returns API_ERROR_NO_VM. */
int host_no_vm(const char *untrusted_name, struct err *err);

/* --- handlers ------------------------------------------------------------------------------------ */

extern const api_handler host_handlers[API_HOST_VERB_COUNT];

#endif
