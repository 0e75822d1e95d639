/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cli.c - from argv to a command: which one, its flags and arguments, and what is wrong with them.
 *
 * Flags and arguments may stand in any order; "--" ends the flags. A wrong word is answered with
 * the nearest right one.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "config/suggest.h"

static const struct {
	unsigned takes;
	struct cli_flag flag;
} shared_flags[] = {
	{ CLI_LABELS, { "label", "KEY=VALUE", "put a label on it; may be given more than once" } },
	{ CLI_SELECTOR,
	  { "selector", "SELECTOR",
	    "all VMs that this selects, instead of NAME: "
	    "KEY=VALUE,KEY,!KEY,state=STATE,name=PATTERN, "
	    "or all",
	    'l' } },
	{ CLI_HOST,
	  { "host", "SOCKET",
	    "the socket of the host's daemon to speak to, or none: speak to single VMs" } },
	{ 0, { "help", NULL, "explain this command", 'h' } },
};

const struct cli_flag *cli_command_flag(const struct cli_command *command, unsigned number)
{
	unsigned own = 0;

	while (own < CLI_FLAGS_MAX && command->flags[own].name)
		own++;
	if (number < own)
		return &command->flags[number];
	number -= own;
	for (size_t i = 0; i < ARRAY_LEN(shared_flags); i++)
		if ((shared_flags[i].takes & ~command->takes) == 0 && number-- == 0)
			return &shared_flags[i].flag;
	return NULL;
}

bool cli_has_flag(const struct cli_command *command, const char *name)
{
	const struct cli_flag *flag;

	for (unsigned i = 0; (flag = cli_command_flag(command, i)); i++)
		if (strcmp(flag->name, name) == 0)
			return true;
	return false;
}

const char *cli_flag(const struct cli_call *call, const char *name)
{
	const struct cli_flag *flag;

	for (unsigned i = 0; (flag = cli_command_flag(call->command, i)); i++)
		if (strcmp(flag->name, name) == 0)
			return call->flag_values[i];
	return NULL;
}

bool cli_wants_json(const struct cli_call *call)
{
	return cli_flag(call, "json") != NULL;
}

int cli_seconds(const char *text, uint64_t default_s, uint64_t *ret_ns)
{
	unsigned long long seconds = default_s;
	char *end;

	if (text) {
		errno = 0;
		seconds = strtoull(text, &end, 10);
		if (*text < '0' || *text > '9' || *end || errno || seconds > 86400)
			return out_fail(EXIT_CODE_USAGE,
					"--timeout takes seconds, 0 to 86400, and not \"%.40s\"",
					text);
	}
	*ret_ns = (uint64_t)seconds * NS_PER_S;
	return EXIT_CODE_OK;
}

static int wrong_flag(const struct cli_call *call, const char *name)
{
	struct suggest suggest = suggest_start(name);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];
	const struct cli_flag *flag;

	for (unsigned i = 0; (flag = cli_command_flag(call->command, i)); i++)
		suggest_offer(&suggest, flag->name);
	if (call->command->takes & CLI_OPTIONS)
		vm_config_suggest_flags(&suggest);
	return out_fail(EXIT_CODE_USAGE, "%s has no flag %s%s (see: neap help %s)",
			call->command->name, quote_text(name, quoted),
			suggest_hint(&suggest, "--", hint), call->command->name);
}

static int take_flag(struct cli_call *call, unsigned number, const struct cli_flag *flag,
		     const char *value)
{
	bool repeats = strcmp(flag->name, "label") == 0;

	if (flag->metavar && !repeats && call->flag_values[number])
		return out_fail(EXIT_CODE_USAGE, "--%s is given twice", flag->name);
	if (repeats && call->label_count >= CLI_LABELS_MAX)
		return out_fail(EXIT_CODE_USAGE, "--%s is given more than %d times", flag->name,
				CLI_LABELS_MAX);
	if (repeats)
		call->labels[call->label_count++] = value;
	call->flag_values[number] = value ? value : "";
	return EXIT_CODE_OK;
}

/* --selector, --selector=VALUE, or -l: the value in the same word, NULL when it is not there. */
static bool is_written(const struct cli_flag *flag, const char *word, const char **ret_value)
{
	size_t len = strlen(flag->name);

	*ret_value = NULL;
	if (word[1] != '-')
		return flag->letter && word[1] == flag->letter && word[2] == '\0';
	if (strncmp(word + 2, flag->name, len) != 0 || (word[2 + len] && word[2 + len] != '='))
		return false;
	if (word[2 + len])
		*ret_value = word + 2 + len + 1;
	return true;
}

/* Consumes 1 or 2 of @argv. 0 when the flag is none of the command's own. */
static int read_own_flag(struct cli_call *call, int argc, char *argv[], int *ret_used)
{
	const struct cli_flag *flag;
	const char *value;

	*ret_used = 0;
	for (unsigned i = 0; (flag = cli_command_flag(call->command, i)); i++) {
		if (!is_written(flag, argv[0], &value))
			continue;
		if (!flag->metavar && value)
			return out_fail(EXIT_CODE_USAGE, "--%s takes no value", flag->name);
		*ret_used = 1;
		if (flag->metavar && !value) {
			if (argc < 2)
				return out_fail(EXIT_CODE_USAGE, "--%s needs a value: --%s %s",
						flag->name, flag->name, flag->metavar);
			value = argv[1];
			*ret_used = 2;
		}
		return take_flag(call, i, flag, value);
	}
	return EXIT_CODE_OK;
}

