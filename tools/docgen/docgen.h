/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* docgen.h - parts of the manual that are made from tables. Each prints one to standard output. */
#ifndef NEAP_TOOLS_DOCGEN_H
#define NEAP_TOOLS_DOCGEN_H

/* man.c: troff, groff_man(7) */
void man_commands(void);
void man_flags(void);
void man_keys(void);
void man_exit_codes(void);
void man_put(const char *text); /* as troff text */

/* policy.c: neap-policy(7), and in docs/POLICY.md */
void man_rules(void);
void man_constants(void);
void md_rules(void);
void md_constants(void);
void md_record(void);

/* markdown.c: docs/api.md */
void md_verbs(void);
void md_events(void);
void md_states(void);
void md_errors(void);

/* blocks.c: in docs/MEMORY.md */
void md_blocks(void);

/* fleet.c: in docs/POLICY.md, and neap-sim(1) */
void md_fleet(void);
void man_fleet(void);

#endif
