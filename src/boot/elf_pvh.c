/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* elf_pvh.c - ELF64 by its PVH note: check every header against the file and the RAM, then copy.
 *
 * Invariants
 *  E1  Nothing is written to guest RAM before every header has passed its checks.
 *  E2  A segment lies in [1 MiB, end of low RAM): boot structures are below, the entry is 32-bit.
 *  E3  Segments do not overlap, and the entry is inside one.
 * Limits: ELF_MAX_SEGMENTS program headers, ELF_MAX_NOTE_BYTES of one note segment.
 */
#include "boot/elf_pvh.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "memory/access.h"

enum {
	ELF_MAX_SEGMENTS = 64,
	ELF_MAX_NOTE_BYTES = 4096,
	XEN_ELFNOTE_PHYS32_ENTRY = 18,
};

struct elf_file {
	const struct image *image;
	uint64_t ram_end;
	unsigned count;
	Elf64_Phdr segments[ELF_MAX_SEGMENTS];
};

static int check_header(const struct image *image, const Elf64_Ehdr *header, struct err *err)
{
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return image_refuse(image, err, "it is not a 64-bit ELF");
	if (header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != EM_X86_64)
		return image_refuse(image, err, "it is an ELF for another machine (%u), not x86-64",
				    header->e_machine);
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return image_refuse(image, err, "it is an ELF that is not linked (type %u)",
				    header->e_type);
	if (header->e_phentsize != sizeof(Elf64_Phdr))
		return image_refuse(image, err, "its program headers are %u bytes each, not %zu",
				    header->e_phentsize, sizeof(Elf64_Phdr));
	if (header->e_phnum == 0 || header->e_phnum > ELF_MAX_SEGMENTS)
		return image_refuse(image, err, "it has %u program headers; 1 to %d are possible",
				    header->e_phnum, ELF_MAX_SEGMENTS);
	return 0;
}

static int read_headers(struct elf_file *elf, struct err *err)
{
	Elf64_Ehdr header;
	int failed = image_read(elf->image, 0, &header, sizeof(header), err);

	if (!failed)
		failed = check_header(elf->image, &header, err);
	if (failed)
		return failed;
	elf->count = header.e_phnum;
	return image_read(elf->image, header.e_phoff, elf->segments,
			  header.e_phnum * sizeof(Elf64_Phdr), err);
}

static bool is_loaded(const Elf64_Phdr *segment)
{
	return segment->p_type == PT_LOAD && segment->p_memsz > 0;
}

static int check_segment(const struct elf_file *elf, unsigned index, struct err *err)
{
	const Elf64_Phdr *segment = &elf->segments[index];
	char need[UNITS_TEXT_BYTES], have[UNITS_TEXT_BYTES];
	uint64_t end;

	if (segment->p_filesz > segment->p_memsz)
		return image_refuse(elf->image, err,
				    "segment %u has more bytes in the file than in memory", index);
	if (!image_holds(elf->image, segment->p_offset, segment->p_filesz))
		return image_refuse(elf->image, err, "the file ends inside segment %u", index);
	if (__builtin_add_overflow(segment->p_paddr, segment->p_memsz, &end))
		return image_refuse(elf->image, err, "segment %u reaches past the end of memory",
				    index);
	if (segment->p_paddr < GUEST_KERNEL_MIN)
		return image_refuse(elf->image, err,
				    "segment %u lies at 0x%" PRIx64
				    ", where boot data goes (below 1 MiB)",
				    index, segment->p_paddr);
	if (end > elf->ram_end)
		return image_refuse(elf->image, err,
				    "segment %u ends at %s; the guest has RAM up to %s", index,
				    units_format_size(end, need),
				    units_format_size(elf->ram_end, have));
	return 0;
}

static int check_overlap(const struct elf_file *elf, unsigned index, struct err *err)
{
	const Elf64_Phdr *segment = &elf->segments[index];

	for (unsigned i = 0; i < index; i++) {
		const Elf64_Phdr *other = &elf->segments[i];

		if (is_loaded(other) && segment->p_paddr < other->p_paddr + other->p_memsz &&
		    other->p_paddr < segment->p_paddr + segment->p_memsz)
			return image_refuse(elf->image, err, "segments %u and %u overlap", i,
					    index);
	}
	return 0;
}

static int check_segments(const struct elf_file *elf, uint64_t *ret_end, struct err *err)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < elf->count; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];
		int failed;

		if (!is_loaded(segment))
			continue;
		failed = check_segment(elf, i, err);
		if (!failed)
			failed = check_overlap(elf, i, err);
		if (failed)
			return failed;
		if (segment->p_paddr + segment->p_memsz > end)
			end = segment->p_paddr + segment->p_memsz;
	}
	if (end == 0)
		return image_refuse(elf->image, err, "it has nothing to load");
	*ret_end = end;
	return 0;
}

/* Is this note the one? Its descriptor is then the entry: 4 or 8 bytes. */
static bool is_pvh_note(const Elf64_Nhdr *note, const uint8_t *name)
{
	return note->n_type == XEN_ELFNOTE_PHYS32_ENTRY && note->n_namesz == sizeof("Xen") &&
	       memcmp(name, "Xen", sizeof("Xen")) == 0 &&
	       (note->n_descsz == sizeof(uint32_t) || note->n_descsz == sizeof(uint64_t));
}

