/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* call.h - one command on its way: its words, and the answer as it grows. */
#ifndef BARE_CALL_H
#define BARE_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "console.h"
#include "text.h"

struct call {
	const char *name;
	char *rest; /* of the line */
	bool failed;
	char answer_bytes[LINE_BYTES - 32];
	struct text answer;
};

/* More words of the answer; call_fail() makes it an error. */
void call_answer(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
void call_fail(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* False, in both: it has failed. *@value of an optional number is the default. */
bool call_want_bytes(struct call *call, uint64_t *ret_bytes);
bool call_may_have_number(struct call *call, uint64_t *value);

/* One function per row of commands.def. */
#define COMMAND(name, arguments, where, help) void command_##name(struct call *call);
#include "commands.def"
#undef COMMAND

#endif
