/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* idempotency.h - a request that is sent again with the same key is done once and answered each time.
 *
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_IDEMPOTENCY_H
#define NEAP_HOST_IDEMPOTENCY_H

#include "api/api.h"

struct idempotency;

/* A key that outlives the table, with whatever came of its request. Zeroed: none. */
struct idempotency_key {
	char *text;
	uint64_t digest; /* of what was asked with it */
};

/* Of the request, or none. */
void idempotency_key_set(struct idempotency_key *key, const struct api_request *request);
void idempotency_key_fini(struct idempotency_key *key);
/* Members of a stored object. */
void idempotency_key_to_json(const struct idempotency_key *key, json_t *object);
void idempotency_key_from_json(struct idempotency_key *key, const json_t *object);

struct idempotency *idempotency_create(void); /* NULL: no memory */
void idempotency_destroy(struct idempotency *table);

enum { IDEMPOTENCY_KEY_BYTES = 255 };

/**
 * idempotency_run() - run @handler, unless its key (a parameter idempotency_key) was seen
 *
 * As a handler: what it returns is the request's outcome. A request without a key is just run. One that
 * failed did nothing, and its key is free again.
 */
int idempotency_run(struct idempotency *table, api_handler handler, void *ctx,
		    struct api_request *request, json_t **ret_result, struct err *err);

/* An answer that was given by a daemon before us. Steals @result. */
void idempotency_remember(struct idempotency *table, const struct idempotency_key *key,
			  json_t *result);

/* A key that was used for something else: API_ERROR_KEY_REUSED. */
int idempotency_refuse(struct err *err);

/* Of the method and all parameters: the same for the same request, whatever the order of names. */
uint64_t idempotency_digest(const struct api_request *request);

#endif
