/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* start.S - all that runs in ring 0: the way to ring 3, interrupt stubs, one gate.
 *
 * Problem. On page-table KVM ring 0 is emulated at about a million instructions a second and ring
 * 3 runs natively. So ring 0 does next to nothing: every table here (page tables, GDT, TSS, IDT) is
 * laid out by the assembler, and ring 3 begins some 40 instructions after entry.
 * Design. The section is linked at RING0_BASE, whose low 16 bits are zero, so that addresses can be
 * cut into the pieces descriptors want by arithmetic on offsets. Ring 3 may use every port of the
 * board (I/O map; an emulated iretq does not set IOPL) and maps devices itself. An
 * interrupt is: count it, say "wake", end it. The gate is one known `ud2`: invalid opcode is the
 * one way into ring 0 that every kind of KVM delivers from ring 3 (`int n` is not).
 * Invariants
 *  R1  %gs:0 is this processor's struct cpu, in both rings; nobody loads %gs.
 *  R2  No wake-up is lost: GATE_WAIT looks at CPU_WAKE with interrupts off, and `sti; hlt` is one
 *      step. Ring 3 looks at its sources after every return, whatever woke it.
 *  R3  Page 0 and this section are not ring 3's: a stray pointer there is an exception.
 * Limits. BARE_MAX_CPUS processors, APIC ids below 255, 512 GiB of addresses.
 * Sources. Xen "x86/HVM direct boot ABI" (PVH entry state); Intel SDM vol. 3, chapters "Paging",
 *  "Interrupt and Exception Handling", "Multiple-Processor Initialization Protocol"; vol. 1 "I/O
 *  Permission Bit Map".
 */
#include "device/board.h"
#include "ring0.h"

#define OFFSET(symbol) ((symbol) - ring0_base)
#define IO_MAP(cpu)    (io_map - tss - (cpu) * TSS_BYTES)
#define IO_MAP_BYTES   ((BOARD_EXIT_PORT + 8) / 8)
#define TSS_BYTES      104

#define PAGE_RING0  0x03 /* present, writable */
#define PAGE_RING3  0x07
#define PAGE_DEVICE 0x1f /* ring 3, uncached */
#define PAGE_2M	    0x80

#define INVALID_OPCODE	     6
#define EXCEPTIONS_WITH_CODE 0x227d00 /* 8, 10 to 14, 17, 21 push an error code */

	.section .note.pvh, "a", @note
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long pvh_start

	.section .ring0, "awx", @progbits
ring0_base:
/* The map: 4 KiB pages below 2 MiB, 2 MiB pages up to 1 GiB, the device GiB. memory.c adds the rest. */
pml4:
	.quad RING0_BASE + OFFSET(pdpt) + PAGE_RING3
	.fill 511, 8, 0
pdpt:
	.quad RING0_BASE + OFFSET(pd_low) + PAGE_RING3
	.quad 0, 0
	.quad RING0_BASE + OFFSET(pd_devices) + PAGE_RING3
	.fill 508, 8, 0
pd_low:
	.quad RING0_BASE + OFFSET(pt_low) + PAGE_RING3
	.set i, 1
	.rept 511
	.quad (i << 21) + PAGE_RING3 + PAGE_2M
	.set i, i + 1
	.endr
pd_devices:
	.set i, 0
	.rept 512
	.quad 0xc0000000 + (i << 21) + PAGE_DEVICE + PAGE_2M
	.set i, i + 1
	.endr
pt_low:
	.quad 0
	.set i, 1
	.rept 255
	.quad (i << 12) + PAGE_RING3
	.set i, i + 1
	.endr
	.rept 256
	.quad (i << 12) + PAGE_RING0
	.set i, i + 1
	.endr

gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* SEGMENT_RING0_CODE, 64 bits */
	.quad 0x00cf93000000ffff /* SEGMENT_RING0_DATA */
	.quad 0x00cff3000000ffff /* SEGMENT_RING3_DATA */
	.quad 0x00affb000000ffff /* SEGMENT_RING3_CODE, 64 bits */
	.quad 0x00cf9b000000ffff /* SEGMENT_CODE32, ring 0 */
	.set i, 0
	.rept BARE_MAX_CPUS
	.word IO_MAP(i) + IO_MAP_BYTES, OFFSET(tss) + i * TSS_BYTES
	.byte RING0_BASE >> 16, 0x89, 0, 0
	.quad 0
	.set i, i + 1
	.endr
gdt_end:
tss:
	.set i, 0
	.rept BARE_MAX_CPUS
	.long 0
	.quad ring0_stacks + (i + 1) * RING0_STACK_BYTES
	.fill 88, 1, 0
	.word 0, IO_MAP(i)
	.set i, i + 1
	.endr
io_map: /* zero = ring 3 may */
	.fill IO_MAP_BYTES, 1, 0
	.byte 0xff

	.macro interrupt_gate offset
	.word \offset, SEGMENT_RING0_CODE
	.byte 0, 0x8e
	.word RING0_BASE >> 16
	.quad 0
	.endm

	.balign 16
idt:
	.set i, 0
	.rept 32
	.if i == INVALID_OPCODE
	interrupt_gate OFFSET(invalid_opcode)
	.else
	interrupt_gate (OFFSET(exceptions) + i * 16)
	.endif
	.set i, i + 1
	.endr
	.fill 16 * (VECTOR_GSI - 32), 1, 0
	.set i, 0
	.rept IRQ_COUNT
	interrupt_gate (OFFSET(irqs) + i * 16)
	.set i, i + 1
	.endr
