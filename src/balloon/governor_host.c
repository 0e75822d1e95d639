/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* governor_host.c - see governor_host.h.
 *
 * Design. Whatever can run out is a gauge: how much there is, how much is free, and a state by the
 * marks of host_policy.h.
 *   on 2 MiB frames  the pool, or the hugetlbfs mount if it has a size= of its own; the hugetlb
 *                    limits of this process's cgroups
 *   on 4 KiB frames  the host's RAM (MemAvailable: page cache can be had); the memory limits of its
 *                    cgroups, where page cache that nobody has used lately counts as free
 * The state is that of the worst gauge, and what is free that of the tightest. Limits hold at every
 * level of the cgroup tree, so each level is a gauge. On 4 KiB frames the kernel also says how long
 * tasks wait for memory (PSI): that is a shortage, whatever is free. Guests on huge pages wait for
 * nothing that PSI sees, so it tells nothing about their pool.
 *
 * What a reading costs, after a second of sleep: 37 us for /proc/meminfo, 9 us for PSI, 6 us for any
 * other file. So a host with plenty of RAM is looked at every other tick.
 *
 * Limits. CGROUP_LEVELS levels; both versions of cgroups where systemd mounts them. Files are opened
 * once: a process that is moved to another cgroup later is still seen in the old one.
 *
 * Sources: Linux Documentation/admin-guide/cgroup-v2.rst "Memory Interface Files" and "HugeTLB
 * Interface Files"; cgroup-v1/memory.rst; accounting/psi.rst "Pressure interface".
 */
#include "balloon/governor_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "memory/hostmem.h"

enum { CGROUP_LEVELS = 8, PATH_BYTES = 512, FILE_BYTES = 4096, NUMBER_BYTES = 32 };

/* Shares of time in which some task waited for memory, and in which nobody did anything else, over the
 * last ten seconds. A host at a tenth is not one to grow on; and it is calm again at half of that. */
enum { PSI_PERMILLE = 100, PSI_CALM_PERMILLE = 50, PSI_FRESH_MS = 1900 /* the kernel's is 2 s */ };

/* One level of one controller. */
struct level {
	int limit_fd, usage_fd;
	int stat_fd; /* -1: nothing of the usage can be had back */
	enum host_state state;
};

struct governor_host {
	bool huge;
	const char *mount_dir;
	struct hostmem_reader pool; /* huge, without a mount */
	int meminfo_fd;
	int psi_fds[2]; /* the host's, its cgroup's */
	enum host_state main_state, psi_state;
	uint64_t psi_ns; /* when it was looked at; 0: never */
	unsigned level_count;
	struct level levels[CGROUP_LEVELS];

