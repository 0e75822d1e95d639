/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* call.c - see call.h. */
#include "call.h"

void call_answer(struct call *call, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	text_add(&call->answer, " ");
	text_add_list(&call->answer, format, list);
	va_end(list);
}

void call_fail(struct call *call, const char *format, ...)
{
	va_list list;

	call->failed = true;
	va_start(list, format);
	text_add(&call->answer, " ");
	text_add_list(&call->answer, format, list);
	va_end(list);
}

bool call_want_bytes(struct call *call, uint64_t *ret_bytes)
{
	const char *word = text_next_word(&call->rest);

	if (!word || !text_to_bytes(word, ret_bytes)) {
		call_fail(call, "wants a size such as 64M, not '%s'", word ? word : "");
		return false;
	}
	return true;
}

/* An optional number; *@value is the default. */
bool call_may_have_number(struct call *call, uint64_t *value)
{
	const char *word = text_next_word(&call->rest);

	if (word && !text_to_bytes(word, value)) {
		call_fail(call, "wants a number, not '%s'", word);
		return false;
	}
	return true;
}
