/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_swap_store.c - what swapping a block costs, beside what cannot be cheaper: the same bytes by
 * pread and pwrite alone, memcpy, the cipher alone.
 *
 * Prints "name value unit". Disks vary from minute to minute, so each round does everything once, in
 * turn, and every figure is over the same rounds; the first ones are thrown away. Buffers of the raw
 * transfers are on huge pages, as the store's are; "small_pages" shows what that is worth.
 * raw_* go to a store's own file, to places that were written before, as the store's are.
 */
#include "../support/swapdir.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "memory/swap_internal.h"
#include "memory/swap_pack.h"

enum { WARM_UP = 6, ROUNDS = 40, BLOCKS = 48, SMALL_BYTES = 65536, FIGURES = 64 };

/* Durations under one name, over the rounds. */
struct figure {
	const char *name;
	uint64_t samples[ROUNDS];
	int count;
};

static struct figure figures[FIGURES];
static int round_number;

static void must(int result, const char *what)
{
	if (result) {
		fprintf(stderr, "%s: %s\n", what, strerror(result < 0 ? -result : result));
		exit(EXIT_FAILURE);
	}
}

static void note(const char *name, uint64_t start_ns)
{
	uint64_t took_ns = clock_now_ns() - start_ns;
	struct figure *figure = figures;

	if (round_number < WARM_UP)
		return;
	while (figure->name && strcmp(figure->name, name) != 0)
		figure++;
	figure->name = name;
	figure->samples[figure->count++] = took_ns;
}

