/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* settings.c - what an administrator may set, checked against each other, and what is left unsaid.
 *
 * Invariant
 *  1  Settings that pass here never make a decision overflow: the maximum is at most 1023 GiB, and
 *     all other sizes are at most the maximum.
 * Not checked: that a minimum or a startup lies above the floor. A floor depends on the maximum
 * alone, and the larger of the two counts (rule floor), so that one configuration fits all sizes.
 */
#include <errno.h>

#include "policy/policy_internal.h"

uint64_t policy_default_minimum_bytes(uint64_t maximum_bytes)
{
	uint64_t part = maximum_bytes / POLICY_MINIMUM_PART;

	return least(maximum_bytes, most(part, POLICY_MINIMUM_LEAST_MIB * MIB_BYTES));
}

struct policy_settings policy_default_settings(uint64_t maximum_bytes, uint64_t frame_bytes)
{
	return (struct policy_settings){
		.mode = POLICY_MODE_AUTO,
		.startup_bytes = maximum_bytes,
		.minimum_bytes = policy_default_minimum_bytes(maximum_bytes),
		.maximum_bytes = maximum_bytes,
		.buffer_percent = POLICY_BUFFER_DEFAULT_PERCENT,
		.weight = POLICY_WEIGHT_DEFAULT,
		.frame_bytes = frame_bytes,
	};
}

/* Source: Linux drivers/hv/hv_balloon.c, compute_balloon_floor(): its comment and its table; the
 * part of a guest that is kernel and services grows with its size, but more and more slowly. */
static const struct {
	uint64_t below_mib, base_mib, part;
} floor_rows[] = {
	{ 128, 8, 2 }, { 512, 40, 4 }, { 2048, 104, 8 }, { 8192, 232, 16 }, { UINT64_MAX, 488, 32 },
};

uint64_t policy_grant_slack_bytes(uint64_t grant_bytes)
{
	uint64_t bytes = most(percent_of(grant_bytes, POLICY_GRANT_SLACK_PERCENT),
			      POLICY_GRANT_SLACK_MIB * MIB_BYTES);

	return least(bytes, grant_bytes / POLICY_GRANT_SLACK_PART);
}

uint64_t policy_floor_bytes(uint64_t maximum_bytes)
{
	unsigned row = 0;

	while (bytes_to_mib(maximum_bytes) >= floor_rows[row].below_mib)
		row++;
	return least(maximum_bytes,
		     floor_rows[row].base_mib * MIB_BYTES + maximum_bytes / floor_rows[row].part);
}

static int check_sizes(const struct policy_settings *settings, struct err *err)
{
	char a[UNITS_TEXT_BYTES], b[UNITS_TEXT_BYTES];

	if (settings->startup_bytes > settings->maximum_bytes)
		return err_set(err, -EINVAL,
			       "memory.startup is %s, more than memory.maximum, which is %s",
			       units_format_size(settings->startup_bytes, a),
			       units_format_size(settings->maximum_bytes, b));
	if (settings->minimum_bytes > settings->startup_bytes)
		return err_set(
			err, -EINVAL, "memory.minimum is %s, more than memory.%s, which is %s",
			units_format_size(settings->minimum_bytes, a),
			settings->minimum_bytes > settings->maximum_bytes ? "maximum" : "startup",
			units_format_size(settings->minimum_bytes > settings->maximum_bytes
						  ? settings->maximum_bytes
						  : settings->startup_bytes,
					  b));
	return 0;
}

static int check_ram(const struct policy_settings *settings, struct err *err)
{
	char text[UNITS_TEXT_BYTES];

	if (settings->frame_bytes != GUEST_PAGE_BYTES && settings->frame_bytes != HUGE_FRAME_BYTES)
		return err_set(err, -EINVAL, "memory.pages must be 2M or 4K, not %s",
			       units_format_size(settings->frame_bytes, text));
	if (settings->maximum_bytes < settings->frame_bytes ||
	    settings->maximum_bytes > POLICY_MAXIMUM_MOST_GIB * GIB_BYTES)
		return err_set(err, -ERANGE, "memory.maximum is %s; it may be up to %d GiB",
			       units_format_size(settings->maximum_bytes, text),
			       POLICY_MAXIMUM_MOST_GIB);
	return 0;
}

int policy_check_settings(const struct policy_settings *settings, struct err *err)
{
	int result = check_ram(settings, err);

	if (result == 0)
		result = check_sizes(settings, err);
	if (result < 0)
		return result;
	if ((unsigned)settings->mode >= POLICY_MODE_COUNT)
		return err_set(err, -EINVAL, "memory.mode must be auto, manual or off");
	if (settings->buffer_percent < POLICY_BUFFER_LEAST_PERCENT ||
	    settings->buffer_percent > POLICY_BUFFER_MOST_PERCENT)
		return err_set(err, -ERANGE, "memory.buffer is %u %%; it may be %d to %d %%",
			       settings->buffer_percent, POLICY_BUFFER_LEAST_PERCENT,
			       POLICY_BUFFER_MOST_PERCENT);
	if (settings->weight > POLICY_WEIGHT_MOST)
		return err_set(err, -ERANGE, "memory.weight is %u; it may be 0 to %d",
			       settings->weight, POLICY_WEIGHT_MOST);
	return 0;
}
