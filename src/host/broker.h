/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker.h - divides the host's pools among its VMs: reads the pools, follows each VM's numbers, tells
 * grants, admits starts.
 *
 * There is a pool for each kind of frame: the host's 2 MiB huge pages, each hugetlbfs mount with a size
 * of its own, and ordinary memory (4 KiB). A VM belongs to the one that its configuration names.
 * The broker knows no sockets: grants and events leave through ops.
 * Threads: the loop's; never blocks.
 */
#ifndef NEAP_HOST_BROKER_H
#define NEAP_HOST_BROKER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/usage.h"
#include "base/err.h"

struct broker;
struct broker_vm;
struct broker_wait;

/* They return at once, and call nothing of the broker. */
struct broker_ops {
	/* Tell the VM its grant (verb vm.memory.grant). 0 bytes: none, look at the host yourself.
	 * Should it get lost: the VM's own numbers say so, and it is told again. */
	void (*grant)(void *vm, uint64_t grant_bytes);
	/* An event of host_events.def, with all its members; @vm is NULL for those of the host.
	 * Steals @data. */
	void (*tell)(void *ctx, void *vm, const char *kind, json_t *data);
	void *ctx;
};

struct broker_config {
	const char *root; /* before /proc and /sys: "", or a made-up host's (tests) */
	bool grants;	  /* false: keep the books and admit, but tell no VM anything */
};

int broker_create(const struct broker_config *config, const struct broker_ops *ops,
		  struct broker **ret_broker, struct err *err);
void broker_destroy(struct broker *broker); /* and all that is in its books; NULL is fine */

/* What of a VM's configuration matters here. */
struct broker_vm_config {
	const char *name;
	const char *uuid; /* NULL: "" */
	uint64_t frame_bytes;
	const char *hugetlbfs_dir; /* or NULL */
	uint64_t startup_bytes, minimum_bytes, maximum_bytes;
	uint32_t weight;
	bool reserved; /* takes its maximum at the start */
};

/**
 * broker_admit() - may a VM start?
 * @vm:      what ops get for it
 * @wait:    when there is no room yet, but could be: wait for it, in the order of asking
 * @on_room: with @wait: called once, from broker_tick(), when there is; the VM is then in the books as
 *           starting. It may call the broker.
 *
 * Return: 0: it is in the books as starting, *ret_vm; -EINPROGRESS: it waits, *ret_wait;
 *         -ENOMEM: there is no room, @err has the numbers and what to do; others: @err says.
 */
int broker_admit(struct broker *broker, const struct broker_vm_config *config, void *vm, bool wait,
		 void (*on_room)(void *vm, struct broker_vm *broker_vm), struct broker_vm **ret_vm,
		 struct broker_wait **ret_wait, struct err *err);
void broker_stop_waiting(struct broker *broker, struct broker_wait *wait); /* before on_room */

/* A VM that runs already (adopted): it is in the books with what it holds, room or not. */
int broker_add(struct broker *broker, const struct broker_vm_config *config, void *vm,
	       struct broker_vm **ret_vm, struct err *err);
void broker_remove(struct broker *broker, struct broker_vm *vm); /* its process is gone */

void broker_observe(struct broker *broker, struct broker_vm *vm, const struct api_usage *usage);
void broker_set_silent(struct broker *broker, struct broker_vm *vm, bool is_silent);
/* What a VM that was admitted may hold until it is told a grant: neap run --grant. 0: there is no such limit. */
uint64_t broker_first_grant_bytes(const struct broker *broker, const struct broker_vm *vm);
const char *broker_vm_pool(const struct broker_vm *vm);	 /* name of the pool that it belongs to */
uint64_t broker_grant_bytes(const struct broker_vm *vm); /* as it was told; 0: none yet */

/* Read the pools, divide, tell grants that changed. Each second, and soon after broker_wants_tick():
 * somebody needs more than it was granted, or there is more to divide. @now_ns is monotonic. */
void broker_tick(struct broker *broker, uint64_t now_ns);
bool broker_wants_tick(const struct broker *broker);

/* When it should come: soon, so that many that start do not have one each; or at once, but for a gap to
 * the last, when a VM is held at its grant. Only if it wants one. */
unsigned broker_tick_in_ms(const struct broker *broker, uint64_t now_ns);

json_t *broker_describe(const struct broker *broker); /* host.pools' `pools`; NULL: no memory */

/* For metrics: each pool's numbers. Names hold until the next call of anything here. */
struct broker_pool_numbers {
	const char *name; /* "2M", "4K", or the directory of a mount */
	uint64_t frame_bytes, total_bytes, free_bytes, used_bytes, granted_bytes, promised_bytes;
	uint64_t lent_bytes, others_bytes, room_bytes;
	unsigned state; /* enum host_state */
	unsigned vms, waiting;
};
unsigned broker_pools(const struct broker *broker, struct broker_pool_numbers *ret_pools,
		      unsigned capacity); /* how many there are */

#endif
