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
	TINY_LOG_MAX = 4096,
	TINY_END_TEXT_BYTES = 4096,
};

/* MMIO that no memory slot covers. */
#define TINY_MMIO_ADDR UINT64_C(0xd0000000)

/* 32-bit code between guest_NAME and guest_NAME_end. */
#define GUEST_CODE(name, text)                                                         \
	extern const uint8_t guest_##name[], guest_##name##_end[];                     \
	__asm__(".pushsection .rodata\n.global guest_" #name ", guest_" #name "_end\n" \
		"guest_" #name ":\n.code32\n" text "\n.code64\nguest_" #name "_end:\n" \
		".popsection\n")

struct tiny_guest {
	struct kvm kvm;
	struct vm *vm;
	struct vcpus *vcpus;
	uint8_t *ram;

	pthread_mutex_t lock; /* the log */
	unsigned log_count;
	uint32_t log[TINY_LOG_MAX];
	sem_t done;

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
/* Reset to TINY_ENTRY in 32-bit mode with @parameter in ebx, and resume. */
void tiny_guest_start(struct tiny_guest *guest, uint32_t parameter);
/* Waits at most ten seconds; fails the test after that. */
void tiny_guest_wait(sem_t *event);

#define tiny_guest_run(guest, name, parameter)                              \
	do {                                                                \
		tiny_guest_load((guest), guest_##name, guest_##name##_end); \
		tiny_guest_start((guest), (parameter));                     \
	} while (0)

#endif
