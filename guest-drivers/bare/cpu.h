/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cpu.h - processors as ring 3 sees them: the gate, ports, time, interrupts, work for others.
 *
 * Threads: one per processor; struct cpu belongs to its processor except `mailbox`.
 */
#ifndef BARE_CPU_H
#define BARE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/board.h"
#include "ring0.h"

struct cpu_fault {
	uint64_t vector, error, rip, cs, rflags, rsp, cr2;
};

enum { COMMAND_BYTES = 384 };
enum mailbox_state { MAILBOX_EMPTY, MAILBOX_FULL };

struct cpu {
	struct cpu *self;
	volatile uint64_t wake;
	struct cpu_fault fault;
	char *fault_stack; /* both: the first word below the end */
	char *stack;
	volatile uint32_t irqs[IRQ_COUNT]; /* counters; written by start.S only */
	unsigned number;
	uint8_t apic_id;
	volatile bool online;
	volatile unsigned mailbox; /* enum mailbox_state */
	char command[COMMAND_BYTES];
} __attribute__((aligned(CPU_BYTES)));

_Static_assert(offsetof(struct cpu, wake) == CPU_WAKE, "start.S");
_Static_assert(offsetof(struct cpu, fault) == CPU_FAULT, "start.S");
_Static_assert(offsetof(struct cpu, fault_stack) == CPU_FAULT_STACK, "start.S");
_Static_assert(offsetof(struct cpu, stack) == CPU_STACK, "start.S");
_Static_assert(offsetof(struct cpu, irqs) == CPU_IRQS, "start.S");
_Static_assert(sizeof(struct cpu) == CPU_BYTES, "start.S");

extern struct cpu bare_cpus[BARE_MAX_CPUS];

uint64_t bare_gate(unsigned function, uint64_t a, uint64_t b);

static inline struct cpu *cpu_this(void)
{
	struct cpu *cpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static inline uint64_t cpu_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
	return low | (uint64_t)high << 32;
}

static inline void port_write8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "d"(port) : "memory");
}

static inline void port_write32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "d"(port) : "memory");
}

static inline uint8_t port_read8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

static inline uint32_t port_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

/* One instruction; KVM makes an exit of each byte all the same. */
static inline void port_write_string(uint16_t port, const char *bytes, size_t len)
{
	__asm__ volatile("rep outsb" : "+S"(bytes), "+c"(len) : "d"(port) : "memory");
}

static inline uint32_t mmio_read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static inline void mmio_write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

struct spinlock {
	volatile bool held;
};

static inline void spin_lock(struct spinlock *lock)
{
	while (__atomic_test_and_set(&lock->held, __ATOMIC_ACQUIRE))
		cpu_relax();
}

static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_clear(&lock->held, __ATOMIC_RELEASE);
}

/* The boot processor's struct cpu: the first thing in ring 3. */
void cpu_init_boot(void);

/* The struct cpu of another one, before it starts. @stacks: CPU_STACKS_BYTES, its own for ever. */
#define CPU_STACKS_BYTES (RING3_STACK_BYTES + FAULT_STACK_BYTES)
void cpu_init_other(unsigned number, char *stacks);

/* The frequency of the TSC: @khz, or found out when it is 0. Boot processor, after apic_init(). */
void cpu_init_clock(uint64_t khz);
uint64_t cpu_tsc_khz(void);
uint64_t cpu_now_ns(void); /* since the machine's TSC was zero */
uint64_t cpu_ns_to_tsc(uint64_t ns);
uint64_t cpu_tsc_to_ns(uint64_t tsc);

/* Halts until an interrupt or @deadline_ns (0: no deadline). Spurious returns are normal. */
void cpu_wait(uint64_t deadline_ns);

/* Ends the VM. @status goes to the exit port; a machine without one is crashed. */
void cpu_exit(unsigned status) __attribute__((noreturn));
void cpu_power_off(void) __attribute__((noreturn));
void cpu_reboot(void) __attribute__((noreturn));
void cpu_triple_fault(void) __attribute__((noreturn));

#endif