idt_end:

	.balign 8
gdtr:
	.word gdt_end - gdt - 1
	.quad RING0_BASE + OFFSET(gdt)
idtr:
	.word idt_end - idt - 1
	.quad RING0_BASE + OFFSET(idt)
no_idtr:
	.word 0
	.quad 0

/* PVH: 32-bit protected mode, flat, no paging, interrupts off, ebx = start_info. */
	.code32
	.globl pvh_start
pvh_start:
	movl %ebx, %esi
	xorl %ebp, %ebp
	lgdtl gdtr
/* ebp = processor number, esi = what ring 3 gets. The other processors come here, too. */
long_mode:
	movl $0x220, %eax /* PAE, OSFXSR */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx /* EFER.LME */
	movl $0x100, %eax
	xorl %edx, %edx
	wrmsr
	movl $0x80000033, %eax /* paging, numeric errors, protected mode; caches on */
	movl %eax, %cr0
	ljmpl $SEGMENT_RING0_CODE, $in_long_mode
	.code64
in_long_mode:
	movl $SEGMENT_RING0_DATA, %eax
	movl %eax, %ss
	movl %eax, %ds
	movl %eax, %es
	lidt idtr
	movl %ebp, %eax
	shll $4, %eax
	addl $SEGMENT_TSS, %eax
	ltr %ax
	movl %ebp, %eax
	imull $RING0_STACK_BYTES, %eax
	leal ring0_stacks + RING0_STACK_BYTES(%rax), %esp
	movl %ebp, %eax
	imull $CPU_BYTES, %eax
	addl $bare_cpus, %eax
	movl $0xc0000101, %ecx /* GS base */
	xorl %edx, %edx
	wrmsr
	movq %gs:CPU_STACK, %rax
	testq %rax, %rax
	jnz 1f
	movl $boot_stack_end - 8, %eax
1:	movl %ebp, %edi
	pushq $SEGMENT_RING3_DATA
	pushq %rax
	pushq $RFLAGS_RING3
	pushq $SEGMENT_RING3_CODE
	pushq $bare_start
	iretq

/* Real mode, copied to a page below 1 MiB: where INIT-SIPI lands. One processor at a time. */
	.globl bare_trampoline, bare_trampoline_cpu, bare_trampoline_end
	.section .rodata
	.code16
bare_trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	movl bare_trampoline_cpu - bare_trampoline, %ebp
	lgdtl 1f - bare_trampoline
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $SEGMENT_CODE32, $long_mode
1:	.word gdt_end - gdt - 1
	.long gdt
bare_trampoline_cpu:
	.long 0
bare_trampoline_end:
	.section .ring0
	.code64

	.balign 16
exceptions:
	.set i, 0
	.rept 32
	.balign 16
	.if ((EXCEPTIONS_WITH_CODE >> i) & 1) == 0
	pushq $0
	.endif
	pushq $i
	jmp exception
	.set i, i + 1
	.endr
	.balign 16
irqs:
	.set i, 0
	.rept IRQ_COUNT
	.balign 16
	incl %gs:CPU_IRQS + 4 * i
	jmp irq
	.set i, i + 1
	.endr

irq:
	movb $1, %gs:CPU_WAKE
	pushq %rax
	xorl %eax, %eax
	movabsl %eax, BOARD_LAPIC_BASE + 0xb0 /* end of interrupt */
	popq %rax
	iretq

/* An exception is an error of ours: ring 3 reports it on a stack of its own and ends the VM. */
invalid_opcode:
	cmpq $bare_gate, (%rsp)
	je gate
	pushq $0
	pushq $INVALID_OPCODE
exception:
	.set i, 0
	.rept 6
	popq %gs:CPU_FAULT + i * 8
	.set i, i + 1
	.endr
	movq %cr2, %rax
	movq %rax, %gs:CPU_FAULT + 48
	pushq $SEGMENT_RING3_DATA
	pushq %gs:CPU_FAULT_STACK
	pushq $RFLAGS_FAULT
	pushq $SEGMENT_RING3_CODE
	pushq $bare_fault
	iretq

/* edi = function, rsi = a, rdx = b */
gate:
	addq $2, (%rsp) /* past the ud2 */
	testl %edi, %edi
	jnz 1f
	cmpb $0, %gs:CPU_WAKE
	jne 0f
	sti
	hlt
	cli
0:	movb $0, %gs:CPU_WAKE
	iretq
1:	decl %edi /* GATE_LINK_PD */
	jnz 1f
	orq $PAGE_RING3, %rdx
	movq %rdx, pdpt(, %rsi, 8)
	iretq
1:	decl %edi /* GATE_CPUID */
	jnz 1f
	pushq %rbx
	movl (%rsi), %eax
	movl 8(%rsi), %ecx
	cpuid
	movl %eax, (%rsi)
	movl %ebx, 4(%rsi)
	movl %ecx, 8(%rsi)
	movl %edx, 12(%rsi)
	popq %rbx
	iretq
1:	lidt no_idtr /* GATE_SHUTDOWN */
	ud2

	.text
	.globl bare_gate
bare_gate:
	ud2
	ret

	.section .ring0_bss, "aw", @nobits
	.balign 16
ring0_stacks:
	.fill BARE_MAX_CPUS * RING0_STACK_BYTES, 1, 0

	.bss
	.balign 16
	.fill RING3_STACK_BYTES, 1, 0
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
