/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fake_kvm.h - a KVM made of a script: what open, KVM_CHECK_EXTENSION and KVM_RUN answer.
 *
 * One at a time (the table of system calls has no context). KVM_RUN plays the steps in order, and
 * after the last behaves as a guest that computes for ever: it returns only for immediate_exit.
 */
#ifndef NEAP_TESTS_KVM_FAKE_KVM_H
#define NEAP_TESTS_KVM_FAKE_KVM_H

#include <stdatomic.h>

#include "kvm/kvm_internal.h"

enum { FAKE_MAX_STEPS = 128, FAKE_MAX_VCPUS = 300, FAKE_MAX_ROUTES = 64 };

struct fake_step {
	int code; /* errno, or 0 */
	uint32_t exit_reason;
	void (*fill)(struct kvm_run *run);	  /* may be NULL */
	void (*check)(const struct kvm_run *run); /* on the next entry; may be NULL */
};

struct fake_kvm {
	int open_errno;
	int api_version;
	int missing_capability; /* -1: none */
	int max_vcpus;
	int run_bytes;
	unsigned long
		failing_request; /* fails with failing_errno, after letting failing_after by */
	int failing_errno;
	unsigned failing_after;
	unsigned failing_times; /* 0: always */

	/* Called before each ioctl, on its thread; may be NULL. */
	void (*on_request)(unsigned long request);

	struct fake_step steps[FAKE_MAX_STEPS];
	unsigned step_count;

	/* What was seen. */
	atomic_uint steps_done, runs;
	atomic_int open_fds, mappings;
	struct kvm_msi last_msi;
	unsigned routings; /* KVM_SET_GSI_ROUTING */
	uint32_t route_count;
	struct kvm_irq_routing_entry routes[FAKE_MAX_ROUTES]; /* as last set */
};

extern struct fake_kvm fake_kvm;
extern const struct kvm_sys fake_kvm_sys;

/* A KVM that has everything, with a script of nothing. */
void fake_kvm_reset(void);
void fake_kvm_add_step(struct fake_step step);

#endif
