/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ram.c - see ram.h; the design and its invariants are in ram_internal.h.
 *
 * Limits. A guest of 1 TiB costs two mappings of address space and a bitmap that is not charged
 * until it is used; nothing here grows with RAM otherwise.
 */
#include "memory/ram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "memory/backing.h"
#include "memory/ram_internal.h"
#include "memory/reserve.h"
#include "memory/uffd.h"

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

/* On huge pages, never a whole aligned GiB.
 *
 * Linux may let such GiBs share a page table with another mapping of the file, and therefore tells
 * KVM that all of it is gone whenever one frame is unmapped or punched: every block that is sampled,
 * swapped or given back would cost the guest its 511 neighbours' mappings as well. Pieces that begin
 * and end in the middle of a GiB hold no such GiB, and mappings of hugetlbfs are never merged.
 * Source: Linux mm/hugetlb.c, adjust_range_if_pmd_sharing_possible(). */
uint64_t ram_piece_bytes(const struct ram *ram, uintptr_t address, uint64_t len_bytes)
{
	uint64_t to_next_middle = GIB_BYTES - (address + GIB_BYTES / 2) % GIB_BYTES;

	return ram->layout.frame_bytes == HUGE_FRAME_BYTES && to_next_middle < len_bytes
		       ? to_next_middle
		       : len_bytes;
}

/* DONTDUMP: guest memory is no business of our core dumps. DONTFORK: a child of ours never needs
 * it, and copying page tables of a large guest is slow. */
static int view_map(const struct ram *ram, const struct ram_view *view, uint64_t at_bytes,
		    uint64_t len_bytes, uint64_t offset_bytes)
{
	uint8_t *start = view->base + at_bytes;
	uint64_t done_bytes = 0;

	while (done_bytes < len_bytes) {
		uint8_t *at = start + done_bytes;
		uint64_t piece = ram_piece_bytes(ram, (uintptr_t)at, len_bytes - done_bytes);

		if (mmap(at, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
			 ram->fd, (off_t)(offset_bytes + done_bytes)) == MAP_FAILED)
			return -errno;
		done_bytes += piece;
	}
	if (madvise(start, len_bytes, MADV_DONTDUMP) < 0 ||
	    madvise(start, len_bytes, MADV_DONTFORK) < 0)
		return -errno;
	return 0;
}

static int open_guest_view(struct ram *ram)
{
	const struct ram_layout *layout = &ram->layout;
	const struct ram_region *last = &layout->regions[layout->region_count - 1];
	int result = view_reserve(&ram->guest, last->start.addr + last->len_bytes);

	for (unsigned i = 0; i < layout->region_count && result == 0; i++)
		result = view_map(ram, &ram->guest, layout->regions[i].start.addr,
				  layout->regions[i].len_bytes, layout->regions[i].offset_bytes);
	return result;
}

static int open_host_view(struct ram *ram)
{
	int result = view_reserve(&ram->host, ram->layout.ram_bytes);

	return result ? result : view_map(ram, &ram->host, 0, ram->layout.ram_bytes, 0);
}

static int open_views(struct ram *ram, struct err *err)
{
	char text[UNITS_TEXT_BYTES];
	int result = open_guest_view(ram);

	if (result == 0)
		result = open_host_view(ram);
	if (result == 0)
		result = frames_init(&ram->frames,
				     (ram->layout.ram_bytes + BLOCK_BYTES - 1) >> BLOCK_SHIFT);
	if (result == 0 && ram->layout.frame_bytes < BLOCK_BYTES)
		result = known_init(&ram->known, ram->layout.ram_bytes >> ram->frame_shift);
	if (result == 0 && ram->known.words)
		result = known_init(&ram->torn, ram->frames.block_count);
	if (result) {
		errno = -result;
		return err_set(err, result, "guest RAM: mapping %s: %m",
			       units_format_size(ram->layout.ram_bytes, text));
	}
	return 0;
}

