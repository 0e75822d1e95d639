/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* gauges.c - see gauges.h.
 *
 *   on 2 MiB frames  the pool, or the hugetlbfs mount if it has a size= of its own; the hugetlb
 *                    limits of this process's cgroups
 *   on 4 KiB frames  the host's RAM (MemAvailable: page cache can be had); the memory limits of its
 *                    cgroups, where page cache that nobody has used lately counts as free
 * Limits hold at every level of the cgroup tree, so each level is a gauge.
 *
 * What a reading costs, after a second of sleep: 37 us for /proc/meminfo, 9 us for PSI, 6 us for any
 * other file.
 *
 * Limits. CGROUP_LEVELS levels; both versions of cgroups where systemd mounts them. Files are opened
 * once: a process that is moved to another cgroup later is still seen in the old one.
 *
 * Sources: Linux Documentation/admin-guide/cgroup-v2.rst "Memory Interface Files" and "HugeTLB
 * Interface Files"; cgroup-v1/memory.rst; accounting/psi.rst "Pressure interface".
 */
#include "memory/gauges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "memory/hostmem.h"

enum { CGROUP_LEVELS = GAUGES_MOST - 1, PATH_BYTES = 512, FILE_BYTES = 4096, NUMBER_BYTES = 32 };

/* One level of one controller. */
struct level {
	int limit_fd, usage_fd;
	int stat_fd; /* -1: nothing of the usage can be had back */
};

struct gauges {
	bool huge;
	const char *mount_dir;
	struct hostmem_reader pool; /* huge, without a mount */
	int meminfo_fd;
	int psi_fds[2]; /* the host's, its cgroup's */
	unsigned level_count;
	struct level levels[CGROUP_LEVELS];
};

