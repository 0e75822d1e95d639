/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet_link.h - a connection of a fleet, to a VM or to the daemon, that nobody waits for. Inside cli/ only.
 *
 * A socket of this kind is connected at once or not at all (a full backlog is EAGAIN). What waits to be
 * sent, and a message that is arriving, are bounded.
 */
#ifndef NEAP_CLI_FLEET_LINK_H
#define NEAP_CLI_FLEET_LINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"

struct fleet_link {
	int fd;		   /* -1: not connected */
	uint64_t asked_ns; /* when the open question was put; 0: there is none */
	struct strbuf in, out;
};

void fleet_link_init(struct fleet_link *link);
void fleet_link_close(struct fleet_link *link); /* it may be opened again */

/* 0, or a negative errno. */
int fleet_link_open(struct fleet_link *link, const char *path, pid_t *ret_pid);

/* One line. Steals @request. False: it did not fit, or the other side is gone; the link is closed then. */
bool fleet_link_put(struct fleet_link *link, json_t *request);
void fleet_link_send(struct fleet_link *link); /* what waits, as far as it goes now */

json_t *fleet_link_call(int id, const char *method, json_t *params); /* a request; steals @params */

/**
 * fleet_link_read() - one read, and @take for each message that is whole
 * @take: borrows @message; NULL: the line was no JSON. It may close the link
 *
 * One read: who sends without end does not keep the others from being heard.
 */
void fleet_link_read(struct fleet_link *link, void (*take)(void *ctx, const json_t *message),
		     void *ctx);

#endif
