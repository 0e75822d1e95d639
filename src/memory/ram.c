/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ram.c - see ram.h; the design and its invariants are in ram_internal.h.
 *
 * Limits. A guest of 1 TiB costs two mappings of address space and a bitmap that is not charged
 * until it is used; nothing here grows with RAM otherwise.
 */
#include "memory/ram.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "memory/backing.h"
#include "memory/pager.h"
#include "memory/ram_internal.h"

enum { STAT_BLOCK_BYTES = 512 }; /* stat(2): st_blocks counts 512-byte units, always */

static void view_close(struct ram_view *view)
{
	if (view->mapping)
		(void)munmap(view->mapping, view->mapping_bytes);
	*view = (struct ram_view){ 0 };
}

/* Address space of no access: a guard frame, @len_bytes, a guard frame; base 2 MiB aligned, as
 * hugetlb and KVM's large pages want it. */
static int view_reserve(struct ram_view *view, uint64_t len_bytes)
{
	uint64_t mapping_bytes = len_bytes + 3 * HUGE_FRAME_BYTES;
	void *mapping = mmap(NULL, mapping_bytes, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t start = (uintptr_t)mapping;

	if (mapping == MAP_FAILED)
		return -errno;
	*view = (struct ram_view){ .mapping = mapping, .mapping_bytes = mapping_bytes };
	view->base = (uint8_t *)mapping + HUGE_FRAME_BYTES +
		     (HUGE_FRAME_BYTES - start % HUGE_FRAME_BYTES) % HUGE_FRAME_BYTES;
	return 0;
}

/* DONTDUMP: guest memory is no business of our core dumps. DONTFORK: a child of ours never needs
 * it, and copying page tables of a large guest is slow. */
static int view_map(struct ram_view *view, uint64_t at_bytes, uint64_t len_bytes, int fd,
		    uint64_t offset_bytes)
{
	void *at = view->base + at_bytes;

	if (mmap(at, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
		 (off_t)offset_bytes) == MAP_FAILED)
		return -errno;
	if (madvise(at, len_bytes, MADV_DONTDUMP) < 0 || madvise(at, len_bytes, MADV_DONTFORK) < 0)
		return -errno;
	return 0;
}

static int open_guest_view(struct ram *ram)
{
	const struct ram_layout *layout = &ram->layout;
	const struct ram_region *last = &layout->regions[layout->region_count - 1];
	int result = view_reserve(&ram->guest, last->start.addr + last->len_bytes);

	for (unsigned i = 0; i < layout->region_count && result == 0; i++)
		result = view_map(&ram->guest, layout->regions[i].start.addr,
				  layout->regions[i].len_bytes, ram->fd,
				  layout->regions[i].offset_bytes);
	return result;
}

static int open_host_view(struct ram *ram)
{
	int result = view_reserve(&ram->host, ram->layout.ram_bytes);

	return result ? result : view_map(&ram->host, 0, ram->layout.ram_bytes, ram->fd, 0);
}

static int open_views(struct ram *ram, struct err *err)
{
	char text[UNITS_TEXT_BYTES];
	int result = open_guest_view(ram);

	if (result == 0)
		result = open_host_view(ram);
	if (result == 0)
		result = known_init(&ram->known, ram->layout.ram_bytes >> ram->frame_shift);
	if (result) {
		errno = -result;
		return err_set(err, result, "guest RAM: mapping %s: %m",
			       units_format_size(ram->layout.ram_bytes, text));
	}
	return 0;
}

/* All of it with reserve, else the first frame. */
static int take_first_frames(struct ram *ram, const struct ram_config *config, struct err *err)
{
	uint64_t total = config->reserve ? config->ram_bytes : config->frame_bytes;
	uint64_t done = 0;
	int result = backing_check_room(config, total >> ram->frame_shift, err);

	while (result == 0 && done < total) {
		uint64_t left = total - done;
		uint64_t len = left < RESERVE_CHUNK_BYTES ? left : RESERVE_CHUNK_BYTES;

		if (backing_allocate(ram->fd, done, len)) {
			(void)ftruncate(ram->fd, 0); /* so that the numbers are those of before */
			return backing_explain_failure(config, total >> ram->frame_shift, err);
		}
		known_set(&ram->known, done >> ram->frame_shift, len >> ram->frame_shift);
		done += len;
		if (config->reserve && config->progress &&
		    !config->progress(config->progress_ctx, done, total))
			return err_set(err, -ECANCELED, "reserving memory was called off");
	}
	return result;
}

/* What take_first_frames() took is mapped at once: it never faults. */
static int start_pager(struct ram *ram, const struct ram_config *config, struct err *err)
{
	int result;

	if (config->frame_bytes != HUGE_FRAME_BYTES)
		return 0;
	result = pager_start(ram, &config->events, &ram->pager, err);
	if (result == -EPERM || result == -EACCES || result == -ENOSYS || result == -EINVAL)
		return 0;
	if (result == 0)
		pager_map(ram->pager, 0, config->reserve ? config->ram_bytes : config->frame_bytes);
	return result;
}

static int ram_init(struct ram *ram, const struct ram_config *config, struct err *err)
{
	int result = ram_layout_init(config->ram_bytes, config->frame_bytes, &ram->layout, err);

	if (result)
		return result;
	ram->frame_shift = (unsigned)__builtin_ctzll(config->frame_bytes);
	ram->fd = backing_open(config, err);
	if (ram->fd < 0)
		return ram->fd;
	result = open_views(ram, err);
	if (result == 0)
		result = take_first_frames(ram, config, err);
	return result ? result : start_pager(ram, config, err);
}

bool ram_has_pager(const struct ram *ram)
{
	return ram->pager != NULL;
}

int ram_open(const struct ram_config *config, struct ram **ret_ram, struct err *err)
{
	struct ram *ram = calloc(1, sizeof(*ram));
	int result;

	if (!ram)
		return err_set(err, -ENOMEM, "guest RAM: out of memory");
	ram->fd = -1;
	(void)pthread_mutex_init(&ram->lock, NULL);
	result = ram_init(ram, config, err);
	if (result) {
		ram_close(ram);
		return result;
	}
	*ret_ram = ram;
	return 0;
}

void ram_close(struct ram *ram)
{
	if (!ram)
		return;
	pager_stop(ram->pager); /* first: its thread uses all the rest */
	view_close(&ram->host);
	view_close(&ram->guest);
	known_fini(&ram->known);
	close_fd(&ram->fd);
	(void)pthread_mutex_destroy(&ram->lock);
	free(ram);
}

const struct ram_layout *ram_layout(const struct ram *ram)
{
	return &ram->layout;
}

void *ram_guest_view(const struct ram *ram, unsigned index)
{
	return ram->guest.base + ram->layout.regions[index].start.addr;
}

uint64_t ram_resident_bytes(const struct ram *ram)
{
	struct stat stat;

	if (fstat(ram->fd, &stat) < 0)
		return 0; /* cannot happen to a descriptor we own */
	return (uint64_t)stat.st_blocks * STAT_BLOCK_BYTES;
}

/* Back the first run of unknown frames in [first, end), at most BACK_CHUNK_BYTES of it. */
static int back_run(struct ram *ram, struct pager *mapper, uint64_t first, uint64_t end)
{
	uint64_t most = BACK_CHUNK_BYTES >> ram->frame_shift;
	int result = 0;

	(void)pthread_mutex_lock(&ram->lock);
	first = known_find_clear(&ram->known, first, end); /* another thread may have been faster */
	end = known_find_set(&ram->known, first, end - first < most ? end : first + most);
	if (first < end)
		result = backing_allocate(ram->fd, first << ram->frame_shift,
					  (end - first) << ram->frame_shift);
	if (result == 0)
		known_set(&ram->known, first, end - first);
	(void)pthread_mutex_unlock(&ram->lock);
	if (result == 0 && mapper) /* else the first touch would wait for the pager */
		pager_map(mapper, first << ram->frame_shift, (end - first) << ram->frame_shift);
	return result;
}

static int back_range(struct ram *ram, struct pager *mapper, uint64_t offset_bytes,
		      uint64_t len_bytes)
{
	uint64_t first = offset_bytes >> ram->frame_shift;
	uint64_t end = (offset_bytes + len_bytes + ram->layout.frame_bytes - 1) >> ram->frame_shift;
	int result = 0;

	while (result == 0) {
		first = known_find_clear(&ram->known, first, end);
		if (first == end)
			return 0;
		result = back_run(ram, mapper, first, end);
	}
	return result;
}

int ram_back_offset(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	return back_range(ram, ram->pager, offset_bytes, len_bytes);
}

int ram_allocate_offset(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	return back_range(ram, NULL, offset_bytes, len_bytes);
}

int ram_back(struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	uint64_t offset_bytes;

	if (!ram_layout_offset(&ram->layout, gpa, len_bytes, &offset_bytes))
		return -EFAULT;
	return ram_back_offset(ram, offset_bytes, len_bytes);
}
