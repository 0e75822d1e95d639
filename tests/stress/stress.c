/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* stress.c - guest RAM under everything at once, for minutes, without KVM: threads are the processors.
 *
 *     stress [--pages 2M|4K] [--direct] [--seconds N] [--evictions N] [--vcpus N] [--blocks N]
 *            [--pool N] [--plain] [--no-faults] [--no-delays]
 *            [--dir DIR] [--json FILE] [--seed N]
 *
 * --direct: evictions at random, as fast as they come, through block.h and the swap store; without it
 * the swapper does them, driven by a limit that moves and a pool that is too small. --plain: nothing
 * is encrypted or compressed. --no-delays: see delays.c. It runs until both --seconds and --evictions are reached.
 *
 * The end: the disk is well again; the guests stop and check all they know, while evictions go on; so
 * do devices and direct I/O; then everybody's counters are compared, and the engine's.
 * On 4 KiB memory the disk then refuses every write: nothing more may leave RAM, and nobody notices.
 */
#include "../support/sanitizers.h"
#include "../support/hugemount.h"

#include "stress.h"

#include <getopt.h>
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "memory/swap_internal.h"
#include "memory/swapper_internal.h"

#if WITH_TSAN || WITH_ASAN
enum { PATIENCE_S = 120 };
#else
enum { PATIENCE_S = 40 };
#endif

enum {
	SHORT_BLOCK_PAGES = 37,
	MOST_THREADS = 32,
	EVICTORS = 2,
	READERS = 2,
	NEIGHBOUR_SHARE = 3, /* of the pool: a third */
	AHEAD_BLOCKS = 4,
	SAMPLE_BLOCKS = 6,
	SAMPLE_PERIOD_MS = 50
};

struct world world = {
	.options = { .frame_bytes = HUGE_FRAME_BYTES,
		     .vcpus = 4,
		     .seconds = 10,
		     .encrypt = true,
		     .compress = true,
		     .faults = true,
		     .delays = true,
		     .dir = "." },
};

void stress_fail(const char *format, ...)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;
	va_list args;

	while (atomic_flag_test_and_set(&told))
		(void)pause(); /* the first failure is the one to read */
	va_start(args, format);
	(void)fprintf(stderr, "FAILED (--seed %" PRIu64 "): ", world.options.seed);
	(void)vfprintf(stderr, format, args);
	(void)fprintf(stderr, "\nall moves so far: neap trace %s\n", world.trace_path);
	va_end(args);
	_exit(1);
}

struct test_random stress_random(void)
{
	unsigned index = atomic_fetch_add(&world.threads_started, 1);
	struct test_random random = { .state = world.options.seed + index };

	return (struct test_random){ .state = test_random_next(&random) };
}

void stress_pause_us(struct test_random *random, uint64_t most_us)
{
	uint64_t ns = test_random_below(random, most_us * NS_PER_US);
	struct timespec pause = { .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };

	(void)nanosleep(&pause, NULL);
}

/* ----- what the memory tells ----- */

static void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	(void)ctx;
	(void)gpa;
	stress_add(&world.numbers.famines, starving);
}

static void on_failed(void *ctx, const char *why)
{
	(void)ctx;
	stress_fail("the memory says: %s", why);
}

static void on_unreadable(void *ctx, gpa_t gpa, const char *why, bool lost)
{
	(void)ctx;
	(void)gpa;
	(void)why;
	stress_add(lost ? &world.numbers.unreadable : &world.numbers.readable_again, 1);
}

/* ----- the world ----- */

static void open_pool(void)
{
	if (world.options.frame_bytes == HUGE_FRAME_BYTES)
		hugemount_make(world.options.pool_frames, world.pool_dir);
}

static struct ram *open_ram(const struct ram_config *config)
{
	struct ram *ram = NULL;
	struct err err = { 0 };

	if (ram_open(config, &ram, &err))
		stress_fail("%s", err.text);
	if (!ram_has_pager(ram))
		test_skip_program("this process may not use userfaultfd");
	return ram;
}

static struct ram_config guest_config(void)
{
	const struct stress_options *options = &world.options;
	bool huge = options->frame_bytes == HUGE_FRAME_BYTES;
	struct ram_config config = {
		.ram_bytes = options->blocks * BLOCK_BYTES,
		.frame_bytes = options->frame_bytes,
		.hugetlbfs_dir = huge ? world.pool_dir : NULL,
		.trace_path = world.trace_path,
		.events = { .starved = on_starved,
			    .failed = on_failed,
			    .unreadable = on_unreadable,
			    .dead = dead_pages },
	};