	uint64_t read_ns;  /* 0: never */
	uint64_t fresh_ns; /* for so long */
	bool known;
	enum host_state state;
	uint64_t free_bytes;
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

/* What the gauges said so far. */
struct sum {
	bool known;
	bool scarce; /* less than a quarter is free somewhere */
	enum host_state state;
	uint64_t free_bytes;
};

static void add_state(struct sum *sum, enum host_state state)
{
	if (state > sum->state)
		sum->state = state;
}

static void add_gauge(struct sum *sum, enum host_state *state, uint64_t total_bytes,
		      uint64_t free_bytes)
{
	struct host_marks marks = host_marks(total_bytes);

	*state = host_state_step(&marks, *state, free_bytes);
	add_state(sum, *state);
	sum->scarce |= free_bytes < total_bytes / 4;
	free_bytes = minus(free_bytes, marks.enter_bytes[HOST_SOFT]);
	if (!sum->known || free_bytes < sum->free_bytes)
		sum->free_bytes = free_bytes;
	sum->known = true;
}

static void add_pool(struct governor_host *host, struct sum *sum)
{
	struct hostmem_pool pool;
	uint64_t available, total;
	int result = host->mount_dir
			     ? hostmem_read_mount(host->mount_dir, HUGE_FRAME_BYTES, &pool, NULL)
			     : hostmem_reader_read(&host->pool, &pool, NULL);

	if (result < 0)
		return;
	available = hostmem_available_frames(&pool);
	total = pool.total_frames + minus(pool.overcommit_frames, pool.surplus_frames);
	add_gauge(sum, &host->main_state, total * pool.frame_bytes, available * pool.frame_bytes);
}

static void add_host_ram(struct governor_host *host, struct sum *sum)
{
	uint64_t total_kib, available_kib;
	char text[NUMBER_BYTES * 4]; /* MemTotal, MemFree, MemAvailable: the first three lines */

	if (read_text(host->meminfo_fd, text, sizeof(text)) &&
	    find_number(text, "MemTotal:", &total_kib) &&
	    find_number(text, "MemAvailable:", &available_kib))
		add_gauge(sum, &host->main_state, total_kib * KIB_BYTES, available_kib * KIB_BYTES);
}

static void add_level(struct level *level, struct sum *sum)
{
	uint64_t limit_bytes = read_number(level->limit_fd);
	uint64_t usage_bytes, cache_bytes = 0;
	char text[FILE_BYTES];

	/* Version 1 says "no limit" by a number that no machine has. */
	if (limit_bytes >= (uint64_t)INT64_MAX - HUGE_FRAME_BYTES)
		return;
	usage_bytes = read_number(level->usage_fd);
	if (usage_bytes == UINT64_MAX)
		return;
	if (read_text(level->stat_fd, text, sizeof(text)) &&
	    !find_number(text, "total_inactive_file ", &cache_bytes))
		(void)find_number(text, "inactive_file ", &cache_bytes);
	add_gauge(sum, &level->state, limit_bytes,
		  minus(limit_bytes, minus(usage_bytes, cache_bytes)));
}

/* avg10 of the line that begins with @word, in permille: "some avg10=1.53 avg60=..." */
static unsigned psi_permille(const char *text, const char *word)
{
	const char *line = strstr(text, word);
	const char *value = line ? strstr(line, "avg10=") : NULL;

	return value ? (unsigned)(strtod(value + strlen("avg10="), NULL) * 10) : 0;
}

static enum host_state psi_state_of(unsigned some_permille, unsigned full_permille,
				    unsigned bound_permille)
{
	if (full_permille >= bound_permille)
		return HOST_HARD;
	return some_permille >= bound_permille ? HOST_SOFT : HOST_CLEAR;
}

static void look_at_psi(struct governor_host *host)
{
	unsigned some = 0, full = 0;
	char text[FILE_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(host->psi_fds); i++) {
		unsigned here;

		if (!read_text(host->psi_fds[i], text, sizeof(text)))
			continue;
		here = psi_permille(text, "some ");
		some = here > some ? here : some;
		here = psi_permille(text, "full ");
		full = here > full ? here : full;
	}
	enum host_state entered = psi_state_of(some, full, PSI_PERMILLE);
	enum host_state kept = psi_state_of(some, full, PSI_CALM_PERMILLE);

	if (entered > host->psi_state)
		host->psi_state = entered;
	else if (kept < host->psi_state)
		host->psi_state = kept;
}

static void add_psi(struct governor_host *host, struct sum *sum, uint64_t now_ns)
{
	if (host->psi_ns == 0 || now_ns - host->psi_ns >= PSI_FRESH_MS * NS_PER_MS) {
		look_at_psi(host);
		host->psi_ns = now_ns;
	}
	add_state(sum, host->psi_state);
}

bool governor_host_read(struct governor_host *host, uint64_t now_ns, enum host_state *ret_state,
			uint64_t *ret_free_bytes)
{
	struct sum sum = { 0 };

	if (host->read_ns == 0 || now_ns - host->read_ns >= host->fresh_ns) {
		if (host->huge)
			add_pool(host, &sum);
		else
			add_host_ram(host, &sum);
		for (unsigned i = 0; i < host->level_count; i++)
			add_level(&host->levels[i], &sum);
		if (!host->huge)
			add_psi(host, &sum, now_ns);
		host->read_ns = now_ns;
		host->fresh_ns =
			(host->huge || sum.scarce ? HOST_FRESH_MS : HOST_PLENTY_MS) * NS_PER_MS;
		host->known = sum.known;
		host->state = sum.state;
		host->free_bytes = sum.free_bytes;
	}
	*ret_state = host->state;
	*ret_free_bytes = host->free_bytes;
	return host->known;
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

static void open_level(struct governor_host *host, const struct controller *controller,
		       const char *dir)
{
	struct level level = { .limit_fd = open_at(dir, controller->limit),
			       .usage_fd = open_at(dir, controller->usage),
			       .stat_fd = -1 };

	if (level.limit_fd < 0 || level.usage_fd < 0) {
		close_fd(&level.limit_fd);
		close_fd(&level.usage_fd);
		return;
	}
	if (controller->stat)
		level.stat_fd = open_at(dir, controller->stat);
	if (controller->psi && host->psi_fds[1] < 0)
		host->psi_fds[1] = open_at(dir, controller->psi);
	host->levels[host->level_count++] = level;
}

/* The cgroup @untrusted_path and all above it. */
static void open_levels(struct governor_host *host, const struct controller *controller,
			const char *root, const char *untrusted_path)
{
	char dir[PATH_BYTES];
	size_t mount_len;
	char *slash;
	int len = snprintf(dir, sizeof(dir), "%s%s%s", root, controller->mount, untrusted_path);

	if (len < 0 || (size_t)len >= sizeof(dir))
		return;
	mount_len = strlen(root) + strlen(controller->mount);
	while (host->level_count < CGROUP_LEVELS) {
		open_level(host, controller, dir);
		slash = strrchr(dir, '/');
		if (!slash || (size_t)(slash - dir) < mount_len || dir[mount_len] == '\0')
			return;
		*slash = '\0';
	}
}

/* Lines of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH. */
static void open_cgroups(struct governor_host *host, const char *root)
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
			if (strcmp(name + 1, controllers[host->huge][i].name) == 0)
				open_levels(host, &controllers[host->huge][i], root, path);
	}
}

