/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* exit.c - what each KVM_EXIT_* asks for.
 *
 * Design. A table from exit reason to handler. A reason without a handler ends the guest by name:
 * neap enables nothing that produces it, so going on would mean guessing.
 *
 * KVM finishes an I/O instruction on the next KVM_RUN, with the data left here; so a handler
 * either leaves its data or comes back to the same exit (vcpu.c, R5).
 *
 * MMIO inside RAM means that KVM could not get at the host's memory (the pool is empty, or
 * page-table KVM met a hole). The owner backs the frame and does the access itself; the exit is
 * never dropped, because the guest's store would be lost with it.
 *
 * Source. KVM API 5 "The kvm_run structure".
 */
#include "kvm/vcpu_internal.h"

#include <inttypes.h>
#include <stdio.h>

/* String I/O (rep ins, rep outs) arrives as one exit with many elements. */
static enum vcpu_next handle_io(struct vcpu *vcpu)
{
	const struct vcpus *all = vcpu->all;
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			all->ops->pio_write(all->ops_ctx, run->io.port, data, run->io.size);
		else
			all->ops->pio_read(all->ops_ctx, run->io.port, data, run->io.size);
	}
	return VCPU_NEXT_RUN;
}

static int access_ram(const struct vcpu *vcpu)
{
	const struct vcpus *all = vcpu->all;
	struct kvm_run *run = vcpu->run;

	if (run->mmio.is_write)
		return all->ops->ram_write(all->ops_ctx, run->mmio.phys_addr, run->mmio.data,
					   run->mmio.len);
	return all->ops->ram_read(all->ops_ctx, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

static enum vcpu_next handle_ram(struct vcpu *vcpu)
{
	int ret = -EAGAIN;

	while (ret == -EAGAIN) {
		uint64_t kick_count = atomic_load(&vcpu->all->kick_count);

		ret = access_ram(vcpu);
		if (ret == -EAGAIN && !vcpu_wait(vcpu, kick_count))
			return VCPU_NEXT_OBEY;
	}
	if (ret == 0)
		return VCPU_NEXT_RUN;
	errno = -ret;
	return vcpu_end(vcpu, VCPU_END_INTERNAL_ERROR, true,
			"guest RAM at 0x%" PRIx64 " cannot be accessed: %m",
			(uint64_t)vcpu->run->mmio.phys_addr);
}

static enum vcpu_next handle_mmio(struct vcpu *vcpu)
{
	const struct vcpus *all = vcpu->all;
	struct kvm_run *run = vcpu->run;

	if (all->ops->is_ram(all->ops_ctx, run->mmio.phys_addr, run->mmio.len))
		return handle_ram(vcpu);
	if (run->mmio.is_write)
		all->ops->mmio_write(all->ops_ctx, run->mmio.phys_addr, run->mmio.data,
				     run->mmio.len);
	else
		all->ops->mmio_read(all->ops_ctx, run->mmio.phys_addr, run->mmio.data,
				    run->mmio.len);
	return VCPU_NEXT_RUN;
}

/* With local APICs in the kernel KVM halts by itself; should one exit, do not spin. */
static enum vcpu_next handle_hlt(struct vcpu *vcpu)
{
	(void)vcpu_wait(vcpu, atomic_load(&vcpu->all->kick_count));
	return VCPU_NEXT_OBEY;
}

static enum vcpu_next handle_ioapic_eoi(struct vcpu *vcpu)
{
	const struct vcpus *all = vcpu->all;

	all->ops->ioapic_eoi(all->ops_ctx, vcpu->run->eoi.vector);
	return VCPU_NEXT_RUN;
}

/* The guest gets a general protection fault, as from a processor without that MSR. */
static enum vcpu_next handle_msr(struct vcpu *vcpu)
{
	vcpu->run->msr.error = 1;
	return VCPU_NEXT_RUN;
}

static enum vcpu_next handle_go_on(struct vcpu *vcpu)
{
	(void)vcpu;
	return VCPU_NEXT_RUN;
}

static enum vcpu_next handle_intr(struct vcpu *vcpu)
{
	(void)vcpu;
	return VCPU_NEXT_OBEY;
}

static enum vcpu_next handle_shutdown(struct vcpu *vcpu)
{
	return vcpu_end(vcpu, VCPU_END_SHUTDOWN, true,
			"triple fault (AMD processors forget the registers then)");
}

static enum vcpu_next handle_fail_entry(struct vcpu *vcpu)
{
	return vcpu_end(vcpu, VCPU_END_FAIL_ENTRY, true,
			"the processor refuses this guest state, hardware reason 0x%" PRIx64
			" on host CPU %u",
			(uint64_t)vcpu->run->fail_entry.hardware_entry_failure_reason,
			vcpu->run->fail_entry.cpu);
}

static enum vcpu_next handle_system_event(struct vcpu *vcpu)
{
	uint32_t type = vcpu->run->system_event.type;

	switch (type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return vcpu_end(vcpu, VCPU_END_SYSTEM_SHUTDOWN, false, "the guest shut down");
	case KVM_SYSTEM_EVENT_RESET:
		return vcpu_end(vcpu, VCPU_END_SYSTEM_RESET, false, "the guest asked for a reset");
	case KVM_SYSTEM_EVENT_CRASH:
		return vcpu_end(vcpu, VCPU_END_SYSTEM_SHUTDOWN, true, "the guest reports a crash");
	default:
		return vcpu_end(vcpu, VCPU_END_INTERNAL_ERROR, true, "unknown system event %u",
				type);
	}
}

enum { INSTRUCTION_MAX_BYTES = 15, INSTRUCTION_TEXT_BYTES = 64 };

/* " at instruction 0f c7 0f ..." when KVM says which bytes it could not emulate. */
static void describe_instruction(const struct kvm_run *run, char text[INSTRUCTION_TEXT_BYTES])
{
	unsigned count = run->emulation_failure.insn_size;
	size_t used;

	text[0] = '\0';
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || run->internal.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	used = (size_t)snprintf(text, INSTRUCTION_TEXT_BYTES, " at");
	for (unsigned i = 0; i < count && i < INSTRUCTION_MAX_BYTES; i++)
		used += (size_t)snprintf(text + used, INSTRUCTION_TEXT_BYTES - used, " %02x",
					 run->emulation_failure.insn_bytes[i]);
}

static const char *suberror_name(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION: return "it cannot emulate an instruction";
	case KVM_INTERNAL_ERROR_SIMUL_EX: return "simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV: return "an exit while an event was being delivered";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON: return "an unexpected exit";
	default: return "unknown";
	}
}

static enum vcpu_next handle_internal_error(struct vcpu *vcpu)
{
	char instruction[INSTRUCTION_TEXT_BYTES];

	describe_instruction(vcpu->run, instruction);
	return vcpu_end(vcpu, VCPU_END_INTERNAL_ERROR, true,
			"KVM gives up, internal error %u: %s%s", vcpu->run->internal.suberror,
			suberror_name(vcpu->run->internal.suberror), instruction);
}

static enum vcpu_next (*const handlers[])(struct vcpu *vcpu) = {
	[KVM_EXIT_IO] = handle_io,
	[KVM_EXIT_MMIO] = handle_mmio,
	[KVM_EXIT_HLT] = handle_hlt,
	[KVM_EXIT_IRQ_WINDOW_OPEN] = handle_go_on,
	[KVM_EXIT_SHUTDOWN] = handle_shutdown,
	[KVM_EXIT_FAIL_ENTRY] = handle_fail_entry,
	[KVM_EXIT_INTR] = handle_intr,
	[KVM_EXIT_SET_TPR] = handle_go_on,
	[KVM_EXIT_TPR_ACCESS] = handle_go_on,
	[KVM_EXIT_NMI] = handle_go_on,
	[KVM_EXIT_INTERNAL_ERROR] = handle_internal_error,
	[KVM_EXIT_SYSTEM_EVENT] = handle_system_event,
	[KVM_EXIT_IOAPIC_EOI] = handle_ioapic_eoi,
	[KVM_EXIT_X86_RDMSR] = handle_msr,
	[KVM_EXIT_X86_WRMSR] = handle_msr,
	[KVM_EXIT_X86_BUS_LOCK] = handle_go_on,
	[KVM_EXIT_MEMORY_FAULT] = vcpu_handle_memory_fault,
};

enum vcpu_next vcpu_handle_exit(struct vcpu *vcpu)
{
	uint32_t reason = vcpu->run->exit_reason;

	if (reason < sizeof(handlers) / sizeof(handlers[0]) && handlers[reason])
		return handlers[reason](vcpu);
	if (reason == KVM_EXIT_UNKNOWN)
		return vcpu_end(vcpu, VCPU_END_INTERNAL_ERROR, true,
				"the processor left the guest for reason 0x%" PRIx64
				", which KVM does not know",
				(uint64_t)vcpu->run->hw.hardware_exit_reason);
	return vcpu_end(vcpu, VCPU_END_INTERNAL_ERROR, true,
			"KVM exit %u, which neap does not handle", reason);
}
