/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_config_json_lines.c - the line of a key, against documents whose lines are known because the
 * test has written them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "config/json_lines.h"
#include "config/json_strict.h"

enum { MAX_PATHS = 64, MAX_DEPTH = 4, KEY_BYTES = 8, TEXT_BYTES = 65536 };

struct path {
	char keys[MAX_DEPTH][KEY_BYTES];
	unsigned key_count;
	unsigned line;
};

/* A document as it is being written. */
struct writer {
	struct strbuf text;
	unsigned seed;
	unsigned line;
	struct path here; /* of the object being written */
	struct path paths[MAX_PATHS];
	unsigned path_count;
};

static unsigned pick(struct writer *writer, unsigned count)
{
	return (unsigned)rand_r(&writer->seed) % count;
}

static void put(struct writer *writer, const char *text)
{
	strbuf_append(&writer->text, text, strlen(text));
}

static void put_space(struct writer *writer)
{
	while (pick(writer, 3) == 0) {
		bool newline = pick(writer, 2);

		put(writer, newline ? "\n" : pick(writer, 2) ? " " : "\t");
		writer->line += newline;
	}
}

/* Sometimes with its first letter escaped. */
static void put_key(struct writer *writer, const char *key)
{
	if (pick(writer, 4) == 0)
		strbuf_printf(&writer->text, "\"\\u%04x%s\"", (unsigned)key[0], key + 1);
	else
		strbuf_printf(&writer->text, "\"%s\"", key);
}

static void put_scalar(struct writer *writer)
{
	static const char *const scalars[] = { "1",	"-2.5e3",   "true",	"null",	   "\"a\"",
					       "\"{\"", "\"\\\"\"", "\"\\\\\"", "\"a: [\"" };

	put(writer, scalars[pick(writer, sizeof(scalars) / sizeof(scalars[0]))]);
}

static void put_object(struct writer *writer);

/* Objects in arrays have keys that no path leads to, some with names that others have. */
static void put_array(struct writer *writer)
{
	put(writer, "[");
	put_space(writer);
	put(writer, "{\"k0\":");
	put_space(writer);
	put_scalar(writer);
	put(writer, "},");
	put_space(writer);
	put_scalar(writer);
	put(writer, "]");
}

static void put_value(struct writer *writer)
{
	unsigned kind = pick(writer, 4);

	if (kind == 0)
		put_array(writer);
	else if (kind == 1 && writer->here.key_count < MAX_DEPTH)
		put_object(writer);
	else
		put_scalar(writer);
}

static void put_member(struct writer *writer, unsigned number)
{
	char *key = writer->here.keys[writer->here.key_count];

	(void)snprintf(key, KEY_BYTES, "k%u", number);
	put_space(writer);
	writer->here.key_count++;
	if (writer->path_count < MAX_PATHS) {
		writer->paths[writer->path_count] = writer->here;
		writer->paths[writer->path_count++].line = writer->line;
	}
	put_key(writer, key);
	put_space(writer);
	put(writer, ":");
	put_space(writer);
	put_value(writer);
	put_space(writer);
	writer->here.key_count--;
}

static void put_object(struct writer *writer)
{
	unsigned count = pick(writer, 4);

	put(writer, "{");
	put_space(writer);
	for (unsigned i = 0; i < count; i++) {
		if (i)
			put(writer, ",");
		put_member(writer, i);
	}
	put(writer, "}");
}

static void assert_lines(const struct writer *writer)
{
	json_t *json = NULL;

	assert_false(writer->text.failed);
	assert_int_equal(json_strict_parse(writer->text.text, writer->text.len, 64, &json, NULL),
			 0);
	json_decref(json);
	for (unsigned i = 0; i < writer->path_count; i++) {
		const struct path *path = &writer->paths[i];
		const char *keys[MAX_DEPTH];

		for (unsigned k = 0; k < path->key_count; k++)
			keys[k] = path->keys[k];
		if (json_line_of(writer->text.text, writer->text.len, keys, path->key_count) !=
		    path->line)
			fail_msg("key %u of:\n%s", i, writer->text.text);
	}
}

static void every_key_of_random_documents_is_found_on_its_line(void **state)
{
	const char *override = getenv("NEAP_SEED");
	unsigned seed = override ? (unsigned)strtoul(override, NULL, 0) : 1;
	unsigned found = 0;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 5000; round++) {
		struct writer writer = { .seed = seed + round, .line = 1 };

		strbuf_init(&writer.text, TEXT_BYTES);
		put_space(&writer);
		put_object(&writer);
		assert_lines(&writer);
		found += writer.path_count;
		strbuf_fini(&writer.text);
	}
	assert_true(found > 5000);
}

static void a_key_that_is_not_there_has_line_one(void **state)
{
	static const char text[] = "{\n\"a\": {\n\"b\": 1 },\n\"c\": [ { \"d\": 2 } ] }";
	const char *const wrong[][2] = { { "x", NULL }, { "a", "c" }, { "c", "d" }, { "b", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(
			json_line_of(text, sizeof(text) - 1, wrong[i], wrong[i][1] ? 2 : 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_of_random_documents_is_found_on_its_line),
		cmocka_unit_test(a_key_that_is_not_there_has_line_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
