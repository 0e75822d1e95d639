/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* idempotency.c - see idempotency.h.
 *
 * Each key has a row, from the first request on. While that one is on its way, the others of its key wait
 * in the row; its answer is theirs. The answer is caught by standing in for the request's answer and
 * fail, which stand in the request itself.
 *
 *  I1  A row on its way is never thrown out; of the others only the newest IDEMPOTENCY_ROWS, and of their
 *      answers at most IDEMPOTENCY_BYTES.
 *  I2  A key is used for one digest of method and parameters (64 bits, FNV-1a: it tells mistakes, it does not
 *      withstand malice; who may call vm.create has no need of it).
 */
#include "host/idempotency.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/units.h"

enum { IDEMPOTENCY_ROWS = 4096, WAITING_MAX = 256 };
#define IDEMPOTENCY_BYTES (4 * MIB_BYTES)

struct row {
	char *key;
	uint64_t digest;
	struct api_request *first; /* NULL: it is answered */
	void (*answer)(struct api_request *request, json_t *result, int fd);
	void (*fail)(struct api_request *request, int code, const char *sentence);
	json_t *result;
	size_t result_bytes;
	struct api_request **waiting;
	unsigned waiting_count;
	struct idempotency *table;
	struct row *older, *newer;
};

struct idempotency {
	json_t *rows; /* key: address of the row, as an integer */
	struct row *oldest, *newest;
	size_t result_bytes;
};

struct idempotency *idempotency_create(void)
{
	struct idempotency *table = calloc(1, sizeof(*table));

	if (table)
		table->rows = json_object();
	if (table && !table->rows) {
		free(table);
		table = NULL;
	}
	return table;
}

static void drop(struct row *row)
{
	struct idempotency *table = row->table;

	(void)json_object_del(table->rows, row->key);
	*(row->older ? &row->older->newer : &table->oldest) = row->newer;
	*(row->newer ? &row->newer->older : &table->newest) = row->older;
	table->result_bytes -= row->result_bytes;
	json_decref(row->result);
	free(row->waiting);
	free(row->key);
	free(row);
}

void idempotency_destroy(struct idempotency *table)
{
	if (!table)
		return;
	while (table->oldest)
		drop(table->oldest);
	json_decref(table->rows);
	free(table);
}

static struct row *find(const struct idempotency *table, const char *key)
{
	const json_t *address = json_object_get(table->rows, key);

	return address ? (struct row *)(uintptr_t)json_integer_value(address) : NULL;
}

static struct row *add(struct idempotency *table, const char *key, uint64_t digest)
{
	struct row *row = calloc(1, sizeof(*row));

	if (!row)
		return NULL;
	row->key = strdup(key);
	if (!row->key ||
	    json_object_set_new(table->rows, key, json_integer((json_int_t)(uintptr_t)row)) < 0) {
		free(row->key);
		free(row);
		return NULL;
	}
	row->table = table;
	row->digest = digest;
	row->older = table->newest;
	*(table->newest ? &table->newest->newer : &table->oldest) = row;
	table->newest = row;
	return row;
}

static void trim(struct idempotency *table) /* I1 */
{
	struct row *next;

	for (struct row *row = table->oldest; row; row = next) {
		next = row->newer;
		if (json_object_size(table->rows) <= IDEMPOTENCY_ROWS &&
		    table->result_bytes <= IDEMPOTENCY_BYTES)
			return;
		if (!row->first)
			drop(row);
	}
}

/* Borrows @result. */
static void keep_result(struct row *row, json_t *result)
{
	row->first = NULL;
	row->result = json_incref(result);
	row->result_bytes = json_dumpb(result, NULL, 0, JSON_COMPACT);
	row->table->result_bytes += row->result_bytes;
}

static void answer_all(struct api_request *request, json_t *result, int fd)
{
	struct row *row = request->stand_in;
	struct idempotency *table = row->table;

	request->answer = row->answer;
	request->fail = row->fail;
	keep_result(row, result);
	for (unsigned i = 0; i < row->waiting_count; i++)
		row->waiting[i]->answer(row->waiting[i], json_incref(result), -1);
	row->waiting_count = 0;
	request->answer(request, result, fd);
	trim(table);
}

static void fail_all(struct api_request *request, int code, const char *sentence)
{
	struct row *row = request->stand_in;

	request->answer = row->answer;
	request->fail = row->fail;
	for (unsigned i = 0; i < row->waiting_count; i++)
		row->waiting[i]->fail(row->waiting[i], code, sentence);
	drop(row);
	request->fail(request, code, sentence);
}

