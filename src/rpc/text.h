/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* text.h - text that several connections may be sending. Inside rpc/ only; loop thread. */
#ifndef NEAP_RPC_TEXT_H
#define NEAP_RPC_TEXT_H

#include <jansson.h>
#include <stddef.h>

struct shared_text {
	unsigned references;
	size_t len;
	char *text;
};

struct shared_text *shared_text_create(char *text, size_t len); /* steals; NULL: no memory */
void shared_text_put(struct shared_text *shared);		/* NULL is fine */

/* One line of JSON text, with its newline; steals @json (NULL is fine). malloc()ed, or NULL. */
char *jsonrpc_line(json_t *json);

#endif