/* The option of a VM at argv[0]; -ENOENT: it is none. */
static int read_option(struct cli_call *call, int argc, char *argv[], int *ret_used)
{
	struct err err = { 0 };
	int ret;

	if (!(call->command->takes & CLI_OPTIONS))
		return -ENOENT;
	ret = vm_config_parse_flag(&call->config, argc, argv, ret_used, &err);
	if (ret == 0)
		return EXIT_CODE_OK;
	if (ret == -ENOENT && err.code == 0)
		return -ENOENT;
	return out_fail(EXIT_CODE_USAGE, "%s", err.text);
}

static int read_flag(struct cli_call *call, int argc, char *argv[], int *ret_used)
{
	int ret = read_option(call, argc, argv, ret_used);

	if (ret != -ENOENT)
		return ret;
	ret = read_own_flag(call, argc, argv, ret_used);
	if (ret == EXIT_CODE_OK && *ret_used == 0)
		return wrong_flag(call, strncmp(argv[0], "--", 2) == 0 ? argv[0] + 2 : argv[0]);
	return ret;
}

static int add_argument(struct cli_call *call, const char *text)
{
	if (call->arg_count >= CLI_ARGS_MAX)
		return out_fail(EXIT_CODE_USAGE, "more than %d arguments", CLI_ARGS_MAX);
	call->args[call->arg_count++] = text;
	return EXIT_CODE_OK;
}

/* With --selector no argument is a name: the first is none. */
static int check_arguments(struct cli_call *call)
{
	const struct cli_command *command = call->command;
	bool selects = command->min_args > 0 && cli_flag(call, "selector");

	if (selects && call->arg_count < CLI_ARGS_MAX) {
		memmove(&call->args[1], &call->args[0], call->arg_count * sizeof(call->args[0]));
		call->args[0] = NULL;
		call->arg_count++;
	}
	if (selects && command->max_args == 1 && call->arg_count > 1)
		return out_fail(
			EXIT_CODE_USAGE,
			"\"%.60s\" or --selector names the VMs, not both; write: neap %s %s",
			call->args[1], command->name, command->arguments);
	if (call->arg_count > command->max_args)
		return out_fail(EXIT_CODE_USAGE,
				"\"%.60s\" is one argument too many; write: neap %s%s%s (see: neap "
				"help %s)",
				call->args[command->max_args], command->name,
				*command->arguments ? " " : "", command->arguments, command->name);
	if (call->arg_count < command->min_args)
		return out_fail(EXIT_CODE_USAGE, "something is missing; write: neap %s %s",
				command->name, command->arguments);
	return EXIT_CODE_OK;
}

int cli_read_args(struct cli_call *call, int argc, char *argv[])
{
	bool flags_ended = false;
	int used;

	for (int i = 0; i < argc; i += used) {
		int ret = EXIT_CODE_OK;

		used = 1;
		if (!flags_ended && strcmp(argv[i], "--") == 0)
			flags_ended = true;
		else if (flags_ended || argv[i][0] != '-' || argv[i][1] == '\0')
			ret = add_argument(call, argv[i]);
		else
			ret = read_flag(call, argc - i, argv + i, &used);
		if (ret != EXIT_CODE_OK)
			return ret;
	}
	return check_arguments(call);
}

static int wrong_command(const char *name)
{
	struct suggest suggest = suggest_start(name);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];
	const struct cli_command *commands;
	unsigned count;

	commands = cli_commands(&count);
	for (unsigned i = 0; i < count; i++)
		suggest_offer(&suggest, commands[i].name);
	return out_fail(EXIT_CODE_USAGE, "there is no command %s%s (see: neap help)",
			quote_text(name, quoted), suggest_hint(&suggest, "", hint));
}

static bool asks_for_help(int argc, char *argv[])
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int run_command(struct cli_call *call, int argc, char *argv[])
{
	int ret;

	if (call->command->takes & CLI_OPTIONS)
		vm_config_init(&call->config);
	ret = cli_read_args(call, argc, argv);
	if (ret == EXIT_CODE_OK)
		ret = call->command->run(call);
	if (call->command->takes & CLI_OPTIONS)
		vm_config_fini(&call->config);
	return ret;
}

int cli_main(int argc, char *argv[], const struct cli_programs *programs)
{
	struct cli_call call = { .programs = programs };
	const char *name = argc > 1 ? argv[1] : "help";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	call.command = cli_find_command(name);
	if (!call.command)
		return wrong_command(name);
	if (argc > 2 && asks_for_help(argc - 2, argv + 2)) {
		call.args[call.arg_count++] = name;
		call.command = cli_find_command("help");
		return call.command->run(&call);
	}
	return run_command(&call, argc > 2 ? argc - 2 : 0, argv + 2);
}
