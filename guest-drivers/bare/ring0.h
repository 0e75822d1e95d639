/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ring0.h - what start.S and the C code agree on: addresses, vectors, gate functions, offsets.
 *
 * Numbers only, for the assembler too; cpu.h asserts that struct cpu has these offsets.
 */
#ifndef BARE_RING0_H
#define BARE_RING0_H

#define RING0_BASE 0x100000 /* start.S: 64 KiB at most, the low 16 bits are zero; see bare.lds */

#define BARE_MAX_CPUS	  64
#define RING0_STACK_BYTES 512
#define RING3_STACK_BYTES 16384
#define FAULT_STACK_BYTES 4096

/* Vectors: exceptions below 0x20; GSI n is VECTOR_GSI + n, on the boot processor. */
#define VECTOR_GSI	0x30
#define VECTOR_GSIS	64
#define VECTOR_TIMER	0x70
#define VECTOR_IPI	0x71
#define VECTOR_SPURIOUS 0x7f
#define VECTOR_END	0x80
#define IRQ_COUNT	(VECTOR_END - VECTOR_GSI) /* counters in struct cpu */

/* bare_gate(function, a, b) */
#define GATE_WAIT     0 /* returns at once if an interrupt came since the last wait, else halts */
#define GATE_LINK_PD  1 /* a = GiB number, b = page directory: makes it part of the map */
#define GATE_CPUID    2 /* a -> 4 words: eax . ecx . in, eax ebx ecx edx out */
#define GATE_SHUTDOWN 3 /* triple fault, on purpose */

/* struct cpu, at %gs:0 in both rings */
#define CPU_BYTES	1024
#define CPU_WAKE	8
#define CPU_FAULT	16 /* vector error rip cs rflags rsp cr2 */
#define CPU_FAULT_STACK 72
#define CPU_STACK	80 /* ring 3; 0: the boot processor before it has set it */
#define CPU_IRQS	88

#define SEGMENT_RING0_CODE 0x08
#define SEGMENT_RING0_DATA 0x10
#define SEGMENT_RING3_DATA 0x1b
#define SEGMENT_RING3_CODE 0x23
#define SEGMENT_CODE32	   0x28
#define SEGMENT_TSS	   0x30 /* 16 bytes per processor */

#define RFLAGS_RING3 0x202 /* interrupts on */
#define RFLAGS_FAULT 0x002

#endif
