/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* docgen.h - parts of the manual that are made from tables. Each prints one to standard output. */
#ifndef NEAP_TOOLS_DOCGEN_H
#define NEAP_TOOLS_DOCGEN_H

/* man.c: troff, groff_man(7) */
void man_commands(void);
void man_flags(void);
void man_keys(void);
void man_host_flags(void);
void man_host_keys(void);
void man_exit_codes(void);
void man_put(const char *text); /* as troff text */
void man_put_line(const char *text);
/* ".TP" and its tag: words in bold, the value's name, which may be NULL, in italics. */
void man_put_tag(const char *before, const char *name, const char *metavar);

/* policy.c: neap-policy(7), and in docs/POLICY.md */
void man_rules(void);
void man_constants(void);
void md_rules(void);
void md_constants(void);
void md_record(void);

/* markdown.c: docs/api.md, and docs/host-api.md */
void md_verbs(void);
void md_events(void);
void md_states(void);
void md_errors(void);
void md_host_verbs(void);
void md_forwarded_verbs(void);
void md_host_events(void);
void md_host_states(void);
void md_usage(void);

/* man_api.c: neap-api(7) */
void man_verbs(void);
void man_host_verbs(void);
void man_forwarded_verbs(void);
void man_events(void);
void man_host_events(void);
void man_states(void);
void man_host_states(void);
void man_errors(void);
void man_usage(void);

/* openrpc.c: what rpc.discover answers */
void openrpc_host(void);
void openrpc_vm(void);

/* blocks.c: in docs/MEMORY.md */
void md_blocks(void);

/* fleet.c: in docs/POLICY.md, and neap-sim(1) */
void md_fleet(void);
void man_fleet(void);

#endif