/* All of it if reserved, else the first frame. */
static int take_first_frames(struct ram *ram, const struct ram_config *config, struct err *err)
{
	return reserve_frames(ram, config, ram->reserved ? config->ram_bytes : config->frame_bytes,
			      err);
}

/* Not being allowed is not an error: then the kernel answers first touches. */
static int take_over_faults(struct ram *ram)
{
	int uffd = rights_open_userfaultfd(&ram->rights);
	int result = uffd < 0 ? uffd : uffd_register(ram, uffd);

	if (result == 0) {
		ram->uffd = uffd;
		return 0;
	}
	close_fd(&uffd);
	if (ram->rights.allowed)
		rights_deny(&ram->rights);
	return result == -EPERM || result == -EACCES || result == -ENOSYS || result == -EINVAL
		       ? 0
		       : result;
}

/* What needs a pager is refused; what a pager would get when it is wanted is taken now. */
static int do_without_pager(struct ram *ram, const struct ram_config *config, struct err *err)
{
	(void)snprintf(ram->why_no_pager, sizeof(ram->why_no_pager), "%s; to mend it: %s",
		       ram->rights.missing, ram->rights.mend);
	if (config->swap.dir)
		return err_set(err, -EPERM, "swap: %s", ram->why_no_pager);
	if (config->frame_bytes == HUGE_FRAME_BYTES)
		ram->reserved = true;
	return 0;
}

static int take_frames(struct ram *ram, const struct ram_config *config, struct err *err)
{
	int result = take_first_frames(ram, config, err);

	if (result == 0 || result == -ECANCELED || ram->reserved == config->reserve)
		return result;
	return err_wrap(err, "all memory has to be reserved (%s)", ram->rights.missing);
}

static int ram_init(struct ram *ram, const struct ram_config *config, struct err *err)
{
	int result = ram_layout_init(config->ram_bytes, config->frame_bytes, &ram->layout, err);

	if (result)
		return result;
	ram->events = config->events;
	ram->reserved = config->reserve;
	ram->frame_shift = (unsigned)__builtin_ctzll(config->frame_bytes);
	ram->fd = backing_open(config, err);
	if (ram->fd < 0)
		return ram->fd;
	result = open_views(ram, err);
	if (result)
		return result;
	result = take_over_faults(ram);
	if (result) {
		errno = -result;
		return err_set(err, result, "guest RAM: userfaultfd: %m");
	}
	if (ram->uffd < 0)
		result = do_without_pager(ram, config, err);
	if (result == 0)
		result = take_frames(ram, config, err);
	return result ? result : engine_start(ram, config, err);
}

static void init_arrival(struct ram *ram)
{
	pthread_condattr_t monotonic;

	(void)pthread_mutex_init(&ram->arrival_lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&ram->arrival, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

int ram_open(const struct ram_config *config, struct ram **ret_ram, struct err *err)
{
	struct ram *ram = calloc(1, sizeof(*ram));
	int result;

	if (!ram)
		return err_set(err, -ENOMEM, "guest RAM: out of memory");
	ram->fd = ram->uffd = -1;
	grant_init(&ram->grant);
	init_arrival(ram);
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
	engine_stop(ram); /* first: its threads use all the rest */
	close_fd(&ram->uffd);
	view_close(&ram->host);
	view_close(&ram->guest);
	known_fini(&ram->known);
	known_fini(&ram->torn);
	frames_fini(&ram->frames);
	close_fd(&ram->fd);
	(void)pthread_cond_destroy(&ram->arrival);
	(void)pthread_mutex_destroy(&ram->arrival_lock);
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

bool ram_is_reserved(const struct ram *ram)
{
	return ram->reserved;
}

uint64_t ram_resident_bytes(const struct ram *ram)
{
	struct stat stat;

	if (fstat(ram->fd, &stat) < 0)
		return 0; /* cannot happen to a descriptor we own */
	return (uint64_t)stat.st_blocks * STAT_BLOCK_BYTES;
}
