/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* demand.c - see demand.h.
 *
 * Each pattern answers one question: where does the next line end, and when? Peaks that are spread
 * evenly lie where the bits of the VM's number say, read backwards (van der Corput): so they are
 * spread evenly for every number of VMs, and one more VM moves none of the others.
 */
#include "sim/demand.h"

#include "base/units.h"

enum { WAVE_STEPS = 24, IDLE_LINE_S = 600, PHASES_PER_PERIOD = 4, PERMILLE = 1000 };

struct line {
	uint64_t to_bytes, length_s;
};

/* (1 - cos) / 2 of a 24th of a circle, in permille. */
static const uint16_t wave_permille[WAVE_STEPS] = {
	0,    17,  67,	146, 250, 371, 500, 629, 750, 854, 933, 983,
	1000, 983, 933, 854, 750, 629, 500, 371, 250, 146, 67,	17,
};

/* @number's place in a circle of @length, evenly spread for any count. */
static uint64_t spread(uint64_t number, uint64_t length)
{
	uint64_t place = 0;

	for (uint64_t step = length / 2; step > 0 && number > 0; step /= 2, number >>= 1)
		place += (number & 1) ? step : 0;
	return place;
}

static uint64_t waver(struct demand *demand, uint64_t bytes)
{
	const struct fleet_class *class = demand->class;
	uint64_t most = bytes / 100 * class->noise_percent;
	uint64_t value = bytes - most + sim_random_between(&demand->random, 0, 2 * most);

	return value < class->settings.maximum_bytes ? value : class->settings.maximum_bytes;
}

static uint64_t at_permille(const struct fleet_class *class, uint64_t permille)
{
	return class->low_bytes + (class->high_bytes - class->low_bytes) / PERMILLE * permille;
}

/* Half as much to one and a half times as much. */
static uint64_t about(struct demand *demand, uint64_t length_s)
{
	return sim_random_between(&demand->random, length_s / 2, length_s + length_s / 2);
}

static struct line idle_line(struct demand *demand)
{
	return (struct line){ waver(demand, demand->class->low_bytes), IDLE_LINE_S };
}

static struct line wave_line(struct demand *demand)
{
	const struct fleet_class *class = demand->class;
	uint64_t permille = wave_permille[(demand->step + 1) % WAVE_STEPS];

	return (struct line){ waver(demand, at_permille(class, permille)),
			      class->period_s / WAVE_STEPS };
}

/* up, high, down, low */
static struct line peak_line(struct demand *demand)
{
	const struct fleet_class *class = demand->class;
	uint64_t busy_s = class->period_s / 100 * class->busy_percent;
	uint64_t away_s = busy_s + 2 * class->rise_s;

	switch (demand->step % 4) {
	case 0: return (struct line){ waver(demand, class->high_bytes), class->rise_s };
	case 1: return (struct line){ waver(demand, class->high_bytes), busy_s };
	case 2: return (struct line){ waver(demand, class->low_bytes), class->rise_s };
	default:
		return (struct line){ waver(demand, class->low_bytes),
				      class->period_s > away_s ? class->period_s - away_s : 1 };
	}
}

static struct line burst_line(struct demand *demand)
{
	const struct fleet_class *class = demand->class;
	uint64_t busy_s = class->period_s * class->busy_percent / 100;
	uint64_t height = sim_random_between(&demand->random, 300, PERMILLE);

	switch (demand->step % 4) {
	case 0: return (struct line){ waver(demand, at_permille(class, height)), class->rise_s };
	case 1: return (struct line){ waver(demand, demand->to_bytes), about(demand, busy_s) };
	case 2: return (struct line){ waver(demand, class->low_bytes), class->rise_s };
	default:
		return (struct line){ waver(demand, class->low_bytes),
				      about(demand, class->period_s - busy_s) };
	}
}

static struct line leak_line(struct demand *demand)
{
	const struct fleet_class *class = demand->class;

	if (demand->step % 2 == 0)
		return (struct line){ waver(demand, class->high_bytes), class->period_s };
	return (struct line){ waver(demand, class->low_bytes), 1 };
}

/* A stay, then a way to somewhere else. */
static struct line phase_line(struct demand *demand)
{
	const struct fleet_class *class = demand->class;
	uint64_t level = sim_random_between(&demand->random, 0, PERMILLE);

	if (demand->step % 2 == 0)
		return (struct line){ demand->to_bytes,
				      about(demand, class->period_s / PHASES_PER_PERIOD) };
	return (struct line){ waver(demand, at_permille(class, level)), class->rise_s };
}

static struct line next_line(struct demand *demand)
{
	switch ((enum fleet_pattern)demand->class->pattern) {
	case FLEET_PATTERN_DIURNAL: return wave_line(demand);
	case FLEET_PATTERN_STAGGERED:
	case FLEET_PATTERN_SIMULTANEOUS: return peak_line(demand);
	case FLEET_PATTERN_BURSTY: return burst_line(demand);
	case FLEET_PATTERN_LEAK: return leak_line(demand);
	case FLEET_PATTERN_PHASES: return phase_line(demand);
	case FLEET_PATTERN_IDLE:
	case FLEET_PATTERN_COUNT: break;
	}
	return idle_line(demand);
}

static void advance(struct demand *demand)
{
	struct line line = next_line(demand);

	demand->from_bytes = demand->to_bytes;
	demand->to_bytes = line.to_bytes;
	demand->start_s = demand->end_s;
	demand->end_s += line.length_s > 0 ? line.length_s : 1;
	demand->step++;
}

/* How far into its pattern a VM is when the fleet starts. */
static uint64_t phase_s(struct demand *demand, uint64_t number)
{
	uint64_t period_s = demand->class->period_s;

	switch ((enum fleet_pattern)demand->class->pattern) {
	case FLEET_PATTERN_SIMULTANEOUS: return period_s / 2; /* after the first peak */
	case FLEET_PATTERN_DIURNAL: return sim_random_between(&demand->random, 0, period_s / 12);
	case FLEET_PATTERN_BURSTY: return sim_random_between(&demand->random, 0, period_s);
	case FLEET_PATTERN_IDLE: return spread(number, IDLE_LINE_S);
	default: return spread(number, period_s);
	}
}

void demand_init(struct demand *demand, const struct fleet_class *class, uint64_t seed,
		 uint64_t number)
{
	uint64_t phase, shift;

	*demand = (struct demand){ .class = class,
				   .random = sim_random_stream(seed, number),
				   .from_bytes = class->low_bytes,
				   .to_bytes = class->low_bytes };
	phase = phase_s(demand, number);
	while (demand->end_s <= phase)
		advance(demand);
	/* The line that we are on becomes one that began now, at what it had reached. */
	shift = phase - demand->start_s;
	demand->from_bytes = demand_bytes(demand, demand->start_s + shift);
	demand->end_s -= phase;
	demand->start_s = 0;
}

uint64_t demand_bytes(struct demand *demand, uint64_t now_s)
{
	uint64_t at_s, length_s, pages;

	while (demand->end_s <= now_s)
		advance(demand);
	at_s = now_s - demand->start_s;
	length_s = demand->end_s - demand->start_s;
	if (demand->to_bytes >= demand->from_bytes) {
		pages = bytes_to_pages(demand->to_bytes - demand->from_bytes) * at_s / length_s;
		return demand->from_bytes + pages_to_bytes(pages);
	}
	pages = bytes_to_pages(demand->from_bytes - demand->to_bytes) * at_s / length_s;
	return demand->from_bytes - pages_to_bytes(pages);
}
