/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet.h - all VMs at once, asked again and again, and never waited for.
 *
 * With a daemon it is asked, one question for all. While it is away, and without one, every VM of this
 * user is, with at most one open question each: one that gives no answer within FLEET_PATIENCE_MS is
 * silent until it does; that costs the others nothing. VMs come and go as in `neap ps`.
 * Threads: one owner. Inside cli/ only.
 */
#ifndef NEAP_CLI_FLEET_H
#define NEAP_CLI_FLEET_H

#include <jansson.h>
#include <poll.h>

#include "cli/fleet_link.h"
#include "cli/vms.h"

enum { FLEET_PATIENCE_MS = 1000, FLEET_FDS_MAX = 4 };

enum fleet_health {
	FLEET_NEW, /* has not answered yet */
	FLEET_ANSWERS,
	FLEET_PENDING,	/* it has no process yet, and is about to: a daemon's word */
	FLEET_SILENT,	/* there, and no answer within the patience */
	FLEET_LEFT_OVER /* a socket that nobody listens to any more */
};

struct fleet_look {
	json_t *memory; /* the result of vm.memory */
	uint64_t at_ns; /* when it came */
};

struct fleet_vm {
	char name[VM_NAME_BYTES];
	enum fleet_health health;
	pid_t pid;    /* 0: unknown */
	json_t *info; /* the last result of vm.info; NULL: never */
	struct fleet_look now, before;

	/* fleet's own */
	bool is_listed;
	struct fleet_link link; /* to its own socket */
	uint64_t set_ns;	/* when a setting was sent; 0: none is open */
	int detail_id;		/* of the open question about it alone to a daemon; 0: none */
	int set_id;
};

/* A daemon's list has what most of a row needs; the rest is asked of the VM. */
enum fleet_details { FLEET_DETAILS_NAMED, FLEET_DETAILS_ALL };

struct fleet {
	struct fleet_vm **vms;	/* by name */
	unsigned count, sorted; /* those that stand in order; the rest came since */
	struct pollfd *pollers;

	char daemon_path[RPC_PATH_BYTES]; /* "": none is looked for */
	bool daemon_is_named;		  /* then nothing is done without it */
	bool by_daemon;			  /* it answers, or has the time to */
	bool daemon_is_silent;		  /* it let its time pass */
	struct fleet_link daemon;
	enum fleet_details details;
	char detailed[VM_NAME_BYTES]; /* the one that is asked for all of its numbers */
	int last_id;

	/* How a setting ended: @error is a sentence, or NULL. */
	void (*was_set)(void *ctx, const struct fleet_vm *vm, const char *error);
	void *ctx;
};

/* @daemon_path: "" for none. */
void fleet_init(struct fleet *fleet, const char *daemon_path, bool daemon_is_named);
void fleet_fini(struct fleet *fleet);

/**
 * fleet_look() - see who is there, and ask everybody who has no open question
 *
 * To be called about once a second. Pointers to VMs are good until the next call, or fleet_wait().
 *
 * Return: 0; a negative errno when it cannot be seen who is there, with the reason in @err.
 */
int fleet_look(struct fleet *fleet, struct err *err);

/**
 * fleet_wait() - take the answers that come, until one of @fds is ready or the time is over
 * @fds: what the caller waits for besides, FLEET_FDS_MAX at most; revents are the answer
 *
 * Returns after the first answers, too.
 */
void fleet_wait(struct fleet *fleet, struct pollfd *fds, unsigned fd_count, int timeout_ms);

/* Nobody has an open question that may still be answered within its time. */
bool fleet_is_settled(const struct fleet *fleet);

/* fleet->detailed has changed: ask about that VM at once. */
void fleet_look_closer(struct fleet *fleet);

/* Who still has an open question is silent. */
void fleet_give_up(struct fleet *fleet);

/* One call of vm.memory.set; fleet->was_set says how it ended. Steals @params. False: the VM has
 * an open setting, or no connection. */
bool fleet_set(struct fleet *fleet, struct fleet_vm *vm, json_t *params);

struct fleet_vm *fleet_find(const struct fleet *fleet, const char *name);

/* --- between fleet.c and fleet_daemon.c ---------------------------------------------------------- */

/* The VMs are those of @names from now on: new ones come, others go. False: no memory. */
bool fleet_list(struct fleet *fleet, const json_t *names);
void fleet_take_memory(struct fleet_vm *vm, json_t *memory); /* a new look; borrows @memory */
void fleet_end_setting(struct fleet *fleet, struct fleet_vm *vm, const char *error);

/* False: there is none now. */
bool fleet_daemon_is_there(struct fleet *fleet);
void fleet_daemon_ask(struct fleet *fleet, uint64_t now_ns);
void fleet_daemon_read(struct fleet *fleet);
bool fleet_daemon_set(struct fleet *fleet, struct fleet_vm *vm, json_t *params);
bool fleet_daemon_is_settled(const struct fleet *fleet);

#endif