	if (!huge)
		config.ram_bytes -= BLOCK_BYTES - pages_to_bytes(SHORT_BLOCK_PAGES);
	if (options->direct)
		return config;
	config.swap = (struct ram_swap_config){ .dir = options->dir,
						.encrypt = options->encrypt,
						.compress = options->compress };
	config.limit_bytes = options->pool_frames * BLOCK_BYTES;
	config.ahead_bytes = AHEAD_BLOCKS * BLOCK_BYTES;
	config.sample_blocks = SAMPLE_BLOCKS;
	config.sample_period_ns = SAMPLE_PERIOD_MS * NS_PER_MS;
	return config;
}

static void open_store(void)
{
	struct swap_config config = { .dir = world.options.dir,
				      .size_bytes = world.options.blocks * BLOCK_BYTES,
				      .block_count = world.options.blocks,
				      .encrypt = world.options.encrypt,
				      .compress = world.options.compress };
	struct err err = { 0 };

	if (swap_store_open(&config, &world.store, &err))
		test_skip_program(err.text);
}

static void make_world(void)
{
	struct ram_config config;

	(void)snprintf(world.trace_path, sizeof(world.trace_path), "%s/stress-%d.trace",
		       world.options.dir, (int)getpid());
	open_pool();
	if (world.options.direct)
		open_store();
	config = guest_config();
	world.ram = open_ram(&config);
	if (!world.options.direct)
		world.store = world.ram->swapper->store;
	if (world.options.faults)
		swap_store_set_io(world.store, &faulty_io);
	world.block_count = world.options.blocks;
	for (unsigned i = 0; i < world.block_count; i++)
		(void)pthread_rwlock_init(&world.records[i].lock, NULL);
	for (unsigned i = 0; i < MOST_VCPUS; i++)
		world.known[i] = calloc(world.block_count, sizeof(struct knowledge));
	if (world.options.frame_bytes == HUGE_FRAME_BYTES)
		world.neighbour = open_ram(&(struct ram_config){
			.ram_bytes = world.options.pool_frames / NEIGHBOUR_SHARE * BLOCK_BYTES,
			.frame_bytes = HUGE_FRAME_BYTES,
			.hugetlbfs_dir = world.pool_dir });
}

/* ----- threads ----- */

struct crew {
	pthread_t threads[MOST_THREADS];
	unsigned count;
};

static void add_thread(struct crew *crew, void *(*body)(void *), uintptr_t number)
{
	if (crew->count == MOST_THREADS ||
	    pthread_create(&crew->threads[crew->count++], NULL, body, (void *)number))
		stress_fail("cannot start a thread");
}

static void join_crew(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++)
		(void)pthread_join(crew->threads[i], NULL);
	crew->count = 0;
}

struct crews {
	struct crew guests, others, evictors, readers, faults;
};

static void start_all(struct crews *crews)
{
	const struct stress_options *options = &world.options;

	for (unsigned i = 0; i < READERS && options->direct; i++)
		add_thread(&crews->readers, reader_thread, i);
	for (unsigned i = 0; i < EVICTORS && options->direct; i++)
		add_thread(&crews->evictors, evictor_thread, i);
	if (!options->direct)
		add_thread(&crews->others, limit_thread, 0);
	add_thread(&crews->others, chaos_thread, 0);
	add_thread(&crews->others, balloon_thread, 0);
	add_thread(&crews->others, wild_thread, 0);
	add_thread(&crews->others, device_thread, 0);
	add_thread(&crews->others, dma_thread, 0);
	if (world.neighbour)
		add_thread(&crews->others, neighbour_thread, 0);
	if (options->faults)
		add_thread(&crews->faults, fault_thread, 0);
	for (unsigned i = 0; i < options->vcpus; i++)
		add_thread(&crews->guests, guest_thread, i);
}

/* ----- watching ----- */

/* What the swapper counts itself. */
static void read_numbers(void)
{
	struct ram_statistics statistics;
	struct numbers *numbers = &world.numbers;

	if (world.options.direct)
		return;
	ram_read_statistics(world.ram, &statistics);
	atomic_store(&numbers->evictions, statistics.swap_out_bytes >> BLOCK_SHIFT);
	atomic_store(&numbers->evictions_zero, statistics.swap_out_zero_bytes >> BLOCK_SHIFT);
	atomic_store(&numbers->aborts, statistics.swap_aborts);
	atomic_store(&numbers->refills, statistics.swap_in_bytes >> BLOCK_SHIFT);
}

static void describe_states(char *to, size_t room)
{
	size_t used = 0;

	for (unsigned state = 0; state < FRAME_STATE_COUNT; state++)
		used += (size_t)snprintf(to + used, room - used, " %s %" PRIu64,
					 frame_state_names[state],
					 atomic_load(&world.ram->frames.in_state[state]));
}