static int by_value(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static void say_figures(void)
{
	for (struct figure *figure = figures; figure->name; figure++) {
		uint64_t *samples = figure->samples;

		qsort(samples, (size_t)figure->count, sizeof(*samples), by_value);
		printf("swap_%s_p50 %.1f us\n", figure->name,
		       (double)samples[figure->count / 2] / (double)NS_PER_US);
		printf("swap_%s_p90 %.1f us\n", figure->name,
		       (double)samples[figure->count * 9 / 10] / (double)NS_PER_US);
	}
}

struct rig {
	struct swap_store *store;
	struct swap_worker *worker;
};

static struct rig open_rig(bool encrypt, bool compress)
{
	const struct swap_config config = { .dir = swapdir(),
					    .size_bytes = BLOCKS * SWAP_BLOCK_BYTES,
					    .block_count = BLOCKS,
					    .encrypt = encrypt,
					    .compress = compress };
	struct err err = { 0 };
	struct rig rig;

	if (swap_store_open(&config, &rig.store, &err) ||
	    swap_worker_open(rig.store, &rig.worker, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	return rig;
}

static void close_rig(struct rig *rig)
{
	swap_worker_close(rig->worker);
	swap_store_close(rig->store);
}

static uint64_t live[SWAP_LIVE_WORDS];
static const uint64_t three_live[SWAP_LIVE_WORDS] = { 1, 0, 2, 0, 0, 4, 0, 0 };

static uint8_t *huge_buffer(void)
{
	struct locked_area area;
	struct err err = { 0 };

	if (locked_map_buffers(SWAP_BLOCK_BYTES, &area, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	return area.base;
}

static uint8_t *small_buffer(void)
{
	uint8_t *at = mmap(NULL, SWAP_BLOCK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)madvise(at, SWAP_BLOCK_BYTES, MADV_NOHUGEPAGE);
	memset(at, 1, SWAP_BLOCK_BYTES);
	return at;
}

static uint8_t *noise, *text, *zeros, *back, *raw, *raw_small;

static void make_buffers(void)
{
	struct test_random random = { .state = 1 };

	noise = huge_buffer();
	text = huge_buffer();
	zeros = huge_buffer();
	back = huge_buffer();
	raw = huge_buffer();
	raw_small = small_buffer();
	memset(live, 0xff, sizeof(live));
	for (size_t i = 0; i < SWAP_BLOCK_BYTES; i += sizeof(uint64_t)) {
		uint64_t word = test_random_next(&random);

		memcpy(noise + i, &word, sizeof(word));
		memcpy(raw + i, &word, sizeof(word));
	}
	for (size_t i = 0; i < SWAP_BLOCK_BYTES; i += 64) {
		memset(text + i, 'a' + (int)test_random_below(&random, 20), 64);
		text[i + test_random_below(&random, 64)] = (uint8_t)test_random_next(&random);
	}
}

static void raw_transfer(const char *name, int fd, uint8_t *buf, size_t len, bool out)
{
	/* Anywhere in the file but where the store's own block goes. */
	off_t at = (off_t)((uint64_t)(1 + round_number * 7 % (BLOCKS - 2)) * SWAP_BLOCK_BYTES);
	uint64_t start_ns = clock_now_ns();
	ssize_t done = out ? pwrite(fd, buf, len, at) : pread(fd, buf, len, at);

	must(done != (ssize_t)len, name);
	note(name, start_ns);
}

static void store_write(const char *name, struct rig *rig, const uint8_t *data,
			const uint64_t *live_pages)
{
	uint64_t start_ns = clock_now_ns();
	int result = swap_store_write(rig->worker, 0, data, SWAP_BLOCK_BYTES, live_pages);

	must(result != (data == zeros), name);
	note(name, start_ns);
}

static void store_read(const char *name, struct rig *rig)
{
	uint64_t start_ns;

	memset(back, 0, SWAP_BLOCK_BYTES); /* what fallocate does for the swapper */
	start_ns = clock_now_ns();
	must(swap_store_read(rig->worker, 0, back, SWAP_BLOCK_BYTES), name);
	note(name, start_ns);
}

static void raw_round(int fd)
{
	raw_transfer("raw_write_2m", fd, raw, SWAP_BLOCK_BYTES, true);
	raw_transfer("raw_read_2m", fd, raw, SWAP_BLOCK_BYTES, false);
	raw_transfer("raw_write_2m_small_pages", fd, raw_small, SWAP_BLOCK_BYTES, true);
	raw_transfer("raw_read_2m_small_pages", fd, raw_small, SWAP_BLOCK_BYTES, false);
	raw_transfer("raw_write_64k", fd, raw, SMALL_BYTES, true);
	raw_transfer("raw_read_64k", fd, raw, SMALL_BYTES, false);
}

static void cpu_round(void)
{
	uint64_t start_ns = clock_now_ns();
	struct swap_payload payload;

	memcpy(back, noise, SWAP_BLOCK_BYTES);
	note("memcpy_2m", start_ns);
	start_ns = clock_now_ns();
	payload = swap_pack_gather(noise, SWAP_BLOCK_PAGES, live, back);
	note("gather_2m", start_ns);
	must(!payload.dense, "gather");
}

/* Finding room and giving it back, without the disk: in an empty file of 16 GiB, and where every group
 * that is asked is 256 single pages with a hole after each. */
static void place_round(void)
{
	enum { ROOMY_GROUPS = 8192, SCATTERED_GROUPS = 2, TIMES = 64 };
	struct swap_extents roomy, scattered;
	uint64_t blocks = SCATTERED_GROUPS * SWAP_GROUP_PAGES, start_ns;

	must(swap_extents_init(&roomy, ROOMY_GROUPS, ROOMY_GROUPS), "roomy");
	must(swap_extents_init(&scattered, SCATTERED_GROUPS, blocks + 1), "scattered");
	for (uint64_t block = 0; block < blocks; block++)
		must(swap_extents_take(&scattered, block, 1), "scatter");
	for (uint64_t block = 0; block < blocks; block += 2)
		swap_extents_give(&scattered, block);
	start_ns = clock_now_ns();
	for (int i = 0; i < TIMES; i++) {
		must(swap_extents_take(&roomy, 0, SWAP_BLOCK_PAGES), "place");
		swap_extents_give(&roomy, 0);
	}
	note("place_64_whole_blocks", start_ns);
	start_ns = clock_now_ns();
	for (int i = 0; i < TIMES; i++) {
		must(swap_extents_take(&scattered, blocks, 4), "place in pieces");
		swap_extents_give(&scattered, blocks);
	}
	note("place_64_in_scattered_pages", start_ns);
	swap_extents_fini(&roomy);
	swap_extents_fini(&scattered);
}

static void cipher_round(struct swap_cipher *cipher)
{
	const struct swap_seal seal = { .generation = (uint64_t)round_number + 1 };
	uint8_t tag[SWAP_TAG_BYTES];
	uint64_t start_ns = clock_now_ns();

	must(swap_cipher_seal(cipher, &seal, back, SWAP_BLOCK_BYTES, tag), "seal");
	note("cipher_seal_2m", start_ns);
	start_ns = clock_now_ns();
	must(swap_cipher_open(cipher, &seal, back, SWAP_BLOCK_BYTES, tag, back), "open");
	note("cipher_open_2m", start_ns);
}

static void encrypted_round(struct rig *rig)
{
	store_write("write_noise_encrypted", rig, noise, live);
	store_read("read_noise_encrypted", rig);
	store_write("write_text_encrypted", rig, text, live);
	store_read("read_text_encrypted", rig);
	store_write("write_three_pages_encrypted", rig, noise, three_live);
	store_read("read_three_pages_encrypted", rig);
	store_write("write_zeros", rig, zeros, live);
}

static void plain_round(struct rig *rig)
{
	store_write("write_noise_plain", rig, noise, live);
	store_read("read_noise_plain", rig);
}

static struct swap_cipher *open_cipher(void)
{
	uint8_t key[SWAP_KEY_BYTES] = { 1 };
	struct locked_area memory;
	struct swap_cipher *cipher;
	struct err err = { 0 };

	if (locked_map_key(SWAP_CIPHER_BYTES, &memory, &err) ||
	    swap_cipher_create(key, true, memory.base, &cipher, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	return cipher;
}

/* So that no figure is of the first write to room that was only set aside. */
static void touch_file(struct rig *rig)
{
	for (uint64_t block = 0; block < BLOCKS; block++)
		must(swap_store_write(rig->worker, block, noise, SWAP_BLOCK_BYTES, live), "touch");
	for (uint64_t block = 0; block < BLOCKS; block++)
		swap_store_drop(rig->store, block);
}

static void bench_open(void)
{
	uint64_t start_ns = clock_now_ns();
	struct rig rig = open_rig(true, true);

	printf("swap_open_store_and_worker %.1f us\n",
	       (double)(clock_now_ns() - start_ns) / (double)NS_PER_US);
	close_rig(&rig);
}

int main(void)
{
	struct rig encrypted, plain;
	struct swap_cipher *cipher;

	swapdir_need();
	bench_open();
	make_buffers();
	encrypted = open_rig(true, true);
	plain = open_rig(false, true);
	cipher = open_cipher();
	touch_file(&encrypted);
	touch_file(&plain);
	for (round_number = 0; round_number < WARM_UP + ROUNDS; round_number++) {
		raw_round(swap_store_fd(encrypted.store));
		cpu_round();
		place_round();
		cipher_round(cipher);
		encrypted_round(&encrypted);
		plain_round(&plain);
	}
	say_figures();
	close_rig(&encrypted);
	close_rig(&plain);
	return 0;
}