static uint64_t minus(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

/* ---- Files ---- */

/* The start of a small file as text; false: it cannot be read now. */
static bool read_text(int fd, char *text, size_t text_bytes)
{
	ssize_t got = fd < 0 ? -1 : pread(fd, text, text_bytes - 1, 0);

	if (got <= 0)
		return false;
	text[got] = '\0';
	return true;
}

/* A number alone in its file; "max" and what is no number is UINT64_MAX. */
static uint64_t read_number(int fd)
{
	char text[NUMBER_BYTES], *end;
	unsigned long long number;

	if (!read_text(fd, text, sizeof(text)))
		return UINT64_MAX;
	number = strtoull(text, &end, 10);
	return end == text ? UINT64_MAX : number;
}

/* The number after @word, which begins a line. */
static bool find_number(const char *text, const char *word, uint64_t *ret_number)
{
	size_t len = strlen(word);

	while (text) {
		if (strncmp(text, word, len) == 0) {
			*ret_number = strtoull(text + len, NULL, 10);
			return true;
		}
		text = strchr(text, '\n');
		text += text != NULL;
	}
	return false;
}

/* ---- Gauges ---- */

static bool read_pool(const struct gauges *gauges, struct gauge *ret_gauge)
{
	struct hostmem_pool pool;
	int result = gauges->mount_dir
			     ? hostmem_read_mount(gauges->mount_dir, HUGE_FRAME_BYTES, &pool, NULL)
			     : hostmem_reader_read(&gauges->pool, &pool, NULL);
	uint64_t total;

	if (result < 0)
		return false;
	total = pool.total_frames + minus(pool.overcommit_frames, pool.surplus_frames);
	ret_gauge->total_bytes = total * pool.frame_bytes;
	ret_gauge->free_bytes = hostmem_available_frames(&pool) * pool.frame_bytes;
	return true;
}

static bool read_ram(const struct gauges *gauges, struct gauge *ret_gauge)
{
	char text[NUMBER_BYTES * 4]; /* MemTotal, MemFree, MemAvailable: the first three lines */
	uint64_t total_kib, available_kib;

	if (!read_text(gauges->meminfo_fd, text, sizeof(text)) ||
	    !find_number(text, "MemTotal:", &total_kib) ||
	    !find_number(text, "MemAvailable:", &available_kib))
		return false;
	ret_gauge->total_bytes = total_kib * KIB_BYTES;
	ret_gauge->free_bytes = available_kib * KIB_BYTES;
	return true;
}

static bool read_level(const struct level *level, struct gauge *ret_gauge)
{
	uint64_t limit_bytes = read_number(level->limit_fd);
	uint64_t usage_bytes, cache_bytes = 0;
	char text[FILE_BYTES];

	/* Version 1 says "no limit" by a number that no machine has. */
	if (limit_bytes >= (uint64_t)INT64_MAX - HUGE_FRAME_BYTES)
		return false;
	usage_bytes = read_number(level->usage_fd);
	if (usage_bytes == UINT64_MAX)
		return false;
	if (read_text(level->stat_fd, text, sizeof(text)) &&
	    !find_number(text, "total_inactive_file ", &cache_bytes))
		(void)find_number(text, "inactive_file ", &cache_bytes);
	ret_gauge->total_bytes = limit_bytes;
	ret_gauge->free_bytes = minus(limit_bytes, minus(usage_bytes, cache_bytes));
	return true;
}

unsigned gauges_count(const struct gauges *gauges)
{
	return 1 + gauges->level_count;
}

bool gauges_read(const struct gauges *gauges, unsigned index, struct gauge *ret_gauge)
{
	if (index > 0)
		return read_level(&gauges->levels[index - 1], ret_gauge);
	return gauges->huge ? read_pool(gauges, ret_gauge) : read_ram(gauges, ret_gauge);
}

/* avg10 of the line that begins with @word, in permille: "some avg10=1.53 avg60=..." */
static unsigned psi_permille(const char *text, const char *word)
{
	const char *line = strstr(text, word);
	const char *value = line ? strstr(line, "avg10=") : NULL;

	return value ? (unsigned)(strtod(value + strlen("avg10="), NULL) * 10) : 0;
}

void gauges_read_pressure(const struct gauges *gauges, unsigned *ret_some_permille,
			  unsigned *ret_full_permille)
{
	unsigned some = 0, full = 0;
	char text[FILE_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(gauges->psi_fds); i++) {
		unsigned here;

		if (!read_text(gauges->psi_fds[i], text, sizeof(text)))
			continue;
		here = psi_permille(text, "some ");
		some = here > some ? here : some;
		here = psi_permille(text, "full ");
		full = here > full ? here : full;
	}
	*ret_some_permille = some;
	*ret_full_permille = full;
}

/* ---- Opening ---- */

static int open_at(const char *dir, const char *file)
{
	char path[PATH_BYTES * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Names of a controller's files in one version of cgroups. */
struct controller {
	const char *name; /* as /proc/self/cgroup has it: "" is version 2 */
	const char *mount;
	const char *limit, *usage, *stat, *psi;
};
static const struct controller controllers[2][3] = {
	[false] = { { "", "/sys/fs/cgroup", "memory.max", "memory.current", "memory.stat",
		      "memory.pressure" },
		    { "", "/sys/fs/cgroup/unified", "memory.max", "memory.current", "memory.stat",
		      "memory.pressure" },
		    { "memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes",
		      "memory.usage_in_bytes", "memory.stat", NULL } },
	[true] = { { "", "/sys/fs/cgroup", "hugetlb.2MB.max", "hugetlb.2MB.current", NULL, NULL },
		   { "", "/sys/fs/cgroup/unified", "hugetlb.2MB.max", "hugetlb.2MB.current", NULL,
		     NULL },
		   { "hugetlb", "/sys/fs/cgroup/hugetlb", "hugetlb.2MB.limit_in_bytes",
		     "hugetlb.2MB.usage_in_bytes", NULL, NULL } },
};

static void open_level(struct gauges *gauges, const struct controller *controller, const char *dir)
{
	struct level level = { .limit_fd = open_at(dir, controller->limit), .stat_fd = -1 };

	if (level.limit_fd < 0)
		return;
	level.usage_fd = open_at(dir, controller->usage);
	if (level.usage_fd < 0) {
		close_fd(&level.limit_fd);
		return;
	}
	if (controller->stat)
		level.stat_fd = open_at(dir, controller->stat);
	if (controller->psi && gauges->psi_fds[1] < 0)
		gauges->psi_fds[1] = open_at(dir, controller->psi);
	gauges->levels[gauges->level_count++] = level;
}

/* The cgroup @untrusted_path and all above it. */
static void open_levels(struct gauges *gauges, const struct controller *controller,
			const char *root, const char *untrusted_path)
{
	char dir[PATH_BYTES];
	size_t mount_len;
	char *slash;
	int len = snprintf(dir, sizeof(dir), "%s%s%s", root, controller->mount, untrusted_path);

	if (len < 0 || (size_t)len >= sizeof(dir))
		return;
	mount_len = strlen(root) + strlen(controller->mount);
	while (gauges->level_count < CGROUP_LEVELS) {
		open_level(gauges, controller, dir);
		slash = strrchr(dir, '/');
		if (!slash || (size_t)(slash - dir) < mount_len || dir[mount_len] == '\0')
			return;
		*slash = '\0';
	}
}

/* Lines of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH. */
static void open_cgroups(struct gauges *gauges, const char *root)
{
	char text[FILE_BYTES], *rest = text, *line;
	CLEANUP(close_fd)
	int fd = open_at(root, "proc/self/cgroup");

	if (!read_text(fd, text, sizeof(text)))
		return;
	while ((line = strsep(&rest, "\n"))) {
		char *name = strchr(line, ':');
		char *path = name ? strchr(name + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		for (size_t i = 0; i < ARRAY_LEN(controllers[0]); i++)
			if (strcmp(name + 1, controllers[gauges->huge][i].name) == 0)
				open_levels(gauges, &controllers[gauges->huge][i], root, path);
	}
}

static bool is_limited_mount(const char *dir)
{
	struct hostmem_pool pool;

	return dir && hostmem_read_mount(dir, HUGE_FRAME_BYTES, &pool, NULL) == 0 && pool.mount_dir;
}

int gauges_open(const struct gauges_config *config, struct gauges **ret_gauges, struct err *err)
{
	struct gauges *gauges = calloc(1, sizeof(*gauges));

	if (!gauges)
		return err_set(err, -ENOMEM, "host's memory: out of memory");
	gauges->huge = config->frame_bytes == HUGE_FRAME_BYTES;
	gauges->meminfo_fd = gauges->psi_fds[0] = gauges->psi_fds[1] = -1;
	for (size_t i = 0; i < HOSTMEM_POOL_FILES; i++)
		gauges->pool.fds[i] = -1;
	if (!gauges->huge) {
		gauges->meminfo_fd = open_at(config->root, "proc/meminfo");
		gauges->psi_fds[0] = open_at(config->root, "proc/pressure/memory");
	} else if (is_limited_mount(config->hugetlbfs_dir)) {
		gauges->mount_dir = config->hugetlbfs_dir;
	} else {
		(void)hostmem_reader_open_at(config->root, HUGE_FRAME_BYTES, &gauges->pool, NULL);
	}
	open_cgroups(gauges, config->root);
	*ret_gauges = gauges;
	return 0;
}

void gauges_close(struct gauges *gauges)
{
	if (!gauges)
		return;
	hostmem_reader_close(&gauges->pool);
	close_fd(&gauges->meminfo_fd);
	close_fd(&gauges->psi_fds[0]);
	close_fd(&gauges->psi_fds[1]);
	for (unsigned i = 0; i < gauges->level_count; i++) {
		close_fd(&gauges->levels[i].limit_fd);
		close_fd(&gauges->levels[i].usage_fd);
		close_fd(&gauges->levels[i].stat_fd);
	}
	free(gauges);
}
