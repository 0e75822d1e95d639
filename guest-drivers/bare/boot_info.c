/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* boot_info.c - start_info, command line, memory map, MADT. See boot_info.h. */
#include "boot_info.h"
#include "libc.h"

enum {
	START_INFO_MAGIC = 0x336ec578,
	MADT_LOCAL_APIC = 0,
	MADT_ENABLED = 1,
	BIOS_AREA = 0xe0000, /* where an RSDP lies if start_info has none */
	BIOS_AREA_END = 0x100000,
};

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp;
	uint64_t memory_map; /* from version 1 on */
	uint32_t memory_map_entries, reserved;
};

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t len_bytes;
	uint64_t xsdt;
} __attribute__((packed));

struct sdt {
	char signature[4];
	uint32_t len_bytes;
	char rest[28];
} __attribute__((packed));

struct madt_cpu {
	uint8_t type, len_bytes, processor, apic_id;
	uint32_t flags;
} __attribute__((packed));

bool boot_info_read(uint64_t start_info, struct boot_info *ret_info)
{
	const struct start_info *info = (const void *)start_info;

	if (!start_info || info->magic != START_INFO_MAGIC || info->version < 1)
		return false;
	ret_info->rsdp = info->rsdp;
	ret_info->range_count = info->memory_map_entries < BOOT_MAX_RANGES
					? info->memory_map_entries
					: BOOT_MAX_RANGES;
	memcpy(ret_info->ranges, (const void *)info->memory_map,
	       ret_info->range_count * sizeof(struct boot_range));
	const char *cmdline = (const void *)info->cmdline;
	unsigned len = 0;

	while (cmdline && cmdline[len] && len + 1 < BOOT_CMDLINE_BYTES) {
		ret_info->cmdline[len] = cmdline[len];
		len++;
	}
	ret_info->cmdline[len] = '\0';
	return true;
}

static uint64_t find_rsdp(const struct boot_info *info)
{
	if (info->rsdp)
		return info->rsdp;
	for (uint64_t at = BIOS_AREA; at < BIOS_AREA_END; at += 16)
		if (!memcmp((const void *)at, "RSD PTR ", 8))
			return at;
	return 0;
}

/* The table with @signature below @root, whose entries are @entry_bytes wide; NULL: none. */
static const struct sdt *find_table(uint64_t root, unsigned entry_bytes, const char *signature)
{
	const struct sdt *list = (const void *)root;
	const char *entries = (const char *)(list + 1);

	if (!root || list->len_bytes < sizeof(*list))
		return NULL;
	for (uint64_t i = 0; i < (list->len_bytes - sizeof(*list)) / entry_bytes; i++) {
		uint64_t address = 0;

		memcpy(&address, entries + i * entry_bytes, entry_bytes);
		const struct sdt *table = (const void *)address;

		if (table && !memcmp(table->signature, signature, 4))
			return table;
	}
	return NULL;
}

static const struct sdt *find_madt(const struct boot_info *info)
{
	const struct rsdp *rsdp = (const void *)find_rsdp(info);

	if (!rsdp)
		return NULL;
	if (rsdp->revision >= 2 && rsdp->xsdt)
		return find_table(rsdp->xsdt, 8, "APIC");
	return find_table(rsdp->rsdt, 4, "APIC");
}

unsigned boot_info_cpus(const struct boot_info *info, uint8_t self, uint8_t *ret_apic_ids,
			unsigned capacity)
{
	const struct sdt *madt = find_madt(info);
	unsigned count = 1;

	ret_apic_ids[0] = self;
	if (!madt)
		return count;
	const uint8_t *at = (const uint8_t *)(madt + 1) + 8; /* local APIC address, flags */
	const uint8_t *end = (const uint8_t *)madt + madt->len_bytes;

	while (at + 2 <= end && at[1] >= 2 && count < capacity) {
		const struct madt_cpu *cpu = (const void *)at;

		if (cpu->type == MADT_LOCAL_APIC && at + sizeof(*cpu) <= end &&
		    (cpu->flags & MADT_ENABLED) && cpu->apic_id != self)
			ret_apic_ids[count++] = cpu->apic_id;
		at += at[1];
	}
	return count;
}
