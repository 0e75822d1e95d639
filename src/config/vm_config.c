/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm_config.c - a VM's configuration as a whole: defaults, rules between values, JSON out. */
#include "config/vm_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "config/options.h"

enum { NAME_DIGITS = 6 };

void vm_config_init(struct vm_config *config)
{
	uint8_t uuid[UUID_BYTES];

	options_init(&vm_options, config);
	uuid_make(uuid);
	uuid_format(uuid, config->uuid);
	(void)snprintf(config->name, sizeof(config->name), "vm-%.*s", NAME_DIGITS, config->uuid);
}

void vm_config_uuid(const struct vm_config *config, uint8_t ret_uuid[UUID_BYTES])
{
	(void)uuid_read(config->uuid, ret_uuid); /* it was checked when it was set */
}

void vm_config_fini(struct vm_config *config)
{
	options_fini(&vm_options, config);
}

static int check_memory(const struct vm_config *config, struct err *err)
{
	uint64_t bytes = config->memory.maximum_bytes;
	bool huge = config->memory.pages == VM_PAGES_2M;
	uint64_t frame_bytes = vm_config_frame_bytes(config);
	char text[UNITS_TEXT_BYTES], lower[UNITS_TEXT_BYTES], upper[UNITS_TEXT_BYTES];

	if (!is_aligned(bytes, frame_bytes))
		return err_set(
			err, -EINVAL,
			"memory.maximum: %s is not a multiple of the %s pages behind it; use "
			"%s or %s",
			units_format_exact(bytes, text), huge ? "2 MiB" : "4 KiB",
			units_format_exact(align_down(bytes, frame_bytes), lower),
			units_format_exact(align_down(bytes, frame_bytes) + frame_bytes, upper));
	if (config->memory.hugetlbfs_dir && !huge)
		return err_set(err, -EINVAL,
			       "memory.hugetlbfs: a hugetlbfs mount has no 4 KiB pages; leave it "
			       "out, or use memory.pages 2M");
	return 0;
}

/* Below this, hardly more than the guest's kernel and what it does at the moment would be in RAM. */
#define LEAST_LIMIT_BYTES (16 * MIB_BYTES)

bool vm_config_limit_fits(uint64_t limit_bytes, struct err *err)
{
	char text[UNITS_TEXT_BYTES], least[UNITS_TEXT_BYTES];

	if (limit_bytes == 0 || limit_bytes >= LEAST_LIMIT_BYTES)
		return true;
	(void)err_set(err, -ERANGE,
		      "memory.limit: no guest gets on with %s; use %s or more, or 0 for no limit",
		      units_format_exact(limit_bytes, text),
		      units_format_exact(LEAST_LIMIT_BYTES, least));
	return false;
}

static int check_without_swap(const struct vm_config *config, struct err *err)
{
	static const char missing[] = "there is no swap; name a directory for it with swap.dir "
				      "(--swap DIR)";

	if (config->memory.limit_bytes > 0)
		return err_set(err, -EINVAL, "memory.limit: %s", missing);
	if (config->swap.size_bytes > 0)
		return err_set(err, -EINVAL, "swap.size: %s", missing);
	return 0;
}

static int check_swap(const struct vm_config *config, struct err *err)
{
	uint64_t size = config->swap.size_bytes;
	char text[UNITS_TEXT_BYTES];

	if (!config->swap.dir)
		return check_without_swap(config, err);
	if (config->memory.reserve)
		return err_set(err, -EINVAL,
			       "swap.dir: memory.reserve keeps all memory with the VM, so nothing "
			       "would ever be swapped; use one of the two");
	if (size > 0 && size < HUGE_FRAME_BYTES)
		return err_set(
			err, -ERANGE,
			"swap.size: %s has no room for one block of 2 MiB; use 0 for as much "
			"as the guest has",
			units_format_exact(size, text));
	return vm_config_limit_fits(config->memory.limit_bytes, err) ? 0 : -ERANGE;
}

static int check_balloon(const struct vm_config *config, struct err *err)
{
	uint64_t bytes = config->balloon.target_bytes;
	char text[UNITS_TEXT_BYTES], most[UNITS_TEXT_BYTES];

	if (bytes > 0 && !config->balloon.enabled)
		return err_set(err, -EINVAL, "balloon.size: %s asked for, but the balloon is off",
			       units_format_exact(bytes, text));
	if (bytes >= config->memory.maximum_bytes)
		return err_set(err, -ERANGE,
			       "balloon.size: %s leaves nothing of the guest's %s; it must be less",
			       units_format_exact(bytes, text),
			       units_format_exact(config->memory.maximum_bytes, most));
	return 0;
}

/* In frames, since targets are, and no more than what it starts with. */
static uint64_t default_minimum_bytes(const struct policy_settings *settings)
{
	uint64_t bytes = align_down(policy_default_minimum_bytes(settings->maximum_bytes),
				    settings->frame_bytes);

	return bytes < settings->startup_bytes ? bytes : settings->startup_bytes;
}

struct policy_settings vm_config_policy(const struct vm_config *config)
{
	uint64_t maximum_bytes = config->memory.maximum_bytes;
	struct policy_settings settings = {
		.mode = config->memory.mode,
		.startup_bytes = config->memory.startup_bytes,
		.minimum_bytes = config->memory.minimum_bytes,
		.maximum_bytes = maximum_bytes,
		.buffer_percent = config->memory.buffer_percent,
		.weight = config->memory.weight,
		.reserved = config->memory.reserve,
		.frame_bytes = vm_config_frame_bytes(config),
	};

	if (settings.startup_bytes == 0)
		settings.startup_bytes = maximum_bytes;
	if (settings.minimum_bytes == 0)
		settings.minimum_bytes = default_minimum_bytes(&settings);
	if (settings.mode == POLICY_MODE_AUTO && config->balloon.target_bytes > 0)
		settings.mode = POLICY_MODE_MANUAL;
	return settings;
}

static int check_policy(const struct vm_config *config, struct err *err)
{
	struct policy_settings settings = vm_config_policy(config);

	return policy_check_settings(&settings, err);
}

int vm_config_check(const struct vm_config *config, struct err *err)
{
	int ret = check_memory(config, err);

	if (ret == 0)
		ret = check_policy(config, err);
	if (ret == 0)
		ret = check_balloon(config, err);
	if (ret == 0)
		ret = check_swap(config, err);
	if (ret < 0)
		return ret;
	if (config->boot.initrd_path && !config->boot.kernel_path)
		return err_set(err, -EINVAL,
			       "boot.initrd: the embedded guest takes no initial RAM disk; name a "
			       "kernel with boot.kernel");
	return 0;
}

char *vm_config_to_json(const struct vm_config *config)
{
	return options_to_json(&vm_options, config);
}

int vm_config_load(struct vm_config *config, const char *path, struct err *err)
{
	return options_load(&vm_options, config, path, err);
}

int vm_config_load_text(struct vm_config *config, const char *name, const char *base_dir,
			const char *untrusted_text, size_t len, struct err *err)
{
	return options_load_text(&vm_options, config, name, base_dir, untrusted_text, len, err);
}

int vm_config_parse_flags(struct vm_config *config, int argc, char *const argv[], int *ret_used,
			  struct err *err)
{
	return options_parse_flags(&vm_options, config, argc, argv, ret_used, err);
}

int vm_config_parse_flag(struct vm_config *config, int argc, char *const argv[], int *ret_used,
			 struct err *err)
{
	return options_parse_flag(&vm_options, config, argc, argv, ret_used, err);
}

void vm_config_suggest_flags(struct suggest *suggest)
{
	options_suggest_flags(&vm_options, suggest);
}
