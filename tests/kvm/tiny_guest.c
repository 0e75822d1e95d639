/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* tiny_guest.c - see tiny_guest.h. */
#include "tiny_guest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/units.h"

enum { EXIT_SKIP = 77, WAIT_S = 10 };

void tiny_guest_skip(void)
{
	if (access("/dev/kvm", R_OK | W_OK) == 0)
		return;
	printf("skipped: /dev/kvm: %s\n", strerror(errno));
	exit(EXIT_SKIP);
}

static void log_value(struct tiny_guest *g, uint32_t value)
{
	(void)pthread_mutex_lock(&g->lock);
	if (g->log_count < TINY_LOG_MAX)
		g->log[g->log_count++] = value;
	(void)pthread_mutex_unlock(&g->lock);
}

static void pio_write(void *ctx, uint16_t port, const void *data, uint32_t len)
{
	struct tiny_guest *g = ctx;
	uint32_t value = 0;

	memcpy(&value, data, len);
	log_value(g, value);
	if (port == TINY_PORT_DONE)
		(void)sem_post(&g->done);
}

/* Counts up from 1, so that each element of a string read shows its place. */
static void pio_read(void *ctx, uint16_t port, void *data, uint32_t len)
{
	struct tiny_guest *g = ctx;
	uint32_t value = atomic_fetch_add(&g->pio_reads, 1) + 1;

	(void)port;
	memcpy(data, &value, len);
}

static void mmio_read(void *ctx, uint64_t addr, void *data, uint32_t len)
{
	struct tiny_guest *g = ctx;
	uint64_t value = UINT64_C(0x1122334455667788);

	atomic_fetch_add(&g->mmio_reads, 1);
	g->mmio_last_addr = addr;
	g->mmio_last_len = len;
	memcpy(data, &value, len);
}

static void mmio_write(void *ctx, uint64_t addr, const void *data, uint32_t len)
{
	struct tiny_guest *g = ctx;

	atomic_fetch_add(&g->mmio_writes, 1);
	g->mmio_last_addr = addr;
	g->mmio_last_len = len;
	g->mmio_last_value = 0;
	memcpy(&g->mmio_last_value, data, len);
	if (g->log_mmio)
		log_value(g, (uint32_t)g->mmio_last_value);
}

static bool is_ram(void *ctx, uint64_t addr, uint32_t len)
{
	const struct tiny_guest *g = ctx;

	return addr >= g->hole_start && len <= g->hole_bytes &&
	       addr - g->hole_start <= g->hole_bytes - len;
}

static bool hole_refuses(struct tiny_guest *g)
{
	int left = atomic_load(&g->hole_refusals);

	(void)sem_post(&g->hole_asked);
	if (left > 0)
		atomic_fetch_sub(&g->hole_refusals, 1);
	return left != 0;
}

static int ram_read(void *ctx, uint64_t addr, void *data, uint32_t len)
{
	struct tiny_guest *g = ctx;

	if (hole_refuses(g))
		return -EAGAIN;
	memcpy(data, g->hole_data + (addr - g->hole_start), len);
	return 0;
}

static int ram_write(void *ctx, uint64_t addr, const void *data, uint32_t len)
{
	struct tiny_guest *g = ctx;

	if (hole_refuses(g))
		return -EAGAIN;
	memcpy(g->hole_data + (addr - g->hole_start), data, len);
	return 0;
}

static int cannot_back(void *ctx, bool known, uint64_t addr, uint64_t len_bytes)
{
	(void)ctx, (void)known, (void)addr, (void)len_bytes;
	return -ENOMEM;
}

static void ioapic_eoi(void *ctx, uint8_t vector)
{
	struct tiny_guest *g = ctx;

	log_value(g, TINY_EOI_LOG + vector);
	(void)sem_post(&g->done);
}

static void ended(void *ctx, unsigned vcpu_index, enum vcpu_end end, const char *text)
{
	struct tiny_guest *g = ctx;

	g->end_index = vcpu_index;
	g->end = end;
	(void)snprintf(g->end_text, sizeof(g->end_text), "%s", text);
	(void)sem_post(&g->ended);
}

static const struct vcpu_ops ops = {
	.pio_read = pio_read,
	.pio_write = pio_write,
	.mmio_read = mmio_read,
	.mmio_write = mmio_write,
	.is_ram = is_ram,
	.ram_read = ram_read,
	.ram_write = ram_write,
	.cannot_back = cannot_back,
	.ioapic_eoi = ioapic_eoi,
	.ended = ended,
};

static void must(int ret, const struct err *err)
{
	if (ret < 0)
		fail_msg("%s", err->text);
}

