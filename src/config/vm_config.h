/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm_config.h - what one VM is: the result of vm.json and the flags of `neap run`.
 *
 * Every field is a row of options.def, which makes the JSON key, the flag, the help, the man page
 * and the default. Values are checked when they are read; vm_config_check() checks them together.
 */
#ifndef NEAP_CONFIG_VM_CONFIG_H
#define NEAP_CONFIG_VM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/units.h"
#include "base/uuid.h"
#include "policy/policy.h"

enum { VM_NAME_BYTES = 64 };

enum vm_pages { VM_PAGES_2M, VM_PAGES_4K };
enum vm_console { VM_CONSOLE_SERIAL, VM_CONSOLE_VIRTIO }; /* which one gets typed input */
enum vm_on_reset { VM_ON_RESET_RESTART, VM_ON_RESET_STOP };

struct vm_config {
	char name[VM_NAME_BYTES];   /* [A-Za-z0-9][A-Za-z0-9._-]*, chosen if not given */
	char uuid[UUID_TEXT_BYTES]; /* chosen if not given */
	unsigned cpus;

	struct {
		uint64_t maximum_bytes; /* guest RAM: `--memory 2G`, JSON memory.maximum */
		enum vm_pages pages;	/* --pages 2M|4K */
		bool reserve;		/* --reserve */
		char *hugetlbfs_dir;	/* --hugetlbfs DIR, or NULL */
		uint64_t limit_bytes;	/* of the host's memory; 0 = none */
		uint64_t ahead_bytes;	/* prepared before it is touched, at most */
		uint64_t sample_blocks; /* per period; 0 = none */
		uint64_t sample_period_s;
		char *trace_path; /* --trace FILE, or NULL */
		/* Dynamic memory; vm_config_policy() puts the defaults in. */
		uint64_t startup_bytes; /* 0 = maximum */
		uint64_t minimum_bytes; /* 0 = by the maximum */
		unsigned buffer_percent, weight;
		enum policy_mode mode;
		char *policy_trace_path; /* --policy-trace FILE, or NULL */
	} memory;

	struct {
		char *dir;	     /* --swap DIR; NULL = no swap */
		uint64_t size_bytes; /* 0 = as large as guest RAM */
		bool encrypt, compress;
	} swap;

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
		uint64_t target_bytes;	 /* balloon.size: asked for at start, 0 = nothing */
	} balloon;

	enum vm_console console;
	enum vm_on_reset on_reset; /* guest reboot: restart it, or end */
	enum vm_on_reset on_crash; /* triple fault or internal error */
	bool rng;

	uint64_t given_by_flag; /* bit per row of options.def: a later file does not change it */
};

/* Bytes of one host page behind guest RAM. */
static inline uint64_t vm_config_frame_bytes(const struct vm_config *config)
{
	return config->memory.pages == VM_PAGES_2M ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
}

/* [A-Za-z0-9][A-Za-z0-9._-]*, at most VM_NAME_BYTES - 1: no path, no hidden file. */
bool vm_name_is_valid(const char *untrusted_text);

/* The UUID as bytes, in the order in which it is written. */
void vm_config_uuid(const struct vm_config *config, uint8_t ret_uuid[UUID_BYTES]);

/* Defaults from options.def, with a random UUID and a name made from it. */
void vm_config_init(struct vm_config *config);
void vm_config_fini(struct vm_config *config);

/* Values against each other and against what neap can do at all; one sentence. */
int vm_config_check(const struct vm_config *config, struct err *err);

/* Dynamic memory as the policy takes it: what was left to its default is filled in, and a balloon of a
 * given size means that somebody set the target. */
struct policy_settings vm_config_policy(const struct vm_config *config);

/* May memory.limit be that, at start or later? 0 means no limit. */
bool vm_config_limit_fits(uint64_t limit_bytes, struct err *err);

/**
 * vm_config_load() - read vm.json into @config
 *
 * What the file does not mention stays as it was, and so does what a flag has set: flags win
 * whatever the order. A relative path in the file starts from the file's directory.
 * Refused: a file that is not regular, not ours or root's, or writable by others; more than
 * 1 MiB; anything but strict JSON; unknown keys.
 *
 * Return: 0; a negative errno, @err is "FILE:LINE: ..." (or "FILE: ..." when it cannot be read).
 */
int vm_config_load(struct vm_config *config, const char *path, struct err *err);

/* The same from memory; @name stands for the file in errors, @base_dir before relative paths. */
int vm_config_load_text(struct vm_config *config, const char *name, const char *base_dir,
			const char *untrusted_text, size_t len, struct err *err);

/**
 * vm_config_parse_flags() - read flags: --FLAG VALUE, --FLAG=VALUE, --FLAG, --no-FLAG, --config
 * FILE
 * @ret_used: arguments consumed; it stops at the first that does not begin with a dash, and after
 * --
 *
 * Return: 0; a negative errno, @err names the flag, and the nearest right one for an unknown flag.
 */
int vm_config_parse_flags(struct vm_config *config, int argc, char *const argv[], int *ret_used,
			  struct err *err);

/**
 * vm_config_parse_flag() - the one flag at argv[0], for a caller that has flags of its own
 *
 * Return: 0 and *ret_used (1 or 2); -ENOENT: not an option of a VM, @err untouched; another
 *         negative errno with @err.
 */
int vm_config_parse_flag(struct vm_config *config, int argc, char *const argv[], int *ret_used,
			 struct err *err);

/* Offers every flag of a VM, without dashes: for "did you mean" over more than one table. */
struct suggest;
void vm_config_suggest_flags(struct suggest *suggest);

/* The whole configuration as JSON text that vm_config_load() reads back to the same; NULL: no
 * memory. Caller frees. */
char *vm_config_to_json(const struct vm_config *config);

#endif
