/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* doctor_checks.c - one function per line of `neap doctor`. They read, and change nothing.
 *
 * Sources: hugetlbpage.rst, getrlimit(2); for userfaultfd memory/rights.c.
 */
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "cli/daemon.h"
#include "cli/output.h"
#include "kvm/kvm.h"
#include "memory/hostmem.h"
#include "memory/rights.h"
#include "memory/swap_store.h"
#include "rpc/rpc.h"

enum { NOFILE_ENOUGH = 1024, SMALL_TEXT_BYTES = 256, DAEMON_LOOK_MS = 1000 };

#define RING0_NATIVE_PER_S UINT64_C(50000000)
#define MILLION		   UINT64_C(1000000) /* units: instructions */
/* Where people have a disk, and may write. */
#define SWAP_DIR "/var/tmp"
/* What `neap run` takes when nothing is said: 512 MiB. */
#define USUAL_GUEST_BYTES (UINT64_C(512) * MIB_BYTES)

static void say(struct doctor_finding *finding, enum doctor_verdict verdict, const char *advice,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void say(struct doctor_finding *finding, enum doctor_verdict verdict, const char *advice,
		const char *fmt, ...)
{
	va_list args;

	finding->verdict = verdict;
	va_start(args, fmt);
	(void)vsnprintf(finding->found, sizeof(finding->found), fmt, args);
	va_end(args);
	(void)snprintf(finding->advice, sizeof(finding->advice), "%s", advice);
}

/* The number behind "Key:" in a file of such lines, such as /proc/meminfo. */
static bool read_field(const char *path, const char *key, int base, uint64_t *ret_value)
{
	char line[SMALL_TEXT_BYTES];
	FILE *file = fopen(path, "re");
	size_t len = strlen(key);
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		found = strncmp(line, key, len) == 0 && line[len] == ':';
		if (found)
			*ret_value = strtoull(line + len + 1, NULL, base);
	}
	if (file)
		(void)fclose(file);
	return found;
}

static void check_kernel(struct doctor_finding *finding)
{
	unsigned long major, minor;
	struct utsname name;
	char *end;

	finding->what = "Linux";
	(void)uname(&name);
	major = strtoul(name.release, &end, 10);
	minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	if (major < 6 || (major == 6 && minor < 1))
		say(finding, DOCTOR_WARN, "Use Linux 6.1 or later; earlier ones are not tested.",
		    "%s", name.release);
	else
		say(finding, DOCTOR_OK, "", "%s, %ld CPUs", name.release,
		    sysconf(_SC_NPROCESSORS_ONLN));
}

static void check_modules(struct doctor_finding *finding)
{
	static const char *const modules[] = { "kvm", "kvm_intel", "kvm_amd", "kvm_pvm" };
	char path[SMALL_TEXT_BYTES], list[SMALL_TEXT_BYTES] = "";

	finding->what = "KVM module";
	for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
		size_t len = strlen(list);

		(void)snprintf(path, sizeof(path), "/sys/module/%s", modules[i]);
		if (access(path, F_OK) == 0)
			(void)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
				       modules[i]);
	}
	if (*list)
		say(finding, DOCTOR_OK, "", "%s", list);
	else
		say(finding, DOCTOR_WARN,
		    "As root: modprobe kvm_intel, or kvm_amd; if that fails, switch virtualisation "
		    "on in the firmware, or ask the cloud for nested virtualisation.",
		    "none is loaded");
}

static void check_kvm(struct doctor_finding *finding, struct kvm *ret_kvm)
{
	struct err err = { 0 };

	finding->what = "/dev/kvm";
	if (kvm_open(ret_kvm, &err) < 0) {
		ret_kvm->fd = -1;
		say(finding, DOCTOR_MISSING, err.text, "cannot be used");
		return;
	}
	say(finding, DOCTOR_OK, "", "API 12, %s, up to %u vCPUs in a VM", kvm_kind_name(kvm_kind()),
	    ret_kvm->max_vcpus);
}

static void check_ring0(struct doctor_finding *finding, struct kvm *kvm)
{
	struct err err = { 0 };
	uint64_t per_s;

	finding->what = "guest ring 0";
	if (kvm->fd < 0)
		say(finding, DOCTOR_WARN, "Make /dev/kvm usable first.",
		    "not measured without /dev/kvm");
	else if (kvm_measure_ring0(kvm, &per_s, &err) < 0)
		say(finding, DOCTOR_WARN, err.text, "could not be measured");
	else if (per_s < RING0_NATIVE_PER_S)
		say(finding, DOCTOR_WARN,
		    "Ring 3 runs at full speed here and ring 0 is emulated: the embedded guest "
		    "works with real timings, and stock kernels crawl. For those, use a machine "
		    "with VT-x or AMD-V.",
		    "%" PRIu64 ".%" PRIu64 " million instructions/s: emulated", per_s / MILLION,
		    per_s / (MILLION / 10) % 10);
	else
		say(finding, DOCTOR_OK, "", "%" PRIu64 " million instructions/s: native",
		    per_s / MILLION);
}