static void assert_all_move(uint64_t now_s)
{
	static uint64_t last[MOST_VCPUS], since_s[MOST_VCPUS];
	char states[160];

	for (unsigned i = 0; i < world.options.vcpus; i++) {
		uint64_t progress = atomic_load(&world.progress[i]);

		if (progress != last[i])
			since_s[i] = now_s;
		last[i] = progress;
		describe_states(states, sizeof(states));
		if (now_s - since_s[i] > PATIENCE_S)
			stress_fail("processor %u sleeps for %u s:%s", i, (unsigned)PATIENCE_S,
				    states);
	}
}

static void say_progress(uint64_t second)
{
	const struct numbers *numbers = &world.numbers;
	char states[160];

	describe_states(states, sizeof(states));
	print_message("%3" PRIu64 " s: %" PRIu64 " evictions, %" PRIu64 " refills, %" PRIu64
		      " aborts, %" PRIu64 " discards, %" PRIu64 " famines;%s\n",
		      second, numbers->evictions, numbers->refills, numbers->aborts,
		      numbers->discards, numbers->famines, states);
}

static void sleep_until(uint64_t at_ns)
{
	struct timespec at = { .tv_sec = (time_t)(at_ns / NS_PER_S),
			       .tv_nsec = (long)(at_ns % NS_PER_S) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

static uint64_t watch(uint64_t start_ns)
{
	for (uint64_t second = 1;; second++) {
		sleep_until(start_ns + second * NS_PER_S);
		read_numbers();
		say_progress(second);
		assert_all_move(second);
		if (second >= world.options.seconds &&
		    world.numbers.evictions >= world.options.least_evictions)
			return second;
	}
}

/* ----- the end ----- */

static uint64_t all_progress(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < world.options.vcpus; i++)
		if (atomic_load(&world.progress[i]) < least)
			least = atomic_load(&world.progress[i]);
	return least;
}

/* D4: after too many errors nothing more leaves RAM, and the guests go on. */
static void close_the_store(void)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_S * NS_PER_S, before;
	struct swap_stats stats = { 0 };
	struct test_random random = { 0 };

	faults_close_the_store();
	while (!stats.closed_for_writing) {
		if (clock_now_ns() > deadline_ns)
			stress_fail("the disk refuses every write, and the store is still open");
		stress_pause_us(&random, 10000);
		swap_store_stats(world.store, &stats);
	}
	before = all_progress();
	while (all_progress() < before + 1000) {
		if (clock_now_ns() > deadline_ns)
			stress_fail("the store is closed, and a processor stands still");
		stress_pause_us(&random, 10000);
	}
	print_message("the disk refused all writes, the store closed, the guests went on\n");
}

static void assert_counters_add_up(void)
{
	const struct frames *frames = &world.ram->frames;
	uint64_t counted[FRAME_STATE_COUNT] = { 0 }, fresh = 0;

	for (uint64_t block = 0; block < world.block_count; block++) {
		uint64_t word = frames_peek(frames, block);

		counted[frame_state_of(word)]++;
		fresh += (word & FRAME_FRESH) != 0;
		if (frame_holds_of(word))
			stress_fail("block %u is still held", (unsigned)block);
	}
	for (unsigned state = FRAME_ABSENT + 1; state < FRAME_STATE_COUNT; state++)
		if (frames->in_state[state] != counted[state] && world.options.direct)
			stress_fail("%u blocks are %s, %u were counted", (unsigned)counted[state],
				    frame_state_names[state], (unsigned)frames->in_state[state]);
	if (frames->fresh_blocks != fresh && world.options.direct)
		stress_fail("%u blocks are fresh, %u were counted", (unsigned)fresh,
			    (unsigned)frames->fresh_blocks);
}

static void end_all(struct crews *crews)
{
	atomic_store(&world.no_faults, true);
	join_crew(&crews->faults);
	if (world.options.faults && !world.neighbour)
		close_the_store();
	atomic_store(&world.stop_guests, true);
	join_crew(&crews->guests);
	atomic_store(&world.stop_others, true);
	join_crew(&crews->others);
	guest_audit(MOST_VCPUS - 1); /* the device's */
	guest_audit_shared();
	atomic_store(&world.stop_hosts, true);
	join_crew(&crews->evictors);
	reader_stop();
	join_crew(&crews->readers);
	assert_counters_add_up();
}

static void print_table(double seconds)
{
	print_message("\n%-18s %12s %10s\n", "", "number", "a second");
#define NUMBER(name, help)                                                           \
	print_message("%-18s %12" PRIu64 " %10.0f  %s\n", #name, world.numbers.name, \
		      (double)world.numbers.name / seconds, help);
	STRESS_NUMBERS
#undef NUMBER
}

