/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daemon.h - a server of many sockets around handlers that answer when a test says so, and its clients,
 * all on the test's own thread: nothing happens but in daemon_turn() and what waits by it.
 */
#ifndef NEAP_TESTS_API_DAEMON_H
#define NEAP_TESTS_API_DAEMON_H

#include <uv.h>

#include "../support/testing.h"
#include "rpc/rpc.h"

enum { DAEMON_KEPT_MAX = 8192, DAEMON_CONNECTIONS_MAX = 16384, DAEMON_PATIENCE_MS = 20000 };

/* vm.start is kept until daemon_answer(); vm.delete answers before its handler returns; vm.console
 * hands over one end of a socket pair; vm.list answers at once, as many KiB as its selector says: with a limit
 * it writes them in place, and selector "none" finds no memory for it. */
struct daemon {
	char dir[48], path[RPC_PATH_BYTES], read_path[RPC_PATH_BYTES];
	uv_loop_t loop;
	struct api_backend backend;
	struct rpc_server *server;
	struct api_request *kept[DAEMON_KEPT_MAX];
	unsigned kept_count;
	unsigned deletes;
	int console_fd; /* our end; -1 */
};

/* For cmocka. The first event's number is 101; the last @DAEMON_EVENTS_KEPT are kept. */
enum { DAEMON_FIRST_SEQ = 101, DAEMON_EVENTS_KEPT = 50 };
int daemon_set_up(void **state);
int daemon_tear_down(void **state);

void daemon_turn(struct daemon *daemon); /* of the loop; does not block */

int daemon_connect(const char *path); /* a client's end, non-blocking */
void daemon_say(struct daemon *daemon, int fd, const char *text);

/* The next line; NULL: the connection is closed. Fails when none comes. */
json_t *daemon_hear(struct daemon *daemon, int fd);
/* Nothing comes, though everything there is to do was done. */
void daemon_assert_silent(struct daemon *daemon, int fd);
/* One more who asks is answered. */
void daemon_assert_alive(struct daemon *daemon);

/* Answers kept[index] with {"pid": index}; it leaves the list, the others keep their order. */
void daemon_answer(struct daemon *daemon, unsigned index);
/* The same, written in place. True: it was written. */
bool daemon_answer_by(struct daemon *daemon, unsigned index);
void daemon_wait_kept(struct daemon *daemon, unsigned count);

/* Of an answer or event. */
json_int_t daemon_int(const json_t *message, const char *member, const char *name);

#endif