void tiny_guest_open(struct tiny_guest *g, unsigned vcpu_count)
{
	const struct vcpus_config config = { .count = vcpu_count, .ops = &ops, .ops_ctx = g };
	struct err err = { 0 };

	memset(g, 0, sizeof(*g));
	(void)pthread_mutex_init(&g->lock, NULL);
	(void)sem_init(&g->done, 0, 0);
	(void)sem_init(&g->ended, 0, 0);
	(void)sem_init(&g->hole_asked, 0, 0);
	g->ram = mmap(NULL, TINY_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(g->ram, MAP_FAILED);
	must(kvm_open(&g->kvm, &err), &err);
	must(vm_create(&g->kvm, &g->vm, &err), &err);
	must(vm_add_memory(g->vm, GPA(0), g->ram, TINY_RAM_BYTES, &err), &err);
	must(vcpus_create(g->vm, &config, &g->vcpus, &err), &err);
}

void tiny_guest_close(struct tiny_guest *g)
{
	vcpus_destroy(g->vcpus);
	vm_destroy(g->vm);
	kvm_close(&g->kvm);
	(void)munmap(g->ram, TINY_RAM_BYTES);
}

void tiny_guest_load(struct tiny_guest *g, const uint8_t *code, const uint8_t *code_end)
{
	memcpy(g->ram + TINY_ENTRY, code, (size_t)(code_end - code));
}

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static void write_gdt(struct tiny_guest *g)
{
	static const uint64_t rows[] = {
		[TINY_CODE0 / 8] = 0x00af9b000000ffff,
		[TINY_DATA0 / 8] = 0x00cf93000000ffff,
		[TINY_DATA3 / 8] = 0x00cff3000000ffff,
		[TINY_CODE3 / 8] = 0x00affb000000ffff,
		[TINY_TSS_SELECTOR / 8] = 0x0000890000000067 | (uint64_t)TINY_TSS << 16,
		[TINY_TSS_SELECTOR / 8 + 1] = 0,
	};
	const struct table_pointer gdt = { sizeof(rows) - 1, TINY_GDT };
	const struct table_pointer idt = { 0xfff, TINY_IDT };
	const uint64_t stack0 = TINY_STACK0;

	memcpy(g->ram + TINY_GDT, rows, sizeof(rows));
	memcpy(g->ram + TINY_GDT_PTR, &gdt, sizeof(gdt));
	memcpy(g->ram + TINY_IDT_PTR, &idt, sizeof(idt));
	memset(g->ram + TINY_TSS, 0, 0x68);
	memcpy(g->ram + TINY_TSS + 4, &stack0, sizeof(stack0));
}

static void write_page_tables(struct tiny_guest *g)
{
	enum { PRESENT_WRITE_USER = 7, LARGE = 0x80, TABLES = 4, ROWS = 512 };
	uint64_t *pml4 = (uint64_t *)(void *)(g->ram + TINY_PAGE_TABLES);
	uint64_t *pdpt = pml4 + ROWS;
	uint64_t *directory = pdpt + ROWS;

	pml4[0] = (TINY_PAGE_TABLES + 0x1000) | PRESENT_WRITE_USER;
	for (uint64_t i = 0; i < TABLES; i++)
		pdpt[i] = (TINY_PAGE_TABLES + 0x2000 + i * 0x1000) | PRESENT_WRITE_USER;
	for (uint64_t i = 0; i < (uint64_t)TABLES * ROWS; i++)
		directory[i] = i << HUGE_FRAME_SHIFT | LARGE | PRESENT_WRITE_USER;
}

void tiny_guest_set_gate(struct tiny_guest *g, uint8_t vector, uint64_t handler)
{
	const uint64_t gate[2] = {
		(handler & 0xffff) | (uint64_t)TINY_CODE0 << 16 | UINT64_C(0xee00) << 32 |
			(handler >> 16 & 0xffff) << 48,
		handler >> 32,
	};

	memcpy(g->ram + TINY_IDT + (size_t)vector * sizeof(gate), gate, sizeof(gate));
}

void tiny_guest_start(struct tiny_guest *g, bool long_mode, uint64_t parameter)
{
	const struct vcpu_start start = {
		.long_mode = long_mode,
		.rip = TINY_ENTRY,
		.parameter = parameter,
		.gdt = TINY_GDT,
		.page_table = TINY_PAGE_TABLES,
	};
	struct err err = { 0 };

	write_gdt(g);
	write_page_tables(g);
	must(vcpus_reset(g->vcpus, &start, &err), &err);
	vcpus_resume(g->vcpus);
}

void tiny_guest_wait(sem_t *event)
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += WAIT_S;
	while (sem_timedwait(event, &deadline) < 0)
		if (errno != EINTR)
			fail_msg("nothing happened in %d s", WAIT_S);
}
