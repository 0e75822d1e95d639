/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* replay_main.c - run a fuzz target over files, without libFuzzer: fuzz-replay-NAME PATH...
 *
 * A path is an input, or a directory of inputs (a corpus). Every input is also run cut short at
 * a few places, since a cut is the cheapest hostile input there is. No inputs at all is a failure:
 * a corpus that nobody finds tests nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLAY_MAX_BYTES = 1 << 24, REPLAY_PATH_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Optional in a target, as with libFuzzer. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static unsigned inputs;

/* A copy of exactly @size bytes, so that a sanitizer or valgrind sees a read past its end. */
static void run_exactly(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int run_file(const char *path)
{
	uint8_t *data = malloc(REPLAY_MAX_BYTES);
	FILE *file = fopen(path, "re");
	size_t size;

	if (!data || !file) {
		fprintf(stderr, "replay: cannot read %s\n", path);
		free(data);
		return 1;
	}
	size = fread(data, 1, REPLAY_MAX_BYTES, file);
	(void)fclose(file);
	run_exactly(data, size);
	for (size_t cut = 1; cut < size; cut = cut * 2 + 1)
		run_exactly(data, size - cut);
	run_exactly(data, 0);
	free(data);
	inputs++;
	return 0;
}

static int run_directory(DIR *dir, const char *path)
{
	char name[REPLAY_PATH_BYTES];
	struct dirent *entry;
	int failed = 0;

	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		failed |= run_file(name);
	}
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (LLVMFuzzerInitialize)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);

		failed |= dir ? run_directory(dir, argv[i]) : run_file(argv[i]);
		if (dir)
			(void)closedir(dir);
	}
	printf("replayed %u inputs\n", inputs);
	return failed || inputs == 0;
}
