/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vcpu_create.c - make the vCPUs of a VM and their threads, and end them. */
#include "kvm/vcpu_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/units.h"

/* Below 2 MiB, or the host may back each stack by a huge page of its own. */
enum { STACK_BYTES = 256 * KIB_BYTES };

static void ignore_signal(int number)
{
	(void)number;
}

/* No SA_RESTART: whatever the thread sleeps in, a kick wakes it. */
static int install_kick_handler(void)
{
	struct sigaction action = { .sa_handler = ignore_signal };

	(void)sigemptyset(&action.sa_mask);
	return sigaction(VCPU_KICK_SIGNAL, &action, NULL) < 0 ? -errno : 0;
}

/* Faults stay deliverable: blocked, they would kill without a word. */
static void block_signals(sigset_t *ret_before)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS };
	sigset_t all;

	(void)sigfillset(&all);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		(void)sigdelset(&all, faults[i]);
	(void)pthread_sigmask(SIG_BLOCK, &all, ret_before);
}

static int start_thread(struct vcpu *vcpu)
{
	pthread_attr_t attr;
	int ret = pthread_attr_init(&attr);

	if (ret != 0)
		return -ret;
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	ret = pthread_create(&vcpu->thread, &attr, vcpu_main, vcpu);
	(void)pthread_attr_destroy(&attr);
	vcpu->has_thread = ret == 0;
	return -ret;
}

static int start_threads(struct vcpus *vcpus, struct err *err)
{
	sigset_t before;
	int ret = install_kick_handler();

	block_signals(&before);
	for (unsigned i = 0; i < vcpus->count && ret == 0; i++)
		ret = start_thread(&vcpus->each[i]);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret < 0) {
		errno = -ret;
		return err_set(err, ret, "cannot start a thread for each of %u vCPUs: %m",
			       vcpus->count);
	}
	return 0;
}

static int vcpu_open(struct vcpu *vcpu, struct cpuid_table *cpuid, struct err *err)
{
	const struct kvm *kvm = vcpu->all->vm->kvm;
	int ret, tsc_khz;

	vcpu->fd = kvm_ioctl(kvm->sys, vm_fd(vcpu->all->vm), KVM_CREATE_VCPU, vcpu->index);
	if (vcpu->fd < 0)
		return err_set(err, vcpu->fd, "vCPU %u: KVM_CREATE_VCPU: %m", vcpu->index);
	vcpu->run = kvm->sys->mmap(vcpu->fd, kvm->run_bytes);
	if (vcpu->run == MAP_FAILED)
		return err_set(err, -errno, "vCPU %u: mapping kvm_run: %m", vcpu->index);
	tsc_khz = kvm_ioctl(kvm->sys, vcpu->fd, KVM_GET_TSC_KHZ, 0);
	cpuid_tell_clock(cpuid, tsc_khz > 0 ? (uint32_t)tsc_khz : 0);
	ret = vcpu_ioctl(vcpu, KVM_SET_CPUID2, cpuid);
	if (ret < 0)
		return err_set(err, ret, "vCPU %u: KVM_SET_CPUID2: %m", vcpu->index);
	return vcpu_save_fresh(vcpu, err);
}

static void vcpu_close(struct vcpu *vcpu)
{
	const struct kvm *kvm = vcpu->all->vm->kvm;

	if (vcpu->run != MAP_FAILED)
		(void)kvm->sys->munmap(vcpu->run, kvm->run_bytes);
	if (vcpu->fd >= 0)
		(void)kvm->sys->close(vcpu->fd);
}

static int open_all(struct vcpus *vcpus, bool hide_cx16, struct err *err)
{
	const struct kvm *kvm = vcpus->vm->kvm;
	struct cpuid_table supported, table;
	int ret = cpuid_read_supported(kvm, &supported, err);

	for (unsigned i = 0; i < vcpus->count && ret == 0; i++) {
		table = supported;
		cpuid_for_vcpu(&table, kvm, i, vcpus->count, hide_cx16);
		ret = vcpu_open(&vcpus->each[i], &table, err);
	}
	return ret;
}

static struct vcpus *vcpus_alloc(struct vm *vm, const struct vcpus_config *config)
{
	struct vcpus *vcpus = calloc(1, sizeof(*vcpus));
	pthread_condattr_t attr;

	if (!vcpus)
		return NULL;
	vcpus->each = calloc(config->count, sizeof(*vcpus->each));
	if (!vcpus->each) {
		free(vcpus);
		return NULL;
	}
	vcpus->vm = vm;
	vcpus->ops = config->ops;
	vcpus->ops_ctx = config->ops_ctx;
	vcpus->count = config->count;
	vcpus->pause_asked = true;
	vcpus->parked_count = config->count;
	for (unsigned i = 0; i < vcpus->count; i++)
		vcpus->each[i] =
			(struct vcpu){ .all = vcpus, .index = i, .fd = -1, .run = MAP_FAILED };
	(void)pthread_mutex_init(&vcpus->control_lock, NULL);
	(void)pthread_mutex_init(&vcpus->lock, NULL);
	(void)pthread_mutex_init(&vcpus->lazy_lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&vcpus->asked, &attr);
	(void)pthread_cond_init(&vcpus->parked, &attr);
	(void)pthread_condattr_destroy(&attr);
	return vcpus;
}

int vcpus_create(struct vm *vm, const struct vcpus_config *config, struct vcpus **ret_vcpus,
		 struct err *err)
{
	struct vcpus *vcpus;
	int ret;

	if (config->count < 1 || config->count > vm->kvm->max_vcpus)
		return err_set(err, -EINVAL, "%u vCPUs: this host's KVM allows 1 to %u",
			       config->count, vm->kvm->max_vcpus);
	vcpus = vcpus_alloc(vm, config);
	if (!vcpus)
		return err_set(err, -ENOMEM, "no memory for %u vCPUs", config->count);
	ret = open_all(vcpus, config->hide_cx16, err);
	if (ret == 0)
		ret = start_threads(vcpus, err);
	if (ret < 0) {
		vcpus_destroy(vcpus);
		return ret;
	}
	*ret_vcpus = vcpus;
	return 0;
}

void vcpus_destroy(struct vcpus *vcpus)
{
	if (!vcpus)
		return;
	vcpus_stop_threads(vcpus);
	for (unsigned i = 0; i < vcpus->count; i++)
		vcpu_close(&vcpus->each[i]);
	(void)pthread_cond_destroy(&vcpus->parked);
	(void)pthread_cond_destroy(&vcpus->asked);
	(void)pthread_mutex_destroy(&vcpus->lazy_lock);
	(void)pthread_mutex_destroy(&vcpus->lock);
	(void)pthread_mutex_destroy(&vcpus->control_lock);
	free(vcpus->each);
	free(vcpus);
}
