/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* dump.c - a vCPU's registers as text, for the one message that a dead guest leaves. */
#include "kvm/vcpu_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct page {
	char *text;
	size_t text_bytes, used;
};

static void __attribute__((format(printf, 2, 3))) put(struct page *page, const char *fmt, ...)
{
	va_list args;
	int count;

	if (page->used >= page->text_bytes)
		return;
	va_start(args, fmt);
	count = vsnprintf(page->text + page->used, page->text_bytes - page->used, fmt, args);
	va_end(args);
	if (count > 0)
		page->used += (size_t)count;
	if (page->used >= page->text_bytes)
		page->used = page->text_bytes - 1;
}

#define R "%016" PRIx64

static void put_regs(struct page *page, const struct kvm_regs *r)
{
	put(page, "\nrip " R " rflags " R, (uint64_t)r->rip, (uint64_t)r->rflags);
	put(page, "\nrax " R " rbx " R " rcx " R " rdx " R, (uint64_t)r->rax, (uint64_t)r->rbx,
	    (uint64_t)r->rcx, (uint64_t)r->rdx);
	put(page, "\nrsi " R " rdi " R " rsp " R " rbp " R, (uint64_t)r->rsi, (uint64_t)r->rdi,
	    (uint64_t)r->rsp, (uint64_t)r->rbp);
	put(page, "\nr8  " R " r9  " R " r10 " R " r11 " R, (uint64_t)r->r8, (uint64_t)r->r9,
	    (uint64_t)r->r10, (uint64_t)r->r11);
	put(page, "\nr12 " R " r13 " R " r14 " R " r15 " R, (uint64_t)r->r12, (uint64_t)r->r13,
	    (uint64_t)r->r14, (uint64_t)r->r15);
}

static void put_segment(struct page *page, const char *name, const struct kvm_segment *s)
{
	put(page, "\n%-3s %04x base " R " limit %08x type %x s%u dpl%u p%u l%u db%u g%u", name,
	    s->selector, (uint64_t)s->base, s->limit, s->type, s->s, s->dpl, s->present, s->l,
	    s->db, s->g);
}

static void put_sregs(struct page *page, const struct kvm_sregs *s)
{
	put(page, "\ncr0 " R " cr2 " R " cr3 " R " cr4 " R, (uint64_t)s->cr0, (uint64_t)s->cr2,
	    (uint64_t)s->cr3, (uint64_t)s->cr4);
	put(page, "\nefer " R " apic_base " R, (uint64_t)s->efer, (uint64_t)s->apic_base);
	put_segment(page, "cs", &s->cs);
	put_segment(page, "ss", &s->ss);
	put_segment(page, "ds", &s->ds);
	put_segment(page, "es", &s->es);
	put_segment(page, "fs", &s->fs);
	put_segment(page, "gs", &s->gs);
	put_segment(page, "tr", &s->tr);
	put_segment(page, "ldt", &s->ldt);
	put(page, "\ngdt base " R " limit %04x  idt base " R " limit %04x", (uint64_t)s->gdt.base,
	    s->gdt.limit, (uint64_t)s->idt.base, s->idt.limit);
}

size_t vcpu_dump(const struct vcpu *vcpu, char *text, size_t text_bytes, size_t used)
{
	struct page page = { .text = text, .text_bytes = text_bytes, .used = used };
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (vcpu_ioctl(vcpu, KVM_GET_REGS, &regs) < 0 ||
	    vcpu_ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0) {
		put(&page, "\n(the registers cannot be read: %m)");
		return page.used;
	}
	put_regs(&page, &regs);
	put_sregs(&page, &sregs);
	return page.used;
}
