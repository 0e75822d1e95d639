/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* text.c - see text.h. */
#include "rpc/text.h"

#include <stdlib.h>
#include <string.h>

struct shared_text *shared_text_create(char *text, size_t len)
{
	struct shared_text *shared = text ? malloc(sizeof(*shared)) : NULL;

	if (!shared) {
		free(text);
		return NULL;
	}
	*shared = (struct shared_text){ .references = 1, .len = len, .text = text };
	return shared;
}

void shared_text_put(struct shared_text *shared)
{
	if (!shared || --shared->references > 0)
		return;
	free(shared->text);
	free(shared);
}

char *jsonrpc_line(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	char *line = text ? realloc(text, len + 2) : NULL;

	json_decref(json);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + len, "\n", 2);
	return line;
}
