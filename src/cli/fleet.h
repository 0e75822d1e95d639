/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet.h - all VMs of this user at once, asked again and again, and never waited for.
 *
 * Every VM has at most one open question. One that gives no answer within FLEET_PATIENCE_MS is
 * silent until it does; that costs the others nothing. VMs come and go by their sockets, as in
 * `neap ps`. Threads: one owner. Inside cli/ only.
 */
#ifndef NEAP_CLI_FLEET_H
#define NEAP_CLI_FLEET_H

#include <jansson.h>
#include <poll.h>

#include "base/strbuf.h"
#include "cli/vms.h"
#include "rpc/frame.h"

enum { FLEET_PATIENCE_MS = 1000, FLEET_FDS_MAX = 4 };

enum fleet_health {
	FLEET_NEW, /* has not answered yet */
	FLEET_ANSWERS,
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

	/* fleet.c's own */
	bool is_listed;
	int fd;		   /* -1: not connected */
	uint64_t asked_ns; /* when the open question was put; 0: there is none */
	uint64_t set_ns;   /* the same of a setting */
	struct frame in;
	struct strbuf out;
};

struct fleet {
	struct fleet_vm **vms; /* by name */
	unsigned count;
	struct pollfd *pollers;
	/* How a setting ended: @error is a sentence, or NULL. */
	void (*was_set)(void *ctx, const struct fleet_vm *vm, const char *error);
	void *ctx;
};

void fleet_fini(struct fleet *fleet); /* a zeroed fleet is an empty one */

/**
 * fleet_look() - see who is there, and ask everybody who has no open question
 *
 * To be called about once a second. Pointers to VMs are good until the next call.
 *
 * Return: 0; a negative errno when the sockets cannot be listed, with the reason in @err.
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

/* Who still has an open question is silent. */
void fleet_give_up(struct fleet *fleet);

/* One call of vm.memory.set; fleet->was_set says how it ended. Steals @params. False: the VM has
 * an open setting, or no connection. */
bool fleet_set(struct fleet_vm *vm, json_t *params);

struct fleet_vm *fleet_find(const struct fleet *fleet, const char *name);

#endif
