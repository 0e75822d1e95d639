/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* completion.c - `neap completion bash|zsh|fish`: a few lines for the shell that ask neap itself
 * (`neap completion words`, complete.c) at each press of the key.
 *
 * Sources: bash(1) "Programmable Completion"; zshcompsys(1); fish, "complete".
 */
#include <string.h>

#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/output.h"

/* bash breaks words at = and :, too, where COMP_WORDBREAKS has them, and replaces only what follows the
 * last break: so the line is split again at blanks, and what stands before is taken off the answers. */
static const char bash_script[] =
	"# bash completion for neap: source <(neap completion bash)\n"
	"_neap() {\n"
	"\tlocal line=\"${COMP_LINE:0:COMP_POINT}\" word help typed before=\n"
	"\tlocal breaks=\"${COMP_WORDBREAKS//[^=:]/}\"\n"
	"\tlocal -a words\n"
	"\tread -ra words <<<\"$line\"\n"
	"\t[[ \"$line\" == *[[:space:]] ]] && words+=(\"\")\n"
	"\ttyped=\"${words[-1]}\"\n"
	"\t[[ -n \"$breaks\" ]] && before=\"${typed%\"${typed##*[$breaks]}\"}\"\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS=$'\\t' read -r word help; do\n"
	"\t\tcase \"$word\" in\n"
	"\t\t:files) compopt -o filenames; mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY"
	" < <(compgen -f -- \"${typed#\"$before\"}\") ;;\n"
	"\t\t:dirs) compopt -o filenames; mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY"
	" < <(compgen -d -- \"${typed#\"$before\"}\") ;;\n"
	"\t\t*) COMPREPLY+=(\"${word#\"$before\"}\") ;;\n"
	"\t\tesac\n"
	"\tdone < <(\"${words[0]}\" completion words -- \"${words[@]:1}\" 2>/dev/null)\n"
	"\t[[ ${#COMPREPLY[@]} -eq 1 && \"${COMPREPLY[0]}\" == *= ]] && compopt -o nospace\n"
	"\treturn 0\n"
	"}\n"
	"complete -F _neap neap\n";

static const char zsh_script[] =
	"#compdef neap\n"
	"# zsh completion for neap: a file _neap in a directory of $fpath, or\n"
	"# source <(neap completion zsh)\n"
	"_neap() {\n"
	"\tlocal line word\n"
	"\tlocal -a plain open\n"
	"\tfor line in \"${(@f)$(${words[1]} completion words -- \"${(@)words[2,CURRENT]}\" "
	"2>/dev/null)}\"; do\n"
	"\t\tword=\"${line%%$'\\t'*}\"\n"
	"\t\tcase \"$word\" in\n"
	"\t\t'') ;;\n"
	"\t\t:files) _files ;;\n"
	"\t\t:dirs) _files -/ ;;\n"
	"\t\t*=) open+=(\"${word//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
	"\t\t*) plain+=(\"${word//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\t(( $#plain )) && _describe -t words 'neap' plain\n"
	"\t(( $#open )) && _describe -t keys 'key' open -S ''\n"
	"}\n"
	"if [[ \"$funcstack[1]\" == _neap ]]; then _neap \"$@\"; else compdef _neap neap; fi\n";

static const char fish_script[] =
	"# fish completion for neap: neap completion fish | source\n"
	"function __neap_words\n"
	"\tset -l words (commandline -opc)\n"
	"\tset -l typed (commandline -ct)\n"
	"\tfor line in ($words[1] completion words -- $words[2..-1] \"$typed\" 2>/dev/null)\n"
	"\t\tswitch $line\n"
	"\t\t\tcase ':files' ':dirs'\n"
	"\t\t\t\t__fish_complete_path \"$typed\"\n"
	"\t\t\tcase '*'\n"
	"\t\t\t\techo $line\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"complete -c neap -f -a '(__neap_words)'\n";

static const struct {
	const char *shell, *script;
} scripts[] = { { "bash", bash_script }, { "zsh", zsh_script }, { "fish", fish_script } };

int cli_completion(struct cli_call *call)
{
	if (strcmp(call->args[0], "words") == 0) {
		complete_words(call, call->args + 1, call->arg_count - 1);
		return EXIT_CODE_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(scripts) && call->arg_count == 1; i++) {
		if (strcmp(call->args[0], scripts[i].shell) != 0)
			continue;
		return fputs(scripts[i].script, stdout) < 0 || fflush(stdout) != 0
			       ? EXIT_CODE_FAILED
			       : EXIT_CODE_OK;
	}
	return out_fail(EXIT_CODE_USAGE, "write: neap completion bash, zsh or fish");
}