static void check_pool(struct doctor_finding *finding)
{
	char total[UNITS_TEXT_BYTES], available[UNITS_TEXT_BYTES], advice[ERR_TEXT_BYTES];
	struct hostmem_pool pool;
	struct err err = { 0 };
	uint64_t usable_bytes;

	finding->what = "2 MiB pages";
	if (hostmem_read_pool(HUGE_FRAME_BYTES, &pool, &err) < 0) {
		say(finding, DOCTOR_WARN, "Guests run on 4 KiB pages only: neap run --pages 4K",
		    "%s", err.text);
		return;
	}
	usable_bytes = hostmem_available_frames(&pool) * HUGE_FRAME_BYTES;
	advice[0] = '\0';
	if (usable_bytes < USUAL_GUEST_BYTES) {
		(void)hostmem_say_short(&pool, USUAL_GUEST_BYTES / HUGE_FRAME_BYTES, &err);
		(void)snprintf(advice, sizeof(advice),
			       "For a guest of 512 MiB: %.300s. Or run on 4 KiB pages: neap run "
			       "--pages 4K",
			       err.text);
	}
	say(finding, *advice ? DOCTOR_WARN : DOCTOR_OK, advice, "%s usable, %s in the pool",
	    units_format_size(usable_bytes, available),
	    units_format_size(pool.total_frames * HUGE_FRAME_BYTES, total));
}

static void check_mounts(struct doctor_finding *finding)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char list[SMALL_TEXT_BYTES] = "";
	struct mntent *mount;

	finding->what = "hugetlbfs";
	while (mounts && (mount = getmntent(mounts))) {
		size_t len = strlen(list);

		if (strcmp(mount->mnt_type, "hugetlbfs") == 0)
			(void)snprintf(list + len, sizeof(list) - len, "%s%.64s", len ? ", " : "",
				       mount->mnt_dir);
	}
	if (mounts)
		(void)endmntent(mounts);
	say(finding, DOCTOR_OK, "", "%s", *list ? list : "not mounted (not needed)");
}

/* As neap opens it. */
static void check_userfaultfd(struct doctor_finding *finding)
{
	struct userfaultfd_rights rights;
	char advice[ERR_TEXT_BYTES];

	finding->what = "userfaultfd";
	rights_check_userfaultfd(&rights);
	if (rights.allowed) {
		say(finding, DOCTOR_OK, "", "allowed by %s", rights.how);
		return;
	}
	(void)snprintf(
		advice, sizeof(advice),
		"Without it guests on 2 MiB pages take all their memory at start, and nothing "
		"can be swapped, sampled or prepared ahead. To mend it: %s",
		rights.mend);
	say(finding, DOCTOR_WARN, advice, "%s", rights.missing);
}

enum { SWAP_WORKERS = 2 };

/* All that a VM would take, with the smallest file. */
static int try_swap(struct err *err)
{
	const struct swap_config config = { .dir = SWAP_DIR,
					    .size_bytes = HUGE_FRAME_BYTES,
					    .block_count = 1,
					    .encrypt = true,
					    .compress = true };
	struct swap_worker *workers[SWAP_WORKERS] = { NULL };
	struct swap_store *store = NULL;
	int ret = swap_store_open(&config, &store, err);

	for (unsigned i = 0; i < SWAP_WORKERS && ret == 0; i++)
		ret = swap_worker_open(store, &workers[i], err);
	for (unsigned i = 0; i < SWAP_WORKERS; i++)
		swap_worker_close(workers[i]);
	swap_store_close(store);
	return ret;
}

static void check_swap(struct doctor_finding *finding)
{
	struct userfaultfd_rights rights;
	char free_text[UNITS_TEXT_BYTES];
	struct err err = { 0 };
	struct statvfs fs;

	finding->what = "swap";
	rights_check_userfaultfd(&rights);
	if (!rights.allowed)
		say(finding, DOCTOR_WARN, "See userfaultfd.", "impossible without userfaultfd");
	else if (try_swap(&err) < 0 || statvfs(SWAP_DIR, &fs) < 0)
		say(finding, DOCTOR_WARN, err.text, "cannot be in " SWAP_DIR);
	else
		say(finding, DOCTOR_OK, "",
		    "can be in " SWAP_DIR ", with %s free (neap run --swap DIR)",
		    units_format_size(fs.f_bavail * fs.f_frsize, free_text));
}