static int run_first(struct row *row, api_handler handler, void *ctx, struct api_request *request,
		     json_t **ret_result, struct err *err)
{
	struct idempotency *table = row->table;
	int code;

	row->first = request;
	row->answer = request->answer;
	row->fail = request->fail;
	request->answer = answer_all;
	request->fail = fail_all;
	request->stand_in = row;
	code = handler(ctx, request, ret_result, err);
	if (code == API_LATER)
		return code;
	request->answer = row->answer;
	request->fail = row->fail;
	if (code == 0)
		keep_result(row, *ret_result);
	else
		drop(row);
	trim(table);
	return code;
}

static int run_again(struct row *row, struct api_request *request, json_t **ret_result,
		     struct err *err)
{
	struct api_request **waiting;

	if (!row->first) {
		*ret_result = json_incref(row->result);
		return 0;
	}
	if (row->waiting_count == WAITING_MAX)
		return err_set(err, -EBUSY, "too many wait for the answer to this key already"),
		       API_ERROR_BUSY;
	waiting = realloc(row->waiting, (row->waiting_count + 1) * sizeof(*waiting));
	if (!waiting)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	row->waiting = waiting;
	row->waiting[row->waiting_count++] = request;
	return API_LATER;
}

int idempotency_refuse(struct err *err)
{
	(void)err_set(
		err, -EEXIST,
		"this idempotency_key was used for another request; a new request needs a new "
		"key");
	return API_ERROR_KEY_REUSED;
}

int idempotency_run(struct idempotency *table, api_handler handler, void *ctx,
		    struct api_request *request, json_t **ret_result, struct err *err)
{
	const char *key = json_string_value(json_object_get(request->params, "idempotency_key"));
	struct row *row;
	uint64_t digest;

	if (!key)
		return handler(ctx, request, ret_result, err);
	if (key[0] == '\0' || strlen(key) > IDEMPOTENCY_KEY_BYTES)
		return err_set(err, -EINVAL, "idempotency_key: 1 to %d bytes",
			       IDEMPOTENCY_KEY_BYTES),
		       API_ERROR_INVALID_PARAMS;
	digest = idempotency_digest(request);
	row = find(table, key);
	if (row && row->digest != digest) /* I2 */
		return idempotency_refuse(err);
	if (row)
		return run_again(row, request, ret_result, err);
	row = add(table, key, digest);
	if (!row)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	return run_first(row, handler, ctx, request, ret_result, err);
}

void idempotency_remember(struct idempotency *table, const struct idempotency_key *key,
			  json_t *result)
{
	struct row *row = find(table, key->text) ? NULL : add(table, key->text, key->digest);

	if (row)
		keep_result(row, result);
	json_decref(result);
	trim(table);
}

static uint64_t mix(uint64_t digest, const char *text)
{
	for (const unsigned char *byte = (const unsigned char *)text; *byte; byte++)
		digest = (digest ^ *byte) * UINT64_C(0x100000001b3);
	return digest;
}

uint64_t idempotency_digest(const struct api_request *request)
{
	CLEANUP(free_text)
	char *text = json_dumps(request->params, JSON_COMPACT | JSON_SORT_KEYS);
	uint64_t digest = mix(UINT64_C(0xcbf29ce484222325), request->verb->method);

	return text ? mix(digest, text) : digest;
}

/* --- keys that are stored ------------------------------------------------------------------------ */

void idempotency_key_set(struct idempotency_key *key, const struct api_request *request)
{
	const char *text = json_string_value(json_object_get(request->params, "idempotency_key"));

	idempotency_key_fini(key);
	if (!text)
		return;
	key->text = strdup(text);
	key->digest = idempotency_digest(request);
}

void idempotency_key_fini(struct idempotency_key *key)
{
	free(key->text);
	*key = (struct idempotency_key){ 0 };
}

void idempotency_key_to_json(const struct idempotency_key *key, json_t *object)
{
	char digest[24];

	if (!key->text)
		return;
	(void)snprintf(digest, sizeof(digest), "%016" PRIx64, key->digest);
	(void)json_object_set_new(object, "idempotency_key", json_string(key->text));
	(void)json_object_set_new(object, "idempotency_digest", json_string(digest));
}

void idempotency_key_from_json(struct idempotency_key *key, const json_t *object)
{
	const char *text = json_string_value(json_object_get(object, "idempotency_key"));
	const char *digest = json_string_value(json_object_get(object, "idempotency_digest"));

	idempotency_key_fini(key);
	if (!text || !digest)
		return;
	key->text = strdup(text);
	key->digest = strtoull(digest, NULL, 16);
}
