/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* complete.h - what could come next on neap's command line. Inside cli/ only. */
#ifndef NEAP_CLI_COMPLETE_H
#define NEAP_CLI_COMPLETE_H

#include "cli/commands.h"

/**
 * complete_words() - print what the last of @words could become, one a line: the word, a tab, what it is
 * @words: the command line without "neap"; the last one is being typed and may be empty
 *
 * A line that begins with a colon is about all others: ":files" or ":dirs" can be named there. A word
 * that ends in an equals sign wants its value next to it.
 */
void complete_words(const struct cli_call *call, const char *const *words, unsigned count);

#endif
