/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm_config.h - what one VM is: the result of vm.json and the flags of `neap run`.
 *
 * Every field is a row of options.def, which makes the JSON key, the flag, the help, the man page
 * and the default. Values are checked when they are read; vm_config_check() checks them together.
 */
#ifndef NEAP_CONFIG_VM_CONFIG_H
#define NEAP_CONFIG_VM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { VM_NAME_BYTES = 64 };

enum vm_pages { VM_PAGES_2M, VM_PAGES_4K };
enum vm_console { VM_CONSOLE_SERIAL, VM_CONSOLE_VIRTIO }; /* which one gets typed input */
enum vm_on_reset { VM_ON_RESET_RESTART, VM_ON_RESET_STOP };

struct vm_config {
	char name[VM_NAME_BYTES]; /* [A-Za-z0-9][A-Za-z0-9._-]*, chosen if not given */
	char uuid[37];		  /* chosen if not given */
	unsigned cpus;

	struct {
		uint64_t maximum_bytes; /* guest RAM: `--memory 2G`, JSON memory.maximum */
		enum vm_pages pages;	/* --pages 2M|4K */
		bool reserve;		/* --reserve */
		char *hugetlbfs_dir;	/* --hugetlbfs DIR, or NULL */
	} memory;

	struct {
		char *kernel_path; /* --kernel FILE; NULL = the embedded guest */
		char *initrd_path;
		char *cmdline; /* --cmdline TEXT */
	} boot;

	struct {
		bool enabled; /* --balloon on|off */
		bool deflate_on_oom;
		bool free_page_reporting;
		bool must_tell_host;
		uint64_t stats_period_s; /* 0 = never asked */
		uint64_t target_bytes;	 /* asked at start (the balloon's size), 0 = none */
	} balloon;

	enum vm_console console;
	enum vm_on_reset on_reset; /* guest reboot: restart it, or end */
	enum vm_on_reset on_crash; /* triple fault or internal error */
	bool rng;
};

void vm_config_init(struct vm_config *config); /* defaults from options.def */
void vm_config_fini(struct vm_config *config);

/* Values against each other and against what neap can do at all; one sentence. */
int vm_config_check(const struct vm_config *config, struct err *err);

/* Reads vm.json into @config. Errors name file and line: unknown and duplicate keys, wrong types
 * and values, a file others may write to. @config keeps what was set before where the file is
 * silent. */
int vm_config_load(struct vm_config *config, const char *path, struct err *err);

/* Reads flags. Stops at the first non-flag; *ret_used = arguments consumed. Unknown flags suggest
 * the nearest one. Flags win over the file, whatever the order (--config is read first). */
int vm_config_parse_flags(struct vm_config *config, int argc, char *const argv[], int *ret_used,
			  struct err *err);

/* The whole configuration as JSON text that vm_config_load() reads back to the same. Caller frees.
 */
char *vm_config_to_json(const struct vm_config *config);

#endif
