/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* commands.h - the table of commands, and what a command is given when it runs.
 *
 * The rows of commands.c make dispatch, the checks of arguments, `neap --help`, `neap help COMMAND`
 * and the man page. A command's function gets only what its row allows.
 */
#ifndef NEAP_CLI_COMMANDS_H
#define NEAP_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

enum {
	CLI_FLAGS_MAX = 10,		       /* of a command's own */
	CLI_ALL_FLAGS_MAX = CLI_FLAGS_MAX + 4, /* with those of `takes`, and --help */
	CLI_ARGS_MAX = 32,
	CLI_LABELS_MAX = 64
};

struct cli_flag {
	const char *name;    /* without dashes; NULL ends a list */
	const char *metavar; /* of its value; NULL: it takes none */
	const char *help;
	char letter; /* -l for --selector; 0: none */
};

/* What a command takes beside its own flags. */
enum cli_takes {
	CLI_OPTIONS = 1,  /* the options of a VM (config/options.def) */
	CLI_HOST = 2,	  /* --host: it speaks to the host's daemon when there is one */
	CLI_SELECTOR = 4, /* --selector instead of NAME: args[0] is NULL then */
	CLI_LABELS = 8	  /* --label, more than once */
};

/* What an argument is: for completion. */
enum cli_word {
	CLI_WORD_ANY,
	CLI_WORD_VM,
	CLI_WORD_SETTING, /* KEY=VALUE */
	CLI_WORD_KIND,	  /* of an event */
	CLI_WORD_COMMAND,
	CLI_WORD_FILE,
	CLI_WORD_VM_OR_FILE,
	CLI_WORD_SHELL
};

struct cli_call;

struct cli_command {
	const char *group; /* heading in the help; NULL: as the one before */
	const char *name;
	const char *arguments; /* as shown after the name */
	const char *summary;   /* one line, no full stop */
	const char *help;      /* sentences, wrapped at 72 columns */
	unsigned min_args, max_args;
	unsigned takes; /* enum cli_takes */
	struct cli_flag flags[CLI_FLAGS_MAX];
	int (*run)(struct cli_call *call); /* returns an enum exit_code */
	enum cli_word words[2];		   /* the first argument, and those after it */
};

struct cli_call {
	const struct cli_programs *programs;
	const struct cli_command *command;
	unsigned arg_count;
	const char *args[CLI_ARGS_MAX];
	const char
		*flag_values[CLI_ALL_FLAGS_MAX]; /* by cli_command_flag(); "" when it takes none */
	unsigned label_count;
	const char *labels[CLI_LABELS_MAX];
	struct vm_config config; /* with CLI_OPTIONS */
};

const struct cli_command *cli_commands(unsigned *ret_count);
const struct cli_command *cli_find_command(const char *name);

/* All flags of a command, its own first and --help last; NULL: there are no more. */
const struct cli_flag *cli_command_flag(const struct cli_command *command, unsigned number);

bool cli_has_flag(const struct cli_command *command, const char *name);

/* NULL: the flag was not given. */
const char *cli_flag(const struct cli_call *call, const char *name);
bool cli_wants_json(const struct cli_call *call);

/* Reads argv[1..] by @call->command's row. EXIT_CODE_OK, or EXIT_CODE_USAGE with the sentence said.
 */
int cli_read_args(struct cli_call *call, int argc, char *argv[]);

/* @text is a number of seconds, or NULL for @default_s; out of range is said. */
int cli_seconds(const char *text, uint64_t default_s, uint64_t *ret_ns);

int cli_run(struct cli_call *call);
int cli_create(struct cli_call *call);
int cli_start(struct cli_call *call);
int cli_delete(struct cli_call *call);
int cli_host(struct cli_call *call);
int cli_logs(struct cli_call *call);
int cli_completion(struct cli_call *call);
int cli_ps(struct cli_call *call);
int cli_top(struct cli_call *call);
int cli_why(struct cli_call *call);
int cli_info(struct cli_call *call);
int cli_set(struct cli_call *call);
int cli_stop(struct cli_call *call);
int cli_kill(struct cli_call *call);
int cli_pause(struct cli_call *call);
int cli_resume(struct cli_call *call);
int cli_reset(struct cli_call *call);
int cli_console(struct cli_call *call);
int cli_trace(struct cli_call *call);
int cli_sim(struct cli_call *call);
int cli_events(struct cli_call *call);
int cli_demo(struct cli_call *call);
int cli_doctor(struct cli_call *call);
int cli_version(struct cli_call *call);
int cli_help(struct cli_call *call);

#endif
