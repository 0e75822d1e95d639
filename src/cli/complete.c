/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* complete.c - see complete.h.
 *
 * Everything comes from the tables of commands, options and events; VMs are asked for, and one that
 * does not answer costs nothing: only names are needed, and a daemon has COMPLETE_LIST_MS.
 */
#include "cli/complete.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "cli/output.h"
#include "cli/set.h"
#include "cli/vms.h"
#include "config/options.h"

enum { COMPLETE_LIST_MS = 500, COMPLETE_WORD_BYTES = 256 };

struct completing {
	const struct cli_call *call;
	const struct cli_command *command;
	const char *typed;
	char before[COMPLETE_WORD_BYTES]; /* what of @typed stays as it is, such as --mode= */
};

static void offer(const struct completing *it, const char *word, const char *help)
{
	const char *end = strstr(help, ". "); /* the first sentence is enough */
	size_t help_len = end ? (size_t)(end - help) : strlen(help);
	char whole[2 * COMPLETE_WORD_BYTES];

	(void)snprintf(whole, sizeof(whole), "%s%s", it->before, word);
	if (help_len > 0 && help[help_len - 1] == '.')
		help_len--;
	for (const char *at = whole; *at; at++)
		if (!out_is_printable(*at)) /* no name, and not a shell's to see */
			return;
	if (strncmp(whole, it->typed, strlen(it->typed)) == 0)
		(void)printf("%s\t%.*s\n", whole, (int)help_len, help);
}

/* --- VMs ---------------------------------------------------------------------------------------- */

static void offer_daemon_vms(const struct completing *it, const struct daemon *daemon)
{
	int code;
	json_t *vms = vm_list(daemon->client, NULL, COMPLETE_LIST_MS, &code, NULL);

	for (size_t i = 0; i < json_array_size(vms); i++) {
		const json_t *vm = json_array_get(vms, i);

		offer(it, out_text(vm, "name"), out_text(vm, "state"));
	}
	json_decref(vms);
}

static void offer_vms(const struct completing *it)
{
	struct daemon daemon;
	json_t *names;

	if (daemon_open(it->call, &daemon) == EXIT_CODE_OK && daemon.client) {
		offer_daemon_vms(it, &daemon);
		daemon_close(&daemon);
		return;
	}
	names = vm_names(NULL);
	for (size_t i = 0; i < json_array_size(names); i++)
		offer(it, json_string_value(json_array_get(names, i)), "a VM");
	json_decref(names);
}

/* --- values ------------------------------------------------------------------------------------- */

/* "2M|4K": each; FILE and DIR are the shell's to complete; SIZE and its like are anybody's guess. */
static void offer_values(const struct completing *it, const char *metavar)
{
	if (strcmp(metavar, "FILE") == 0 || strcmp(metavar, "SOCKET") == 0) {
		(void)puts(":files");
		return;
	}
	if (strcmp(metavar, "DIR") == 0) {
		(void)puts(":dirs");
		return;
	}
	while (*metavar) {
		size_t len = strcspn(metavar, "|");
		char word[COMPLETE_WORD_BYTES];

		(void)snprintf(word, sizeof(word), "%.*s", (int)len, metavar);
		if (len > 0 && !isupper((unsigned char)*word)) /* SIZE is none, 2M is one */
			offer(it, word, "");
		metavar += len + (metavar[len] == '|');
	}
}

static void offer_selectors(const struct completing *it)
{
	static const char *const states[] = {
#define STATE(id, name, help) "state=" name,
#include "api/states.def"
#include "api/host_states.def"
#undef STATE
	};

	offer(it, "all", "every VM");
	offer(it, "name=", "a pattern with * and ?");
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		offer(it, states[i], "a state");
}

static void offer_flag_values(const struct completing *it, const char *name, const char *metavar)
{
	if (strcmp(name, "selector") == 0)
		offer_selectors(it);
	else
		offer_values(it, metavar);
}

/* The value's name of the flag that @word is, with its name in @ret_name; NULL: it takes none, or it is no
 * flag. @len bytes of it. */
static const char *metavar_of(const struct cli_command *command, const char *word, size_t len,
			      const char **ret_name)
{
	const struct cli_flag *flag;
	const struct option_row *row;

	for (unsigned i = 0; (flag = cli_command_flag(command, i)); i++) {
		*ret_name = flag->name;
		if (len == 2 && flag->letter && word[0] == '-' && word[1] == flag->letter)
			return flag->metavar;
		if (len > 2 && strncmp(word, "--", 2) == 0 && strlen(flag->name) == len - 2 &&
		    strncmp(flag->name, word + 2, len - 2) == 0)
			return flag->metavar;
	}
	if (!(command->takes & CLI_OPTIONS) || len <= 2 || strncmp(word, "--", 2) != 0)
		return NULL;
	row = option_by_flag(word + 2, len - 2);
	*ret_name = row ? row->flag : "";
	return row ? row->metavar : NULL;
}

/* An option that is on or off may stand alone. */
static bool wants_value(const struct cli_command *command, const char *word)
{
	const char *name = "";
	const char *metavar = metavar_of(command, word, strlen(word), &name);

	return metavar && (cli_has_flag(command, name) || strcmp(metavar, "on|off") != 0);
}

