/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* doctor.c - `neap doctor`: one line per thing a VM needs of its host, and what to do about it.
 *
 * The checks are in doctor_checks.c. "missing" is for what neap cannot do without; whatever only
 * costs speed or a feature is a "warn". Nothing is changed.
 */
#include <string.h>

#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/output.h"

static const struct {
	const char *word;
	enum out_colour colour;
} verdicts[] = {
	[DOCTOR_OK] = { "ok", OUT_GREEN },
	[DOCTOR_WARN] = { "warn", OUT_YELLOW },
	[DOCTOR_MISSING] = { "missing", OUT_RED },
};

static json_t *as_json(const struct doctor_finding *findings, unsigned count)
{
	json_t *rows = json_array();

	for (unsigned i = 0; i < count; i++)
		(void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s}", "what",
							    findings[i].what, "finding",
							    findings[i].found, "verdict",
							    verdicts[findings[i].verdict].word,
							    "advice", findings[i].advice));
	return rows;
}

static void print_table(const struct doctor_finding *findings, unsigned count)
{
	static const char *const headers[] = { "", "WHAT", "FINDING" };
	struct out_table table;

	out_table_init(&table, headers, ARRAY_LEN(headers));
	for (unsigned i = 0; i < count; i++) {
		out_cell(&table, verdicts[findings[i].verdict].colour, "%s",
			 verdicts[findings[i].verdict].word);
		out_cell(&table, OUT_PLAIN, "%s", findings[i].what);
		out_cell(&table, OUT_PLAIN, "%s", findings[i].found);
	}
	out_table_print(&table, stdout, "");
}

static void print_advice(const struct doctor_finding *findings, unsigned count)
{
	bool first = true;

	for (unsigned i = 0; i < count; i++) {
		if (!*findings[i].advice)
			continue;
		(void)printf("%s  %s%s%s\n    ", first ? "\nWhat to do\n" : "",
			     out_colour_on(stdout, verdicts[findings[i].verdict].colour),
			     findings[i].what,
			     out_colour_off(stdout, verdicts[findings[i].verdict].colour));
		out_wrapped(findings[i].advice, strlen(findings[i].advice), 4, 4);
		first = false;
	}
}

int cli_doctor(struct cli_call *call)
{
	struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
	unsigned count = doctor_look(findings);
	int ret = EXIT_CODE_OK;

	for (unsigned i = 0; i < count; i++)
		if (findings[i].verdict == DOCTOR_MISSING)
			ret = EXIT_CODE_HOST;
	if (cli_wants_json(call))
		return out_json(as_json(findings, count)) ? ret : EXIT_CODE_FAILED;
	print_table(findings, count);
	print_advice(findings, count);
	return ret;
}
