/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_fleet.c - any bytes as the text of a fleet, and, after a byte of zero, as a --set list. What
 * is accepted keeps its bounds and can run; a refusal is a sentence of printable text.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/fleet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_sentence(const struct err *err)
{
	require(err->code < 0 && err->text[0]);
	for (const char *c = err->text; *c; c++)
		require(*c >= ' ' && *c <= '~');
}

static void check_spec(const struct fleet_spec *spec)
{
	require(spec->class_count > 0 && spec->class_count <= FLEET_CLASSES_MAX);
	require(fleet_spec_vms(spec) > 0 && fleet_spec_vms(spec) <= FLEET_VMS_MAX);
	for (unsigned i = 0; i < spec->class_count; i++) {
		const struct fleet_class *class = &spec->classes[i];

		require(class->pattern<FLEET_PATTERN_COUNT &&class->period_s> 0);
		require(class->low_bytes <= class->high_bytes);
		require(class->high_bytes <= class->settings.maximum_bytes);
		require(policy_check_settings(&class->settings, NULL) == 0);
	}
}

static void run(struct fleet_spec *spec)
{
	struct fleet_result result;

	spec->duration_s = 20 * spec->tick_s;
	require(fleet_run(spec, 3, &fleet_rule_neap, NULL, &result) == 0);
	require(result.vm_count == 3 && result.below_worst_ppm <= FLEET_PPM);
	require(fleet_run(spec, 3, &fleet_rule_proxmox, NULL, &result) == 0);
	require(fleet_run(spec, 3, &fleet_rule_mom, NULL, &result) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
	size_t text_len = zero ? (size_t)(zero - data) : size;
	struct fleet_spec spec;
	struct err err = { 0 };
	char *list;

	if (fleet_spec_parse("fuzz", (const char *)data, text_len, &spec, &err) < 0) {
		check_sentence(&err);
		return 0;
	}
	check_spec(&spec);
	run(&spec);
	if (!zero)
		return 0;
	list = strndup((const char *)zero + 1, size - text_len - 1);
	require(list != NULL);
	if (fleet_spec_set(&spec, list, &err) == 0) {
		check_spec(&spec);
		run(&spec);
	}
	free(list);
	return 0;
}
