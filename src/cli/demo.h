/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* demo.h - the parts of `neap demo`: borrowed huge pages, and a guest one can talk to. Inside cli/
 * only. Functions that return an enum exit_code have said what is wrong.
 */
#ifndef NEAP_CLI_DEMO_H
#define NEAP_CLI_DEMO_H

#include "cli/cli.h"
#include "cli/tide.h"
#include "cli/vms.h"

enum { DEMO_LINE_BYTES = 512 };

/* Pages of 2 MiB that this program added to the host's pool for itself. They go back when
 * demo_pool_give_back() is called, and when this process ends in any other way. */
struct demo_pool {
	pid_t guardian; /* 0: nothing is borrowed */
	int release_fd;
};

/**
 * demo_pool_borrow() - make @frames free pages of 2 MiB available
 *
 * When fewer are free all of @frames are added: the free ones may be meant for somebody else.
 *
 * Return: 0, with nothing borrowed when enough were free; -EACCES: only root may; -ENOMEM: the host
 * has no memory in such pieces; another negative errno. @err says it.
 */
int demo_pool_borrow(uint64_t frames, struct demo_pool *ret_pool, struct err *err);
void demo_pool_give_back(struct demo_pool *pool); /* waits until they are back */

struct demo_vm {
	pid_t child;
	struct vm vm;
	int console_fd;
	char line[DEMO_LINE_BYTES]; /* what has come of the next line */
	size_t line_len;
};

int demo_vm_start(const struct cli_programs *programs, const struct vm_config *config,
		  struct demo_vm *ret_vm);
void demo_vm_stop(struct demo_vm *vm); /* and waits for its end; a zeroed one is fine */

/* Types a command of the embedded guest; its answer without "ok ". */
int demo_vm_ask(struct demo_vm *vm, char ret_answer[DEMO_LINE_BYTES], const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, and "error ..." is an answer, too. */
int demo_vm_try(struct demo_vm *vm, char ret_answer[DEMO_LINE_BYTES], const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* NAME=NUMBER in an answer; 0 when it is not there. */
uint64_t demo_number(const char *answer, const char *name);

/* The second act, for @has_pool with the pages that were borrowed. An enum exit_code. */
#define DEMO_SHARE_POOL_BYTES (UINT64_C(384) * MIB_BYTES)
int demo_share(const struct cli_programs *programs, bool has_pool);

int demo_vm_set_balloon(struct demo_vm *vm, uint64_t bytes);
int demo_vm_look(struct demo_vm *vm, struct tide_sample *ret_sample); /* all but the pool */

#endif