static void write_json(double seconds)
{
	FILE *file = world.options.json_path ? fopen(world.options.json_path, "we") : NULL;

	if (!world.options.json_path)
		return;
	if (!file)
		stress_fail("%s: %m", world.options.json_path);
	(void)fprintf(file, "{\"seed\": %" PRIu64 ", \"pages\": \"%s\", \"direct\": %s",
		      world.options.seed, world.neighbour ? "2M" : "4K",
		      world.options.direct ? "true" : "false");
	(void)fprintf(file, ", \"seconds\": %.1f", seconds);
#define NUMBER(name, help) (void)fprintf(file, ", \"" #name "\": %" PRIu64, world.numbers.name);
	STRESS_NUMBERS
#undef NUMBER
		(void)
	fprintf(file, "}\n");
	(void)fclose(file);
}

static uint64_t number_of(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 0);

	if (*end || end == text) {
		(void)fprintf(stderr, "stress: %s is not a number\n", text);
		exit(2);
	}
	return value;
}

static void set_pages(const char *text)
{
	if (strcmp(text, "2M") != 0 && strcmp(text, "4K") != 0) {
		(void)fprintf(stderr, "stress: --pages is 2M or 4K\n");
		exit(2);
	}
	world.options.frame_bytes = *text == '2' ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
}

/* size: one option a line */
static void read_options(int argc, char **argv)
{
	static const struct option flags[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "direct", no_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "evictions", required_argument, NULL, 'e' },
		{ "vcpus", required_argument, NULL, 'c' },
		{ "blocks", required_argument, NULL, 'b' },
		{ "pool", required_argument, NULL, 'P' },
		{ "plain", no_argument, NULL, 'n' },
		{ "no-faults", no_argument, NULL, 'f' },
		{ "no-delays", no_argument, NULL, 'l' },
		{ "dir", required_argument, NULL, 'D' },
		{ "json", required_argument, NULL, 'j' },
		{ "seed", required_argument, NULL, 'S' },
		{ 0 },
	};
	struct stress_options *options = &world.options;

	for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
		switch (flag) {
		case 'p': set_pages(optarg); break;
		case 'd': options->direct = true; break;
		case 's': options->seconds = number_of(optarg); break;
		case 'e': options->least_evictions = number_of(optarg); break;
		case 'c': options->vcpus = (unsigned)number_of(optarg); break;
		case 'b': options->blocks = (unsigned)number_of(optarg); break;
		case 'P': options->pool_frames = (unsigned)number_of(optarg); break;
		case 'n': options->encrypt = options->compress = false; break;
		case 'f': options->faults = false; break;
		case 'l': options->delays = false; break;
		case 'D': options->dir = optarg; break;
		case 'j': options->json_path = optarg; break;
		case 'S': options->seed = number_of(optarg); break;
		default: exit(2);
		}
	}
}

static void complete_options(void)
{
	struct stress_options *options = &world.options;

	if (!options->seed)
		options->seed = test_random_start().state;
	if (!options->pool_frames)
		options->pool_frames = 32;
	if (!options->blocks)
		options->blocks = options->pool_frames * 3 / 2;
	if (options->vcpus < 1 || options->vcpus >= MOST_VCPUS || options->blocks < 16 ||
	    options->blocks > MOST_BLOCKS) {
		(void)fprintf(stderr, "stress: 1 to %d processors, 16 to %d blocks\n",
			      MOST_VCPUS - 1, MOST_BLOCKS);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct crews crews = { 0 };
	uint64_t start_ns;
	double seconds;

	read_options(argc, argv);
	complete_options();
	print_message("stress --pages %s%s --vcpus %u --blocks %u --pool %u%s%s --seed %" PRIu64
		      "\n",
		      world.options.frame_bytes == HUGE_FRAME_BYTES ? "2M" : "4K",
		      world.options.direct ? " --direct" : "", world.options.vcpus,
		      world.options.blocks, world.options.pool_frames,
		      world.options.encrypt ? "" : " --plain",
		      world.options.faults ? "" : " --no-faults", world.options.seed);
	make_world();
	start_ns = clock_now_ns();
	start_all(&crews);
	(void)watch(start_ns);
	seconds = (double)(clock_now_ns() - start_ns) / (double)NS_PER_S;
	end_all(&crews);
	print_table(seconds);
	write_json(seconds);
	ram_close(world.neighbour);
	ram_close(world.ram);
	if (world.options.direct)
		swap_store_close(world.store);
	trace_audit(world.trace_path);
	print_message("passed: no byte was lost\n");
	return 0;
}
