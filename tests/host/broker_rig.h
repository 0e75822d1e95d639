/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker_rig.h - the broker on a made-up host: its pools are files that the tests write, its VMs what the
 * tests say of them. */
#ifndef NEAP_TESTS_HOST_BROKER_RIG_H
#define NEAP_TESTS_HOST_BROKER_RIG_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "host/broker.h"
#include "policy/host_policy.h"

#include "../support/testing.h"

enum { MOST_EVENTS = 128, KIND_BYTES = 32, PATH_BYTES = 256 };

#define MIB(n) ((uint64_t)(n) << MIB_SHIFT)
#define GIB(n) ((uint64_t)(n) << GIB_SHIFT)

#define POOL_DIR "sys/kernel/mm/hugepages/hugepages-2048kB"

/* What stands behind the void * of a VM. */
struct owner {
	const char *name;
	struct broker_vm *vm;
	struct broker_wait *wait;
	uint64_t grant_bytes; /* told last */
	unsigned grants;      /* how often */
	unsigned rooms;	      /* on_room was called */
};

struct event {
	struct owner *owner;
	char kind[KIND_BYTES];
	json_t *data;
};

struct world {
	char root[PATH_BYTES];
	struct broker *broker;
	uint64_t now_ns;
	struct event events[MOST_EVENTS];
	unsigned event_count;
};

static struct world world;

TESTING_INLINE void write_text(const char *name, const char *text)
{
	char path[2 * PATH_BYTES];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", world.root, name);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	(void)fclose(file);
}

TESTING_INLINE void write_number(const char *name, uint64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)number);
	write_text(name, text);
}

TESTING_INLINE void set_pool(uint64_t total_bytes, uint64_t free_bytes)
{
	write_number(POOL_DIR "/nr_hugepages", total_bytes / HUGE_FRAME_BYTES);
	write_number(POOL_DIR "/free_hugepages", free_bytes / HUGE_FRAME_BYTES);
	write_number(POOL_DIR "/resv_hugepages", 0);
	write_number(POOL_DIR "/surplus_hugepages", 0);
	write_number(POOL_DIR "/nr_overcommit_hugepages", 0);
}

TESTING_INLINE void set_ram(uint64_t total_bytes, uint64_t free_bytes)
{
	char text[PATH_BYTES];

	(void)snprintf(text, sizeof(text),
		       "MemTotal: %llu kB\nMemFree: 1 kB\nMemAvailable: %llu kB\n",
		       (unsigned long long)(total_bytes / KIB_BYTES),
		       (unsigned long long)(free_bytes / KIB_BYTES));
	write_text("proc/meminfo", text);
}

TESTING_INLINE void make_dirs(const char *path)
{
	char command[2 * PATH_BYTES];

	(void)snprintf(command, sizeof(command), "mkdir -p %s/%s", world.root, path);
	assert_int_equal(system(command), 0);
}

TESTING_INLINE void on_grant(void *vm, uint64_t grant_bytes)
{
	struct owner *owner = vm;

	owner->grant_bytes = grant_bytes;
	owner->grants++;
}

TESTING_INLINE void on_tell(void *ctx, void *vm, const char *kind, json_t *data)
{
	struct event *event = &world.events[world.event_count++];

	(void)ctx;
	assert_true(world.event_count < MOST_EVENTS);
	event->owner = vm;
	event->data = data;
	(void)snprintf(event->kind, sizeof(event->kind), "%s", kind);
}

TESTING_INLINE void on_room(void *vm, struct broker_vm *broker_vm)
{
	struct owner *owner = vm;

	owner->vm = broker_vm;
	owner->wait = NULL;
	owner->rooms++;
}

TESTING_INLINE void start_broker(bool grants)
{
	const struct broker_ops ops = { .grant = on_grant, .tell = on_tell };
	struct broker_config config = { .root = world.root, .grants = grants };
	struct err err = { 0 };

	if (broker_create(&config, &ops, &world.broker, &err) < 0)
		fail_msg("%s", err.text);
}

