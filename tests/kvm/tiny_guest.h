/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* tiny_guest.h - a VM of a few pages for tests that write their guest by hand.
 *
 * The guest's code is assembled inside the test (GUEST_CODE) and copied to TINY_ENTRY. It talks
 * over ports: a write to TINY_PORT_LOG is kept, one to TINY_PORT_DONE also wakes the test.
 * Without /dev/kvm tiny_guest_skip() ends the program with 77.
 */
#ifndef NEAP_TESTS_KVM_TINY_GUEST_H
#define NEAP_TESTS_KVM_TINY_GUEST_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/vcpu.h"

enum {
	TINY_RAM_BYTES = 4 << 20,
	TINY_ENTRY = 0x10000,
	TINY_PORT_LOG = 0x80,
	TINY_PORT_DONE = 0x81,
	TINY_EOI_LOG = 0xe0100, /* plus the vector, logged and posted as done */
	TINY_LOG_MAX = 8192,
	TINY_END_TEXT_BYTES = 4096,
};

/* Written by every start: a GDT (ring 0 and ring 3), a TSS, an empty IDT, and page tables that map
 * 4 GiB one to one for both rings. */
enum {
	TINY_GDT = 0x8000,
	TINY_GDT_PTR = 0x8100, /* operand of lgdt */
	TINY_IDT_PTR = 0x8110, /* operand of lidt */
	TINY_TSS = 0x8200,
	TINY_IDT = 0x9000,
	TINY_PAGE_TABLES = 0xa000, /* six pages */
	TINY_CODE0 = 0x10,
	TINY_DATA0 = 0x18,
	TINY_DATA3 = 0x23,
	TINY_CODE3 = 0x2b,
	TINY_TSS_SELECTOR = 0x30,
	TINY_STACK0 = 0x1f000, /* on entry, and on interrupts from ring 3 */
};

/* For GUEST64: load the tables of TINY_*. */
#define LOAD_TABLES            \
	"mov $0x1f000, %esp\n" \
	"lgdt 0x8100\n"        \
	"lidt 0x8110\n"        \
	"mov $0x30, %eax\n"    \
	"ltr %ax\n"

/* For GUEST64 after LOAD_TABLES: go on in ring 3, with I/O rights and interrupts on. */
#define TO_RING3                 \
	"pushq $0x23\n"          \
	"pushq $0x1e000\n"       \
	"pushq $0x3202\n"        \
	"pushq $0x2b\n"          \
	"lea 771f(%rip), %rax\n" \
	"push %rax\n"            \
	"iretq\n"                \
	"771:\n"

/* MMIO that no memory slot covers. */
#define TINY_MMIO_ADDR UINT64_C(0xd0000000)

/* Code between guest_NAME and guest_NAME_end, for tiny_guest_run() and tiny_guest_run64(). It runs
 * at TINY_ENTRY, so it names its own labels only relatively. */
#define GUEST_TEXT(bits, name, text)                                                          \
	extern const uint8_t guest_##name[], guest_##name##_end[];                            \
	__asm__(".pushsection .rodata\n.global guest_" #name ", guest_" #name "_end\n"        \
		"guest_" #name ":\n.code" #bits "\n" text "\n.code64\nguest_" #name "_end:\n" \
		".popsection\n")
#define GUEST16(name, text) GUEST_TEXT(16, name, text)
#define GUEST32(name, text) GUEST_TEXT(32, name, text)
#define GUEST64(name, text) GUEST_TEXT(64, name, text)

struct tiny_guest {
	struct kvm kvm;
	struct vm *vm;
	struct vcpus *vcpus;
	uint8_t *ram;

	pthread_mutex_t lock; /* the log */
	unsigned log_count;
	uint32_t log[TINY_LOG_MAX];
	sem_t done;

	bool log_mmio; /* values written to MMIO, too */
	atomic_uint pio_reads, mmio_reads, mmio_writes;
	uint64_t mmio_last_value, mmio_last_addr;
	uint32_t mmio_last_len;

	sem_t ended;
	enum vcpu_end end;
	unsigned end_index;
	char end_text[TINY_END_TEXT_BYTES];

	/* A second stretch of "RAM" that KVM has no slot for. */
	uint64_t hole_start, hole_bytes;
	uint8_t hole_data[4096];
	atomic_int hole_refusals; /* -EAGAIN this many times; -1: for ever */
	sem_t hole_asked;
};

void tiny_guest_skip(void);
void tiny_guest_open(struct tiny_guest *guest, unsigned vcpu_count);
void tiny_guest_close(struct tiny_guest *guest);
void tiny_guest_load(struct tiny_guest *guest, const uint8_t *code, const uint8_t *code_end);
/* Reset to TINY_ENTRY, in 32-bit mode with @parameter in ebx or in long mode with it in rsi, and
 * resume. Paused before, as after create. */
void tiny_guest_start(struct tiny_guest *guest, bool long_mode, uint64_t parameter);
/* An interrupt gate to TINY_ENTRY + @offset, reachable from ring 3. */
void tiny_guest_set_gate(struct tiny_guest *guest, uint8_t vector, uint64_t handler);
/* Waits at most ten seconds; fails the test after that. */
void tiny_guest_wait(sem_t *event);

#define tiny_guest_run_as(guest, name, long_mode, parameter)                \
	do {                                                                \
		tiny_guest_load((guest), guest_##name, guest_##name##_end); \
		tiny_guest_start((guest), (long_mode), (parameter));        \
	} while (0)
#define tiny_guest_run(guest, name, parameter)	 tiny_guest_run_as(guest, name, false, parameter)
#define tiny_guest_run64(guest, name, parameter) tiny_guest_run_as(guest, name, true, parameter)

#endif
