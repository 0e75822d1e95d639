/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* uffd.c - see uffd.h.
 *
 * Unmapping is madvise(DONTNEED): on a shared mapping it frees nothing, it drops the page table
 * entries and, through the kernel's notifier, KVM's. Always whole frames: Linux 5.18 to 6.0 could
 * drop data at an unaligned end.
 */
#include "memory/uffd.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "memory/ram_internal.h"

static uint64_t view_address(const struct ram *ram, uint64_t offset_bytes)
{
	return (uint64_t)(uintptr_t)ram->guest.base +
	       ram_layout_gpa(&ram->layout, offset_bytes).addr;
}

static uint64_t wanted_features(const struct ram *ram)
{
	return ram->layout.frame_bytes == HUGE_FRAME_BYTES
		       ? UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MINOR_HUGETLBFS
		       : UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
}

int uffd_register(const struct ram *ram, int uffd)
{
	struct uffdio_api api = { .api = UFFD_API, .features = wanted_features(ram) };

	if (ioctl(uffd, UFFDIO_API, &api) < 0)
		return -errno;
	for (unsigned i = 0; i < ram->layout.region_count; i++) {
		const struct ram_region *region = &ram->layout.regions[i];
		struct uffdio_register request = {
			.range = { .start = view_address(ram, region->offset_bytes),
				   .len = region->len_bytes },
			.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR,
		};

		if (ioctl(uffd, UFFDIO_REGISTER, &request) < 0)
			return -errno;
	}
	return 0;
}

/* Who found it mapped and who mapped it may be two; a sleeper must not be forgotten between them. */
static int wake(const struct ram *ram, uint64_t start, uint64_t len_bytes)
{
	struct uffdio_range range = { .start = start, .len = len_bytes };

	return ioctl(ram->uffd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

/* One attempt: how many bytes are mapped now, or a negative errno. */
static int64_t map_some(const struct ram *ram, uint64_t start, uint64_t len_bytes)
{
	struct uffdio_continue request = { .range = { .start = start, .len = len_bytes } };

	if (ioctl(ram->uffd, UFFDIO_CONTINUE, &request) == 0)
		return (int64_t)len_bytes;
	if (request.mapped > 0)
		return request.mapped;
	if (errno == EEXIST) {
		int result = wake(ram, start, ram->layout.frame_bytes);

		return result ? result : (int64_t)ram->layout.frame_bytes;
	}
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int uffd_map(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t start, done = 0;

	if (ram->uffd < 0)
		return 0;
	start = view_address(ram, offset_bytes);
	while (done < len_bytes) {
		uint64_t piece = ram_piece_bytes(ram, start + done, len_bytes - done);
		int64_t mapped = map_some(ram, start + done, piece);

		if (mapped < 0)
			return (int)mapped;
		done += (uint64_t)mapped;
	}
	return 0;
}

void uffd_wake(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	if (ram->uffd >= 0)
		(void)wake(ram, view_address(ram, offset_bytes), len_bytes);
}

int uffd_unmap(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	void *start = ram->guest.base + ram_layout_gpa(&ram->layout, offset_bytes).addr;

	return madvise(start, len_bytes, MADV_DONTNEED) < 0 ? -errno : 0;
}
