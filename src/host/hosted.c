/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hosted.c - words for what hosted.h names. */
#include "host/hosted.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/units.h"
#include "config/json_text.h"

enum { USAGE_MAX_BYTES = 16 * KIB_BYTES };

const char *const hosted_restart_names[] = {
	[HOSTED_RESTART_NEVER] = "never",
	[HOSTED_RESTART_ON_FAILURE] = "on-failure",
	[HOSTED_RESTART_ALWAYS] = "always",
	NULL,
};

void hosted_set_reason(struct hosted *vm, const char *untrusted_sentence)
{
	(void)snprintf(vm->reason, sizeof(vm->reason), "%s", untrusted_sentence);
	json_text_mend(vm->reason);
}

void hosted_write_usage(struct hosted *vm, struct strbuf *out)
{
	struct strbuf *text = &vm->usage_text;

	if (text->len == 0) {
		text->max_len = USAGE_MAX_BYTES;
		api_usage_write(&vm->usage, text);
	}
	if (text->failed) { /* no memory: another list may have some */
		strbuf_fini(text);
		out->failed = true;
	} else {
		strbuf_append(out, text->text, text->len);
	}
}

void hosted_set_usage(struct hosted *vm, const struct api_usage *usage)
{
	vm->usage = *usage;
	vm->usage_at_ns = clock_now_ns();
	vm->usage_text.len = 0; /* its memory will do for the next */
}