TESTING_INLINE int set_up(void **state)
{
	(void)state;
	world = (struct world){ .root = "/tmp/neap-broker-XXXXXX", .now_ns = NS_PER_S };
	assert_non_null(mkdtemp(world.root));
	make_dirs(POOL_DIR);
	make_dirs("proc");
	set_pool(GIB(4), GIB(4));
	set_ram(GIB(8), GIB(8));
	start_broker(true);
	return 0;
}

TESTING_INLINE void forget_events(void)
{
	while (world.event_count > 0)
		json_decref(world.events[--world.event_count].data);
}

TESTING_INLINE int tear_down(void **state)
{
	char command[2 * PATH_BYTES];

	(void)state;
	forget_events();
	broker_destroy(world.broker);
	(void)snprintf(command, sizeof(command), "rm -r %s", world.root);
	return system(command);
}

TESTING_INLINE void tick(void)
{
	world.now_ns += NS_PER_S;
	broker_tick(world.broker, world.now_ns);
}

TESTING_INLINE void ticks(unsigned count)
{
	while (count-- > 0)
		tick();
}

TESTING_INLINE const struct event *last_event(const char *kind)
{
	for (unsigned i = world.event_count; i > 0; i--)
		if (strcmp(world.events[i - 1].kind, kind) == 0)
			return &world.events[i - 1];
	return NULL;
}

TESTING_INLINE struct broker_vm_config config_of(const char *name, uint64_t startup,
						 uint64_t maximum)
{
	return (struct broker_vm_config){ .name = name,
					  .uuid = "00000000-0000-0000-0000-000000000001",
					  .frame_bytes = HUGE_FRAME_BYTES,
					  .startup_bytes = startup,
					  .minimum_bytes = MIB(64),
					  .maximum_bytes = maximum,
					  .weight = 1000 };
}

TESTING_INLINE int admit(struct owner *owner, uint64_t startup, uint64_t maximum, bool wait,
			 struct err *err)
{
	struct broker_vm_config config = config_of(owner->name, startup, maximum);

	return broker_admit(world.broker, &config, owner, wait, on_room, &owner->vm, &owner->wait,
			    err);
}

TESTING_INLINE void adopt(struct owner *owner, uint64_t maximum)
{
	struct broker_vm_config config = config_of(owner->name, maximum, maximum);

	assert_int_equal(broker_add(world.broker, &config, owner, &owner->vm, NULL), 0);
}

TESTING_INLINE struct api_usage usage_of(uint64_t want, uint64_t held)
{
	struct api_usage usage = { 0 };

	api_usage_put(&usage, API_USAGE_minimum_bytes, MIB(64));
	api_usage_put(&usage, API_USAGE_want_bytes, want);
	api_usage_put(&usage, API_USAGE_resident_bytes, held);
	api_usage_put(&usage, API_USAGE_weight, 1000);
	api_usage_put(&usage, API_USAGE_mode, POLICY_MODE_AUTO);
	return usage;
}

/* The VM says what it wants and holds, and which grant it lives by. */
TESTING_INLINE void says(struct owner *owner, uint64_t want, uint64_t held)
{
	struct api_usage usage = usage_of(want, held);

	if (owner->grant_bytes)
		api_usage_put(&usage, API_USAGE_grant_bytes, owner->grant_bytes);
	broker_observe(world.broker, owner->vm, &usage);
}

TESTING_INLINE struct broker_pool_numbers pool_numbers(const char *name)
{
	struct broker_pool_numbers numbers[8];
	unsigned count = broker_pools(world.broker, numbers, 8);

	for (unsigned i = 0; i < count; i++)
		if (strcmp(numbers[i].name, name) == 0)
			return numbers[i];
	fail_msg("no pool %s", name);
	return (struct broker_pool_numbers){ 0 };
}

#endif
