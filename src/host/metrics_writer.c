/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_writer.c - see metrics_writer.h.
 *
 * The two formats differ in three things here: OpenMetrics names a counter's family without the _total of
 * its samples, ends with a line that says so, and has a media type of its own.
 * Sources: Prometheus "Exposition formats", "Comments, help text, and type information";
 * OpenMetrics 1.0.0 "Counter", "ABNF".
 */
#include "host/metrics_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char total[] = "_total";

static void append_text(struct strbuf *out, const char *text)
{
	strbuf_append(out, text, strlen(text));
}

void metrics_family(struct metrics_writer *writer, enum metrics_kind kind, const char *name,
		    const char *help)
{
	size_t len = strlen(name);

	writer->name = name;
	writer->name_len = len;
	if (kind == METRICS_COUNTER && writer->open_metrics)
		len -= strlen(total);
	strbuf_printf(&writer->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len, name, help,
		      (int)len, name, kind == METRICS_COUNTER ? "counter" : "gauge");
}

/* Digits of @divisor behind the point. */
static int fraction_digits(uint64_t divisor)
{
	int digits = 0;

	for (; divisor >= 10; divisor /= 10)
		digits++;
	return digits;
}

void metrics_sample(struct metrics_writer *writer, const char *labels, uint64_t value,
		    uint64_t divisor)
{
	char number[48];
	int len = snprintf(number, sizeof(number), " %" PRIu64, value / divisor);

	if (divisor > 1)
		len += snprintf(number + len, sizeof(number) - (size_t)len, ".%0*" PRIu64,
				fraction_digits(divisor), value % divisor);
	strbuf_append(&writer->out, writer->name, writer->name_len);
	if (*labels) {
		strbuf_append(&writer->out, "{", 1);
		append_text(&writer->out, labels);
		strbuf_append(&writer->out, "}", 1);
	}
	strbuf_append(&writer->out, number, (size_t)len);
	strbuf_append(&writer->out, "\n", 1);
}

void metrics_label(struct strbuf *labels, const char *name, const char *untrusted_value)
{
	if (labels->len > 0)
		strbuf_append(labels, ",", 1);
	append_text(labels, name);
	append_text(labels, "=\"");
	while (*untrusted_value) {
		size_t plain = strcspn(untrusted_value, "\\\"\n");

		strbuf_append(labels, untrusted_value, plain);
		untrusted_value += plain;
		if (!*untrusted_value)
			break;
		append_text(labels, *untrusted_value == '\n'  ? "\\n"
				    : *untrusted_value == '"' ? "\\\""
							      : "\\\\");
		untrusted_value++;
	}
	append_text(labels, "\"");
}

void metrics_end(struct metrics_writer *writer)
{
	if (writer->open_metrics)
		append_text(&writer->out, "# EOF\n");
}