int governor_host_create(const struct governor_host_config *config, struct governor_host **ret_host,
			 struct err *err)
{
	struct governor_host *host = calloc(1, sizeof(*host));
	struct hostmem_pool ignored;

	if (!host)
		return err_set(err, -ENOMEM, "governor: out of memory");
	host->huge = config->frame_bytes == HUGE_FRAME_BYTES;
	host->meminfo_fd = host->psi_fds[0] = host->psi_fds[1] = -1;
	for (size_t i = 0; i < HOSTMEM_POOL_FILES; i++)
		host->pool.fds[i] = -1;
	if (!host->huge) {
		host->meminfo_fd = open_at(config->root, "proc/meminfo");
		host->psi_fds[0] = open_at(config->root, "proc/pressure/memory");
	} else if (config->hugetlbfs_dir &&
		   hostmem_read_mount(config->hugetlbfs_dir, HUGE_FRAME_BYTES, &ignored, NULL) ==
			   0 &&
		   ignored.mount_dir) {
		host->mount_dir = config->hugetlbfs_dir;
	} else {
		(void)hostmem_reader_open(HUGE_FRAME_BYTES, &host->pool, NULL);
	}
	open_cgroups(host, config->root);
	*ret_host = host;
	return 0;
}

void governor_host_destroy(struct governor_host *host)
{
	if (!host)
		return;
	hostmem_reader_close(&host->pool);
	close_fd(&host->meminfo_fd);
	close_fd(&host->psi_fds[0]);
	close_fd(&host->psi_fds[1]);
	for (unsigned i = 0; i < host->level_count; i++) {
		close_fd(&host->levels[i].limit_fd);
		close_fd(&host->levels[i].usage_fd);
		close_fd(&host->levels[i].stat_fd);
	}
	free(host);
}