static void check_limits(struct doctor_finding *finding)
{
	char locked_text[UNITS_TEXT_BYTES] = "no limit";
	struct rlimit files = { 0 }, locked = { 0 };

	finding->what = "limits";
	(void)getrlimit(RLIMIT_NOFILE, &files);
	(void)getrlimit(RLIMIT_MEMLOCK, &locked);
	if (locked.rlim_cur != RLIM_INFINITY)
		(void)units_format_size(locked.rlim_cur, locked_text);
	if (files.rlim_cur < NOFILE_ENOUGH)
		say(finding, DOCTOR_WARN, "Raise it: ulimit -n 1024",
		    "%" PRIu64 " open files: too few for many vCPUs and devices",
		    (uint64_t)files.rlim_cur);
	else
		say(finding, DOCTOR_OK, "", "%" PRIu64 " open files, locked memory %s",
		    (uint64_t)files.rlim_cur, locked_text);
}

static void check_memory(struct doctor_finding *finding)
{
	char total_text[UNITS_TEXT_BYTES], available_text[UNITS_TEXT_BYTES];
	uint64_t total_kib = 0, available_kib = 0;

	finding->what = "memory";
	(void)read_field("/proc/meminfo", "MemTotal", 10, &total_kib);
	(void)read_field("/proc/meminfo", "MemAvailable", 10, &available_kib);
	say(finding, available_kib * KIB_BYTES < USUAL_GUEST_BYTES ? DOCTOR_WARN : DOCTOR_OK,
	    available_kib * KIB_BYTES < USUAL_GUEST_BYTES ? "Too little for a guest of 512 MiB."
							  : "",
	    "%s available of %s", units_format_size(available_kib * KIB_BYTES, available_text),
	    units_format_size(total_kib * KIB_BYTES, total_text));
}

static void check_sockets(struct doctor_finding *finding)
{
	char path[RPC_PATH_BYTES];
	struct err err = { 0 };

	finding->what = "control sockets";
	if (rpc_runtime_dir(path, sizeof(path), &err) < 0)
		say(finding, DOCTOR_MISSING, err.text, "have no directory");
	else
		say(finding, DOCTOR_OK, "", "in %s", path);
}

/* The host's daemon, which nobody needs. */
static void ask_daemon(struct doctor_finding *finding, struct rpc_client *client, const char *path)
{
	json_t *info = NULL;

	if (daemon_ask(client, "host.info", NULL, DAEMON_LOOK_MS, &info, NULL) == 0)
		say(finding, DOCTOR_OK, "", "version %s answers at %s",
		    out_text(info, "neap_version"), path);
	else
		say(finding, DOCTOR_WARN,
		    "It may be stopped or overloaded; its log says more. VMs go on without it, and "
		    "--host none speaks to them.",
		    "does not answer at %s", path);
	json_decref(info);
}

static void check_daemon(struct doctor_finding *finding)
{
	char path[RPC_PATH_BYTES] = "";
	struct rpc_client *client;
	bool is_named, is_wanted = daemon_socket(NULL, path, &is_named);
	int ret = -ENOENT;

	finding->what = "neapd";
	if (is_wanted)
		ret = rpc_client_open(path, &client, NULL);
	if (ret == 0) {
		ask_daemon(finding, client, path);
		rpc_client_close(client);
	} else if (!is_wanted || (ret == -ENOENT && !is_named)) {
		say(finding, DOCTOR_OK, "", "does not run: every VM is by itself");
	} else {
		say(finding, DOCTOR_WARN,
		    is_named ? "NEAP_HOST_SOCKET names that socket: start neapd there, or unset it."
			     : "Start neapd again; until then commands speak to single VMs.",
		    "nobody answers at %s: %s", path, strerror(-ret));
	}
}

unsigned doctor_look(struct doctor_finding ret_findings[DOCTOR_FINDINGS_MAX])
{
	static void (*const checks[])(struct doctor_finding *) = {
		check_pool,   check_mounts, check_userfaultfd, check_swap,
		check_limits, check_memory, check_sockets,     check_daemon,
	};
	struct kvm kvm = { .fd = -1 };
	unsigned count = 0;

	check_kernel(&ret_findings[count++]);
	check_modules(&ret_findings[count++]);
	check_kvm(&ret_findings[count++], &kvm);
	check_ring0(&ret_findings[count++], &kvm);
	if (kvm.fd >= 0)
		kvm_close(&kvm);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		checks[i](&ret_findings[count++]);
	return count;
}
