/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_answer.c - who may ask what over HTTP, and which answer it is.
 *
 * The UNIX socket is guarded by its file's mode. The port on 127.0.0.1 is open to whoever is on this host,
 * and so to any web page in a browser there. Such a page cannot read our answers (no CORS header is ever
 * sent), unless its name is made to point here (DNS rebinding); then the Host header has its name, not
 * ours. It could still ask and not read, and hold places of followers; browsers say so in Sec-Fetch-Site.
 * Sources: Fetch Metadata Request Headers (W3C) "The Sec-Fetch-Site HTTP Request Header"; HTML Standard
 * (WHATWG) "Server-sent events", "The Last-Event-ID header"; Content Security Policy Level 3.
 */
#include "host/metrics_internal.h"

#include <stdlib.h>
#include <strings.h>

static const char plain_text[] = "text/plain; charset=utf-8";

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	(void)MHD_add_response_header(response, name, value); /* without memory: one header less */
}

void metrics_dress(struct MHD_Response *response, const char *type, const char *policy)
{
	add_header(response, "Content-Type", type);
	add_header(response, "Content-Security-Policy", policy);
	add_header(response, "X-Content-Type-Options", "nosniff");
	add_header(response, "X-Frame-Options", "DENY");
	add_header(response, "Referrer-Policy", "no-referrer");
	add_header(response, "Cross-Origin-Resource-Policy", "same-origin");
	add_header(response, "Cache-Control", "no-store");
}

/* Gives up its hold of @response; NULL: hang up. */
static enum MHD_Result send_once(struct MHD_Connection *connection, unsigned status,
				 struct MHD_Response *response)
{
	enum MHD_Result ret;

	if (!response)
		return MHD_NO;
	ret = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status,
			      const char *sentence)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(sentence), (void *)(uintptr_t)sentence, MHD_RESPMEM_PERSISTENT);

	if (response) {
		metrics_dress(response, plain_text, METRICS_POLICY_NOTHING);
		if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
			add_header(response, "Allow", "GET");
		if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
			add_header(response, "Retry-After", "10");
	}
	return send_once(connection, status, response);
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* "localhost", "127.0.0.1" or "[::1]" (through a tunnel), with any port. */
static bool is_local(const char *untrusted_host)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

	for (unsigned i = 0; untrusted_host && i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i]);

		if (strncasecmp(untrusted_host, names[i], len) == 0 &&
		    (untrusted_host[len] == '\0' || untrusted_host[len] == ':'))
			return true;
	}
	return false;
}

static bool is_from_another_page(struct MHD_Connection *connection)
{
	const char *site = header(connection, "Sec-Fetch-Site");

	return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

static bool wants_open_metrics(struct MHD_Connection *connection)
{
	const char *accept = header(connection, "Accept");

	return accept && strstr(accept, "application/openmetrics-text");
}

static enum MHD_Result answer_page(struct MHD_Connection *connection)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		page_html_bytes, (void *)(uintptr_t)page_html, MHD_RESPMEM_PERSISTENT);

	if (response)
		metrics_dress(response, "text/html; charset=utf-8", page_policy);
	return send_once(connection, MHD_HTTP_OK, response);
}

static enum MHD_Result answer_metrics(struct metrics *metrics, struct MHD_Connection *connection)
{
	struct MHD_Response *response = metrics_text(metrics, wants_open_metrics(connection));

	if (!response)
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory; ask again\n");
	return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

/* The id that the browser saw last: its header when it connects again by itself, a parameter when the
 * page makes it. */
static const char *last_seen(struct MHD_Connection *connection)
{
	const char *id = header(connection, "Last-Event-ID");

	return id ? id : MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "after");
}

static enum MHD_Result answer_events(struct metrics *metrics, struct http_peer *peer,
				     struct MHD_Connection *connection)
{
	struct MHD_Response *response;

	if (is_from_another_page(connection))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "not for another site's pages\n");
	if (!http_peer_follow(peer))
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
			      "too many follow already; close one\n");
	response = page_feed_open(&metrics->feed, metrics->page, peer, last_seen(connection));
	if (response)
		metrics_dress(response, "text/event-stream; charset=utf-8", METRICS_POLICY_NOTHING);
	return send_once(connection, MHD_HTTP_OK, response);
}

enum MHD_Result metrics_answer(void *ctx, struct http_peer *peer, struct MHD_Connection *connection,
			       const char *method, const char *untrusted_path)
{
	if (http_peer_is_tcp(peer) && !is_local(header(connection, "Host")))
		return refuse(connection, MHD_HTTP_FORBIDDEN,
			      "ask for localhost or 127.0.0.1: other names are refused here\n");
	if (strcmp(method, "GET") != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	if (strcmp(untrusted_path, "/") == 0)
		return answer_page(connection);
	if (strcmp(untrusted_path, "/metrics") == 0)
		return answer_metrics(ctx, connection);
	if (strcmp(untrusted_path, "/events") == 0)
		return answer_events(ctx, peer, connection);
	return refuse(connection, MHD_HTTP_NOT_FOUND,
		      "there is / (the page), /metrics and /events\n");
}
