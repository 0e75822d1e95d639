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

static const struct cli_flag help_flag = { "help", NULL, "explain this command" };

const char *cli_flag(const struct cli_call *call, const char *name)
{
	for (unsigned i = 0; i < CLI_FLAGS_MAX && call->command->flags[i].name; i++)
		if (strcmp(call->command->flags[i].name, name) == 0)
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

static int wrong_flag(const struct cli_call *call, const char *flag)
{
	struct suggest suggest = suggest_start(flag);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];

	for (unsigned i = 0; i < CLI_FLAGS_MAX && call->command->flags[i].name; i++)
		suggest_offer(&suggest, call->command->flags[i].name);
	suggest_offer(&suggest, help_flag.name);
	if (call->command->takes_options)
		vm_config_suggest_flags(&suggest);
	return out_fail(EXIT_CODE_USAGE, "%s has no flag %s%s (see: neap help %s)",
			call->command->name, quote_text(flag, quoted),
			suggest_hint(&suggest, "--", hint), call->command->name);
}

/* Consumes 1 or 2 of @argv. 0 when the flag is none of the command's own. */
static int read_own_flag(struct cli_call *call, int argc, char *argv[], int *ret_used)
{
	const char *name = argv[0] + 2;
	size_t len = strcspn(name, "=");

	*ret_used = 0;
	for (unsigned i = 0; i < CLI_FLAGS_MAX && call->command->flags[i].name; i++) {
		const struct cli_flag *flag = &call->command->flags[i];
		const char *value = name[len] ? name + len + 1 : NULL;

		if (strncmp(flag->name, name, len) != 0 || flag->name[len] != '\0')
			continue;
		if (!flag->metavar && value)
			return out_fail(EXIT_CODE_USAGE, "--%s takes no value", flag->name);
		if (flag->metavar && call->flag_values[i])
			return out_fail(EXIT_CODE_USAGE, "--%s is given twice", flag->name);
		*ret_used = 1;
		if (flag->metavar && !value) {
			if (argc < 2)
				return out_fail(EXIT_CODE_USAGE, "--%s needs a value: --%s %s",
						flag->name, flag->name, flag->metavar);
			value = argv[1];
			*ret_used = 2;
		}
		call->flag_values[i] = value ? value : "";
		return EXIT_CODE_OK;
	}
	return EXIT_CODE_OK;
}

static int read_flag(struct cli_call *call, int argc, char *argv[], int *ret_used)
{
	struct err err = { 0 };
	int ret;

	if (call->command->takes_options) {
		ret = vm_config_parse_flag(&call->config, argc, argv, ret_used, &err);
		if (ret == 0)
			return EXIT_CODE_OK;
		if (ret != -ENOENT || err.code != 0)
			return out_fail(EXIT_CODE_USAGE, "%s", err.text);
	}
	if (strncmp(argv[0], "--", 2) != 0)
		return wrong_flag(call, argv[0]);
	ret = read_own_flag(call, argc, argv, ret_used);
	if (ret == EXIT_CODE_OK && *ret_used == 0)
		return wrong_flag(call, argv[0] + 2);
	return ret;
}

static int add_argument(struct cli_call *call, const char *text)
{
	const struct cli_command *command = call->command;

	if (call->arg_count >= command->max_args || call->arg_count >= CLI_ARGS_MAX)
		return out_fail(EXIT_CODE_USAGE,
				"\"%.60s\" is one argument too many; write: neap %s %s", text,
				command->name, command->arguments);
	call->args[call->arg_count++] = text;
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
	if (call->arg_count < call->command->min_args)
		return out_fail(EXIT_CODE_USAGE, "something is missing; write: neap %s %s",
				call->command->name, call->command->arguments);
	return EXIT_CODE_OK;
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

	if (call->command->takes_options)
		vm_config_init(&call->config);
	ret = cli_read_args(call, argc, argv);
	if (ret == EXIT_CODE_OK)
		ret = call->command->run(call);
	if (call->command->takes_options)
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