/* --- flags -------------------------------------------------------------------------------------- */

static void offer_option_flags(const struct completing *it)
{
	const struct option_row *rows;
	char word[COMPLETE_WORD_BYTES];
	size_t count;

	rows = option_table(&count);
	for (size_t i = 0; i < count; i++) {
		if (!rows[i].flag)
			continue;
		(void)snprintf(word, sizeof(word), "--%s", rows[i].flag);
		offer(it, word, rows[i].help);
		if (rows[i].type != OPTION_BOOL)
			continue;
		(void)snprintf(word, sizeof(word), "--no-%s", rows[i].flag);
		offer(it, word, rows[i].help);
	}
}

static void offer_flags(const struct completing *it)
{
	const struct cli_flag *flag;
	char word[COMPLETE_WORD_BYTES];

	for (unsigned i = 0; (flag = cli_command_flag(it->command, i)); i++) {
		(void)snprintf(word, sizeof(word), "--%s", flag->name);
		offer(it, word, flag->help);
	}
	if (it->command->takes & CLI_OPTIONS)
		offer_option_flags(it);
}

/* --flag=VALUE in one word. */
static bool offer_joined_value(struct completing *it)
{
	size_t len = strcspn(it->typed, "=");
	const char *name = "", *metavar;

	if (it->typed[len] != '=' || len + 2 > sizeof(it->before))
		return false;
	metavar = metavar_of(it->command, it->typed, len, &name);
	if (!metavar)
		return false;
	(void)snprintf(it->before, sizeof(it->before), "%.*s=", (int)len, it->typed);
	offer_flag_values(it, name, metavar);
	return true;
}

/* --- arguments ---------------------------------------------------------------------------------- */

static void offer_commands(const struct completing *it)
{
	const struct cli_command *commands;
	unsigned count;

	commands = cli_commands(&count);
	for (unsigned i = 0; i < count; i++)
		offer(it, commands[i].name, commands[i].summary);
}

static void offer_kinds(const struct completing *it)
{
	for (size_t i = 0; i < api_vm_set.event_count; i++)
		offer(it, api_vm_set.events[i].kind, api_vm_set.events[i].help);
	for (size_t i = 0; i < api_host_set.event_count; i++)
		if (api_event_by_kind(&api_vm_set, api_host_set.events[i].kind) < 0)
			offer(it, api_host_set.events[i].kind, api_host_set.events[i].help);
}

static void offer_key(void *ctx, const char *key, const char *metavar, const char *help)
{
	struct completing *it = ctx;
	char word[COMPLETE_WORD_BYTES];
	size_t len = (size_t)snprintf(word, sizeof(word), "%s=", key);

	if (len >= sizeof(word) || strncmp(it->typed, word, len) != 0) {
		offer(it, word, help);
		return;
	}
	(void)snprintf(it->before, sizeof(it->before), "%s", word);
	offer_values(it, metavar);
	it->before[0] = '\0';
}

static void offer_argument(struct completing *it, enum cli_word kind)
{
	switch (kind) {
	case CLI_WORD_VM_OR_FILE: (void)puts(":files"); /* fall through */
	case CLI_WORD_VM: offer_vms(it); break;
	case CLI_WORD_SETTING: set_each_key(offer_key, it); break;
	case CLI_WORD_KIND: offer_kinds(it); break;
	case CLI_WORD_COMMAND: offer_commands(it); break;
	case CLI_WORD_FILE: (void)puts(":files"); break;
	case CLI_WORD_SHELL: offer_values(it, "bash|zsh|fish"); break;
	case CLI_WORD_ANY: break;
	}
}

/* Which argument is being typed: those before it are counted. --selector and --all stand for a name. */
static unsigned argument_number(const struct cli_command *command, const char *const *words,
				unsigned count)
{
	unsigned number = 0;

	for (unsigned i = 1; i + 1 < count; i++) {
		if (words[i][0] != '-') {
			number++;
			continue;
		}
		number += strcmp(words[i], "--all") == 0 || strcmp(words[i], "-l") == 0 ||
			  strncmp(words[i], "--selector", 10) == 0;
		i += wants_value(command, words[i]);
	}
	return number;
}

void complete_words(const struct cli_call *call, const char *const *words, unsigned count)
{
	struct completing it = { .call = call };
	const char *name = "", *metavar;
	unsigned number;

	it.typed = count > 0 ? words[count - 1] : "";
	if (count <= 1) {
		offer_commands(&it);
		return;
	}
	it.command = cli_find_command(words[0]);
	if (!it.command)
		return;
	if (count > 2 && wants_value(it.command, words[count - 2])) {
		metavar = metavar_of(it.command, words[count - 2], strlen(words[count - 2]), &name);
		offer_flag_values(&it, name, metavar);
		return;
	}
	if (it.typed[0] == '-') {
		if (!offer_joined_value(&it))
			offer_flags(&it);
		return;
	}
	number = argument_number(it.command, words, count);
	if (number < it.command->max_args)
		offer_argument(&it, it.command->words[number > 0]);
}