/* Walk one note segment. Sizes are 32 bits and sums 64, so they cannot wrap. */
static bool find_note(const uint8_t *notes, uint64_t len, uint64_t align, uint64_t *ret_entry)
{
	uint64_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name, desc, next;

		memcpy(&note, notes + at, sizeof(note));
		name = at + sizeof(note);
		if (!align_up(name + note.n_namesz, align, &desc) ||
		    !align_up(desc + note.n_descsz, align, &next) || desc + note.n_descsz > len)
			return false;
		if (is_pvh_note(&note, notes + name)) {
			*ret_entry = 0;
			memcpy(ret_entry, notes + desc, note.n_descsz);
			return true;
		}
		at = next < len ? next : len;
	}
	return false;
}

static int find_entry(const struct elf_file *elf, uint64_t *ret_entry, struct err *err)
{
	uint8_t notes[ELF_MAX_NOTE_BYTES];

	for (unsigned i = 0; i < elf->count; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];
		int failed;

		if (segment->p_type != PT_NOTE || segment->p_filesz > sizeof(notes))
			continue;
		failed = image_read(elf->image, segment->p_offset, notes, segment->p_filesz, err);
		if (failed)
			return failed;
		if (find_note(notes, segment->p_filesz, segment->p_align == 8 ? 8 : 4, ret_entry))
			return 0;
	}
	return image_refuse(
		elf->image, err,
		"it has no PVH entry note; a Linux kernel needs CONFIG_PVH=y, or use its bzImage");
}

static int check_entry(const struct elf_file *elf, uint64_t entry, struct err *err)
{
	for (unsigned i = 0; i < elf->count; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];

		if (is_loaded(segment) && entry >= segment->p_paddr &&
		    entry - segment->p_paddr < segment->p_memsz)
			return 0;
	}
	return image_refuse(elf->image, err, "its PVH entry 0x%" PRIx64 " is outside its segments",
			    entry);
}

static int copy_segments(const struct elf_file *elf, struct ram *ram, struct err *err)
{
	for (unsigned i = 0; i < elf->count; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];
		gpa_t bss = GPA(segment->p_paddr + segment->p_filesz);
		int failed;

		if (!is_loaded(segment))
			continue;
		failed = image_read_to_ram(elf->image, segment->p_offset, ram,
					   GPA(segment->p_paddr), segment->p_filesz, err);
		if (failed)
			return failed;
		failed = ram_zero(ram, bss, segment->p_memsz - segment->p_filesz);
		if (failed)
			return image_ram_failed(failed, "kernel", bss, err);
	}
	return 0;
}

int elf_pvh_load(const struct image *image, struct ram *ram, gpa_t *ret_entry,
		 uint64_t *ret_kernel_end, struct err *err)
{
	struct elf_file elf = { .image = image, .ram_end = guest_low_ram_end(ram) };
	uint64_t entry = 0, end = 0;
	int failed = read_headers(&elf, err);

	if (!failed)
		failed = check_segments(&elf, &end, err);
	if (!failed)
		failed = find_entry(&elf, &entry, err);
	if (!failed)
		failed = check_entry(&elf, entry, err);
	if (!failed)
		failed = copy_segments(&elf, ram, err);
	if (failed)
		return failed;
	*ret_entry = GPA(entry);
	*ret_kernel_end = end;
	return 0;
}

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t memory_map_rows;
	uint32_t reserved;
};

struct hvm_module {
	uint64_t start;
	uint64_t len_bytes;
	uint64_t cmdline;
	uint64_t reserved;
};

struct hvm_memory_row {
	uint64_t start;
	uint64_t len_bytes;
	uint32_t type;
	uint32_t reserved;
};

struct start_page {
	struct hvm_start_info info;
	struct hvm_module module;
	struct hvm_memory_row rows[GUEST_MAP_MAX_ROWS];
};

_Static_assert(sizeof(struct hvm_start_info) == 56, "version 1 of the structure");
_Static_assert(sizeof(struct start_page) <= GUEST_BOOT_PARAMS - GUEST_START_INFO, "it has a page");

enum { HVM_START_MAGIC = 0x336ec578 };

int elf_pvh_write_start_info(struct ram *ram, const struct guest_map *map, gpa_t rsdp,
			     const struct placed_initrd *initrd, struct err *err)
{
	struct start_page page = {
		.info = { .magic = HVM_START_MAGIC,
			  .version = 1,
			  .cmdline = GUEST_CMDLINE,
			  .rsdp = rsdp.addr,
			  .memory_map = GUEST_START_INFO + offsetof(struct start_page, rows),
			  .memory_map_rows = map->count },
	};
	int failed;

	if (initrd->len_bytes > 0) {
		page.info.module_count = 1;
		page.info.modules = GUEST_START_INFO + offsetof(struct start_page, module);
		page.module.start = initrd->start;
		page.module.len_bytes = initrd->len_bytes;
	}
	for (unsigned i = 0; i < map->count; i++)
		page.rows[i] = (struct hvm_memory_row){ .start = map->rows[i].start,
							.len_bytes = map->rows[i].len_bytes,
							.type = map->rows[i].type };
	failed = ram_write(ram, GPA(GUEST_START_INFO), &page, sizeof(page));
	return failed ? image_ram_failed(failed, "start info", GPA(GUEST_START_INFO), err) : 0;
}
