/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rpc.h - JSON-RPC 2.0 over a UNIX socket, newline-delimited: server for a VM, client for the CLI.
 *
 * Limits: message 1 MiB, nesting 64, batch 64 calls, 64 connections to a VM, 256 unanswered calls and
 * 4 MiB of unsent events per connection (then it is closed), 256 MiB for all. A client that misbehaves
 * is answered or dropped; others notice nothing. Threads: a server lives on one libuv loop;
 * rpc_server_publish() is for that thread only.
 */
#ifndef NEAP_RPC_RPC_H
#define NEAP_RPC_RPC_H

#include <jansson.h>
#include <uv.h>

#include "api/api.h"
#include "base/err.h"
#include "base/units.h"

/* The directory of VM sockets: $XDG_RUNTIME_DIR/neap, or /run/neap for root without one; made
 * 0700 if absent, refused if others own it or can enter it. */
int rpc_runtime_dir(char *ret_path, size_t path_bytes, struct err *err);

/* Room for any path here: a socket's cannot be longer (unix(7), sun_path). */
enum { RPC_PATH_BYTES = 108 };

/* What belongs to a VM in that directory: NAME.sock is its socket, NAME.log what it said when it
 * was detached. */
#define RPC_SOCKET_SUFFIX ".sock"
#define RPC_LOG_SUFFIX	  ".log"
int rpc_vm_path(const char *vm_name, const char *suffix, char ret_path[RPC_PATH_BYTES],
		struct err *err);

struct rpc_server; /* opaque */

/* Binds @path (0600 from the start, by umask). A stale socket is replaced only if connect() says
 * ECONNREFUSED and we own it; a live one is -EADDRINUSE. @backend outlives the server. From now on
 * this process ignores SIGPIPE. */
int rpc_server_create(uv_loop_t *loop, const char *path, const struct api_backend *backend,
		      struct rpc_server **ret_server, struct err *err);

/* Closes everything and unlinks the socket. Runs the loop until its own handles are closed, so not
 * from a callback of that loop. NULL is fine. */
void rpc_server_destroy(struct rpc_server *server);

/* An event to every subscriber:
 * {"jsonrpc":"2.0","method":"event","params":{"seq","time_ns","time","kind","data"}}. Steals @data.
 * kind is a row of the set's events. seq counts all events from 1; time_ns is monotonic
 * (base/clock.h), time the wall clock's (RFC 3339, UTC). */
void rpc_server_publish(struct rpc_server *server, const char *kind, json_t *data);

/* --- a server of many: the daemon's --------------------------------------------------------- */

/* One socket of a server. */
struct rpc_listen {
	const char *path; /* bound here, unless fd >= 0 */
	int fd;		 /* a listening socket that was handed in (systemd); -1: none. Taken over */
	unsigned mode;	 /* of the file: 0600; who may open it may call */
	gid_t gid;	 /* of the file; (gid_t)-1: ours */
	bool may_change; /* false: only verbs that read */
};

/**
 * rpc_listen_at() - bind @listen_at->path and listen there, for servers of other protocols too
 * @listen_at: its fd and may_change say nothing here
 * @backlog:   connections that may wait to be accepted
 * @taken:     said when somebody answers there already
 *
 * A socket that a dead process of ours left is replaced; anything else in the way is refused.
 *
 * Return: the descriptor, non-blocking; -EADDRINUSE, -EEXIST, -ENAMETOOLONG, ... with a sentence.
 * Context: any thread, but the umask is the process's: before others make files.
 */
int rpc_listen_at(const struct rpc_listen *listen_at, unsigned backlog, const char *taken,
		  struct err *err);

struct rpc_server_config {
	uv_loop_t *loop;
	const struct api_backend *backend; /* outlives the server */
	const struct rpc_listen *listens;
	unsigned listen_count;
	unsigned connections_max;
	bool any_user;	      /* false: only our user and root, whatever the file's mode */
	unsigned events_kept; /* for events.subscribe {after}; fewer when they are long; 0: none */
	uint64_t first_seq;   /* number of the first event; 0: 1 */
	const char *taken;    /* said when somebody answers at a path already; NULL: just that */
};

/* On failure too the descriptors that were handed in are closed. The owner sees to RLIMIT_NOFILE. */
int rpc_server_create_many(const struct rpc_server_config *config, struct rpc_server **ret_server,
			   struct err *err);

/* rpc_server_publish() of an event that is about one VM: params has vm and uuid too, and
 * events.subscribe can ask for it. NULL for both: of the host. */
void rpc_server_publish_of(struct rpc_server *server, const char *vm_name, const char *vm_uuid,
			   const char *kind, json_t *data);

/* True when somebody subscribed to events of that kind. Any thread, as long as the server is there. */
bool rpc_server_has_subscriber(const struct rpc_server *server, const char *kind);
/* @subscribed is called on the loop's thread when somebody subscribed to something; NULL: not any more.
 * So that who has nobody to tell need not look. */
void rpc_server_on_subscribed(struct rpc_server *server, void (*subscribed)(void *ctx), void *ctx);
unsigned rpc_server_connections(const struct rpc_server *server);
uint64_t rpc_server_next_seq(const struct rpc_server *server); /* of the event to come */

/* Where the daemon's sockets are: $XDG_RUNTIME_DIR/neapd, or /run/neapd for root without one. Made 0755
 * if absent (each socket's own mode says who may connect), refused if others own it or may write. */
int rpc_host_dir(char *ret_path, size_t path_bytes, struct err *err);

/* A socket in that directory, for those who connect: nothing is made or checked. */
int rpc_host_path(const char *leaf, char ret_path[RPC_PATH_BYTES], struct err *err);
#define RPC_HOST_SOCKET	     "neapd.sock"
#define RPC_HOST_READ_SOCKET "neapd-ro.sock"

/* What a client takes of a daemon that it connected to: an answer is as long as what was asked for, such as
 * vm.list of all VMs, where a request is bounded by what anybody may ask. At 800 bytes and 40 values a VM
 * these are 20,000 VMs; whoever has more asks for parts (limit, after). A daemon that means ill can cost
 * its client 250 MB. */
#define RPC_ANSWER_MAX_BYTES (UINT64_C(16) * MIB_BYTES)
enum { RPC_ANSWER_MAX_VALUES = 1 << 20 };

/* Client: blocking, for the CLI. */
struct rpc_client;
int rpc_client_open(const char *path, struct rpc_client **ret_client, struct err *err);
void rpc_client_close(struct rpc_client *client);

/* One call. Steals @params (may be NULL). 0 and *ret_result; a transport failure is a negative
 * errno, an error answer is its (positive or negative) JSON-RPC code with its sentence in @err. */
int rpc_client_call(struct rpc_client *client, const char *method, json_t *params, int timeout_ms,
		    json_t **ret_result, struct err *err);

/* Next notification (after events.subscribe). -ETIMEDOUT; -EPIPE: the VM is gone. timeout_ms < 0
 * waits. */
int rpc_client_next_event(struct rpc_client *client, int timeout_ms, json_t **ret_event,
			  struct err *err);

/* The process that listens at the other end; 0: unknown. Source: unix(7), SO_PEERCRED. */
pid_t rpc_client_peer_pid(const struct rpc_client *client);

/* The descriptor that came with the last answer (vm.console of a daemon), or -1. The caller closes it. */
int rpc_client_take_passed_fd(struct rpc_client *client);

/* After vm.console: the socket as a raw byte stream; the client object is consumed. */
int rpc_client_take_fd(struct rpc_client *client);

#endif
