/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker_internal.h - what broker.c, broker_admit.c, broker_pool.c and broker_view.c share. */
#ifndef NEAP_HOST_BROKER_INTERNAL_H
#define NEAP_HOST_BROKER_INTERNAL_H

#include <sys/types.h>

#include "host/broker.h"
#include "host/ledger.h"
#include "memory/gauges.h"

struct broker_pool;

struct broker_vm {
	struct ledger_row row;
	struct broker_pool *pool;
	struct broker_vm *next; /* of the pool's */
	void *vm;
	char uuid[37];

	/* What it told last: in the books from the next step on, so that all of them are of one moment. */
	struct host_vm heard;
	bool has_told;	  /* its numbers, ever */
	uint64_t met_ns;  /* the first tick that found it in the books */
	bool may_be_told; /* it lives by grants: it is not reserved */
	bool waits;	  /* its guest does, for a larger grant */
	uint64_t need_bytes,
		need_until_ns; /* it waited at its grant: it is taken to want this until then */
	uint64_t settled_ns;   /* until then it boots: startup is its minimum; 0: it does not */
	uint64_t resets;       /* seen last */
	uint64_t told_ns;
	uint64_t lowest_bytes,
		lowest_ns; /* held since it was told less than it has; and since when */
	bool is_over;	   /* it was told that it does not give back */
};

struct broker_wait {
	struct broker_vm *vm; /* its row is in the ledger when it is the first */
	void (*on_room)(void *vm, struct broker_vm *broker_vm);
	struct broker_wait *next;
};

struct broker_pool {
	char *name;
	char *dir; /* of a mount, or NULL */
	dev_t dev; /* of a mount */
	uint64_t frame_bytes;
	struct gauges *gauges;
	struct ledger ledger;
	enum host_state state_told;
	bool cannot_read;   /* and that was said */
	bool has_strangers; /* VMs that run and have not told their numbers yet */
	struct broker_vm *vms;
	struct broker_wait *first_wait;
	unsigned overtaken; /* how often its first one was */
	struct broker_pool *next;
};

struct broker {
	struct broker_config config;
	struct broker_ops ops;
	char *root;
	struct broker_pool *pools; /* 2M, 4K, then mounts */
	uint64_t now_ns;	   /* of the last tick */
	bool wants_tick, hurries;
};

/* broker_pool.c */
int broker_pools_open(struct broker *broker, struct err *err);
void broker_pools_close(struct broker *broker);
int broker_pool_of(struct broker *broker, const struct broker_vm_config *config,
		   struct broker_pool **ret_pool, struct err *err);
/* Read it, and divide it. When it cannot be read, what was read last counts. */
void broker_pool_step(struct broker *broker, struct broker_pool *pool);
/* Divide it by what was read a moment ago. */
void broker_pool_step_again(struct broker *broker, struct broker_pool *pool);
void broker_pools_drop_unused(struct broker *broker);

/* broker_admit.c */
void broker_serve_waiting(struct broker *broker, struct broker_pool *pool);
void broker_free_waiting(struct broker_pool *pool);

/* broker.c */
int broker_vm_create(struct broker_pool *pool, const struct broker_vm_config *config, void *vm,
		     struct broker_vm **ret_vm, struct err *err);
void broker_vm_enter_numbers(const struct broker *broker, struct broker_vm *vm); /* before a step */
double broker_rho(const struct host_vm *vm, uint64_t bytes); /* when it has @bytes */

#endif
