/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_writer.h - families, labels and samples in the two text formats of Prometheus. */
#ifndef NEAP_HOST_METRICS_WRITER_H
#define NEAP_HOST_METRICS_WRITER_H

#include <stdint.h>

#include "base/strbuf.h"

struct metrics_writer {
	struct strbuf out;
	bool open_metrics;
	const char *name; /* of the family that is being written */
	size_t name_len;
};

enum metrics_kind { METRICS_GAUGE, METRICS_COUNTER };

/* Begin a family; @name stays where it is until the next. A counter's ends in _total. */
void metrics_family(struct metrics_writer *writer, enum metrics_kind kind, const char *name,
		    const char *help);

/* One sample of it. @labels: as metrics_label() made them, or "". @divisor: a power of ten. */
void metrics_sample(struct metrics_writer *writer, const char *labels, uint64_t value,
		    uint64_t divisor);

/* Append name="value" with what must be escaped, after a comma unless @labels is empty. */
void metrics_label(struct strbuf *labels, const char *name, const char *untrusted_value);

void metrics_end(struct metrics_writer *writer);

#endif
