/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* device_types.c - see device_types.h. A new device is its own file and one line in this table. */
#include "machine/device_types.h"

#include "machine/devices.h"

static bool wants_balloon(const struct vm_config *config)
{
	return config->balloon.enabled;
}

/* Memory that was reserved for a VM stays with it, unless somebody asks its balloon for some: what
 * it does not use just now it would have to wait for later. */
static bool wants_reports(const struct machine *machine)
{
	return machine->config->balloon.free_page_reporting && !ram_is_reserved(machine->ram);
}

static uint64_t balloon_features(const struct machine *machine)
{
	const struct vm_config *config = machine->config;

	return (config->balloon.stats_period_s > 0 ? BALLOON_F_STATS_VQ : 0) |
	       (config->balloon.deflate_on_oom ? BALLOON_F_DEFLATE_ON_OOM : 0) |
	       (wants_reports(machine) ? BALLOON_F_REPORTING : 0) |
	       (config->balloon.must_tell_host ? BALLOON_F_MUST_TELL_HOST : 0);
}

static int create_balloon(struct machine *machine, struct virtio_device **ret_vdev, struct err *err)
{
	struct balloon_config config = {
		.ram = machine->ram,
		.features = balloon_features(machine),
		.changed = events_balloon_changed,
		.busy = virtio_slots_balloon_busy,
		.ctx = machine,
	};
	int ret = balloon_create(&config, &machine->balloon, err);

	if (ret < 0)
		return ret;
	(void)balloon_set_target(machine->balloon, policy_first_balloon_bytes(machine));
	memory_set_balloon(machine, machine->balloon);
	*ret_vdev = balloon_device(machine->balloon);
	return 0;
}

static void destroy_balloon(struct machine *machine)
{
	memory_set_balloon(machine, NULL);
	balloon_destroy(machine->balloon);
	machine->balloon = NULL;
}

static bool wants_console(const struct vm_config *config)
{
	(void)config;
	return true;
}

static bool on_console_output(void *ctx, const void *bytes, size_t len)
{
	struct machine *machine = ctx;

	return terminal_output(machine->terminal, bytes, len);
}

static void on_console_input_wanted(void *ctx)
{
	struct machine *machine = ctx;

	terminal_input_wanted(machine->terminal);
}

static int create_console(struct machine *machine, struct virtio_device **ret_vdev, struct err *err)
{
	struct console_config config = {
		.ram = machine->ram,
		.output = on_console_output,
		.input_wanted = on_console_input_wanted,
		.ctx = machine,
	};
	int ret = console_create(&config, &machine->console, err);

	if (ret == 0)
		*ret_vdev = console_device(machine->console);
	return ret;
}

static void destroy_console(struct machine *machine)
{
	console_destroy(machine->console);
	machine->console = NULL;
}

static bool wants_rng(const struct vm_config *config)
{
	return config->rng;
}

static int create_rng(struct machine *machine, struct virtio_device **ret_vdev, struct err *err)
{
	int ret = rng_create(&(struct rng_config){ .ram = machine->ram }, &machine->rng, err);

	if (ret == 0)
		*ret_vdev = rng_device(machine->rng);
	return ret;
}

static void destroy_rng(struct machine *machine)
{
	rng_destroy(machine->rng);
	machine->rng = NULL;
}

const struct device_type device_types[] = {
	{ "balloon", wants_balloon, create_balloon, destroy_balloon },
	{ "console", wants_console, create_console, destroy_console },
	{ "rng", wants_rng, create_rng, destroy_rng },
};

const unsigned device_type_count = ARRAY_LEN(device_types);
