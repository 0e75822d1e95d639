/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_http.h - libmicrohttpd on one listening socket, in our loop, with limits that hold against
 * clients that dawdle. Knows no paths: metrics_answer.c does. Loop thread.
 */
#ifndef NEAP_HOST_METRICS_HTTP_H
#define NEAP_HOST_METRICS_HTTP_H

#include <microhttpd.h>
#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

enum {
	HTTP_PEERS = 96,
	HTTP_FOLLOWERS = 24,
	HTTP_PEER_BYTES = 16384, /* for a request's head, and for what is sent */
	HTTP_REQUEST_S = 10,
	HTTP_FOLLOWER_S = 30
};

struct http_server;
struct http_peer; /* one connection */

struct http_config {
	uv_loop_t *loop;
	int fd;	     /* listening; taken over, also on failure */
	bool is_tcp; /* anybody on this host, and their browsers, can connect */
	/* The head of a request has come. MHD_NO: hang up. */
	enum MHD_Result (*answer)(void *ctx, struct http_peer *peer,
				  struct MHD_Connection *connection, const char *method,
				  const char *untrusted_path);
	void *ctx;
};

int http_open(const struct http_config *config, struct http_server **ret_server, struct err *err);
void http_close(struct http_server *server); /* runs the loop; NULL is fine */

bool http_peer_is_tcp(const struct http_peer *peer);

/* The answer to the request at hand has no end. False: there are HTTP_FOLLOWERS already. */
bool http_peer_follow(struct http_peer *peer);

/* From a response's reader that has nothing to send now, and then returns 0; and when it has again.
 * False: the peer is being dropped, the response ends. */
bool http_peer_rest(struct http_peer *peer);
void http_peer_wake(struct http_peer *peer); /* any number of times */

/* Listening sockets: a descriptor, or a negative errno. */
int http_listen_unix(const char *path, unsigned mode, gid_t gid, struct err *err);
int http_listen_local(unsigned port, struct err *err); /* on 127.0.0.1 */

#endif
