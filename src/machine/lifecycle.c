/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* lifecycle.c - the states of the VM, and who may change them.
 *
 * Design. Only the control thread changes state. vCPU threads, devices and the console ask by
 * lifecycle_request(); one request is kept, the first wins, so that what a guest does after its own
 * power-off cannot turn it into a crash. REQUEST_FAILED overrides, and REQUEST_KILL overrides all.
 *
 * Transitions
 *  STARTING -> RUNNING            [lifecycle_start]
 *  RUNNING -> PAUSED -> RUNNING   [lifecycle_pause, lifecycle_resume]
 *  RUNNING | PAUSED -> same       [lifecycle_reset]  the guest starts anew
 *  any -> STOPPED                 [lifecycle_end]    the process ends when the loop returns
 *  WAITING is RUNNING while a thread waits for a host frame (famine.c); it is not stored.
 *
 * Invariants
 *  S1  Guest RAM and devices are changed by us (reset, load) only while every vCPU is parked.
 *  S2  A reset that finds no host memory for the kernel, or blocks of RAM that are being written
 *      to swap or read from it, waits and tries again; it loses nothing, since what the guest had
 *      is gone by its own wish.
 *  S3  A guest runs on for a moment after it asked for a reset, and may ask again; it gets one.
 *  S4  The end never waits for a thread that waits for memory: a vCPU that cannot be parked
 *      soon is abandoned, and the process ends with it. When the memory engine failed,
 *      its own threads are abandoned, too.
 *  S5  When it failed, the control thread itself may sleep in guest memory. So whoever found out
 *      waits for the orderly end, and then ends the process itself.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/tty.h"
#include "machine/devices.h"
#include "memory/discard.h"

enum {
	RESET_RETRY_MS = 50,
	END_PAUSE_MS = 1000, /* S4 */
	END_WAITING_MS = 20, /* S4, when somebody is known to wait */
	FAIL_GRACE_MS = 40,  /* S5: until the control thread must be on its way out */
	FAIL_LEAVE_MS = 400, /* and out */
};

enum api_state lifecycle_state(const struct machine *machine)
{
	if (machine->life.state == API_STATE_RUNNING && atomic_load(&machine->famine.waiting) > 0)
		return API_STATE_WAITING;
	return machine->life.state;
}

const char *lifecycle_reason(struct machine *machine)
{
	const char *over_grant;

	if (lifecycle_state(machine) != API_STATE_WAITING)
		return machine->life.reason;
	over_grant = grant_explain(machine);
	return over_grant ? over_grant
			  : "the host has no free frame; the guest goes on when there is one";
}

void lifecycle_set_state(struct machine *machine, enum api_state state, const char *reason)
{
	machine->life.state = state;
	policy_state_changed(machine, state);
	(void)snprintf(machine->life.reason, sizeof(machine->life.reason), "%s", reason);
	events_state(machine);
}

void lifecycle_start(struct machine *machine)
{
	machine->life.started_ns = clock_now_ns();
	vcpus_resume(machine->vcpus);
	lifecycle_set_state(machine, API_STATE_RUNNING, "");
}

void lifecycle_pause(struct machine *machine)
{
	machine->life.resume_after_reset = false;
	if (machine->life.state != API_STATE_RUNNING && !machine->unreadable.paused_vm)
		return;
	if (machine->unreadable.paused_vm) /* its vCPUs are as parked as they can be */
		machine->unreadable.paused_vm = false;
	else
		vcpus_pause(machine->vcpus);
	lifecycle_set_state(machine, API_STATE_PAUSED, "paused on request");
}

void lifecycle_resume(struct machine *machine)
{
	if (machine->life.state != API_STATE_PAUSED)
		return;
	if (uv_is_active((uv_handle_t *)&machine->life.reset_retry)) {
		machine->life.resume_after_reset = true;
		return;
	}
	machine->unreadable.paused_vm = false;
	vcpus_resume(machine->vcpus);
	lifecycle_set_state(machine, API_STATE_RUNNING, "");
}

/* Many vCPUs on a busy host take their time; those that wait for memory may take for ever. */
static unsigned end_patience_ms(const struct machine *machine)
{
	return atomic_load(&machine->life.abandoned) || atomic_load(&machine->famine.waiting) > 0
		       ? END_WAITING_MS
		       : END_PAUSE_MS;
}

void lifecycle_end(struct machine *machine, int exit_code, const char *reason)
{
	if (machine->life.state == API_STATE_STOPPED)
		return;
	machine->life.exit_code = exit_code;
	if (machine->vcpus && !vcpus_pause_within(machine->vcpus, end_patience_ms(machine)))
		atomic_store(&machine->life.abandoned, true); /* S4 */
	lifecycle_set_state(machine, API_STATE_STOPPED, reason);
	loop_stop(&machine->control);
}

static void on_reset_retry(uv_timer_t *timer);

/* All frames go back to the host, unless they were promised to stay. */
static void empty_ram(void *arg)
{
	struct machine *machine = arg;

	machine->life.emptying =
		!ram_is_reserved(machine->ram) &&
		ram_discard(machine->ram, 0, ram_frame_count(machine->ram)) == -EBUSY;
}

static void retry_reset(struct machine *machine, const char *reason) /* S2 */
{
	if (machine->life.state != API_STATE_PAUSED)
		lifecycle_set_state(machine, API_STATE_PAUSED, reason);
	(void)uv_timer_start(&machine->life.reset_retry, on_reset_retry, RESET_RETRY_MS, 0);
}

/* S1 holds: vCPUs are parked. */
static void load_and_go(struct machine *machine)
{
	struct err err = { 0 };
	int ret;

	(void)uv_timer_stop(&machine->life.reset_retry); /* a second reset may be first */
	if (machine->life.emptying)
		loop_call(&machine->io, empty_ram, machine);
	if (machine->life.emptying) {
		retry_reset(machine,
			    "the reset waits for memory that is on its way to swap or back");
		return;
	}
	ret = machine_load_guest(machine, &err);
	if (ret == -ENOSPC || ret == -ENOMEM) {
		retry_reset(machine, "the reset waits for a free host frame");
		return;
	}
	if (ret < 0) {
		lifecycle_end(machine, EXIT_CODE_FAILED, err.text);
		return;
	}
	if (!machine->life.resume_after_reset)
		return;
	vcpus_resume(machine->vcpus);
	if (machine->life.state != API_STATE_RUNNING)
		lifecycle_set_state(machine, API_STATE_RUNNING, "");
}

static void on_reset_retry(uv_timer_t *timer)
{
	load_and_go(timer->data);
}

static void reset_io_side(void *arg)
{
	struct machine *machine = arg;

	virtio_slots_reset(machine);
	legacy_devices_reset(machine);
	empty_ram(machine);
}

/* vCPUs are parked: what the old guest asked for until then is void. S3 */
static void forget_guest_request(struct lifecycle *life)
{
	pthread_mutex_lock(&life->lock);
	if (life->request != REQUEST_KILL && life->request != REQUEST_FAILED)
		life->request = REQUEST_NONE;
	pthread_mutex_unlock(&life->lock);
}

/* Paused by ourselves, for want of memory, is as good as running. */
static bool will_run_on(const struct machine *machine)
{
	if (uv_is_active((const uv_handle_t *)&machine->life.reset_retry))
		return machine->life.resume_after_reset;
	return machine->life.state == API_STATE_RUNNING || machine->unreadable.paused_vm;
}

void lifecycle_reset(struct machine *machine, const char *cause)
{
	if (machine->life.state == API_STATE_STOPPED)
		return;
	machine->life.resume_after_reset = will_run_on(machine);
	vcpus_pause(machine->vcpus);
	/* Nothing of the old guest writes any more. */
	(void)vcpus_forget_exits(machine->vcpus, NULL);
	forget_guest_request(&machine->life);
	famine_forget(machine);
	unreadable_forget(machine);
	loop_call(&machine->io, reset_io_side, machine);
	policy_guest_reset(machine);
	machine->life.resets++;
	events_publish(machine, "vm.reset", json_pack("{s:s}", "cause", cause));
	load_and_go(machine);
}

static void crash(struct machine *machine, const char *text)
{
	log_error("vm", "the guest crashed: %s", text);
	if (machine->config->on_crash == VM_ON_RESET_RESTART)
		lifecycle_reset(machine, "crash");
	else
		lifecycle_end(machine, EXIT_CODE_GUEST, text);
}

static void end_with_status(struct machine *machine, uint32_t status)
{
	enum { STATUS_MAX = 61 };
	int code = EXIT_CODE_OK;

	events_publish(machine, "guest.status", json_pack("{s:I}", "status", (json_int_t)status));
	if (status > 0)
		code = EXIT_CODE_GUEST_STATUS + (int)(status < STATUS_MAX ? status : STATUS_MAX);
	lifecycle_end(machine, code,
		      status ? "the guest ended with an error status" : "the guest ended");
}

static void on_request(void *arg)
{
	struct machine *machine = arg;
	struct lifecycle *life = &machine->life;
	enum machine_request request;
	char text[REASON_BYTES];
	uint32_t status;

	pthread_mutex_lock(&life->lock);
	request = life->request;
	status = life->request_status;
	memcpy(text, life->request_text, sizeof(text));
	life->request = REQUEST_NONE;
	pthread_mutex_unlock(&life->lock);

	switch (request) {
	case REQUEST_NONE: break;
	case REQUEST_CRASH: crash(machine, text); break;
	case REQUEST_POWER_OFF:
		lifecycle_end(machine, EXIT_CODE_OK, "the guest powered off");
		break;
	case REQUEST_STATUS: end_with_status(machine, status); break;
	case REQUEST_FAILED:
		atomic_store(&machine->life.abandoned, true); /* S4 */
		lifecycle_end(machine, EXIT_CODE_FAILED, text);
		break;
	case REQUEST_KILL: lifecycle_end(machine, EXIT_CODE_KILLED, text); break;
	case REQUEST_RESET:
		if (machine->config->on_reset == VM_ON_RESET_RESTART)
			lifecycle_reset(machine, "guest");
		else
			lifecycle_end(machine, EXIT_CODE_OK, "the guest rebooted");
		break;
	}
}

void lifecycle_request(struct machine *machine, enum machine_request request, uint32_t status,
		       const char *text)
{
	struct lifecycle *life = &machine->life;

	pthread_mutex_lock(&life->lock);
	if (life->request == REQUEST_NONE || request == REQUEST_KILL ||
	    (request == REQUEST_FAILED && life->request != REQUEST_KILL)) {
		life->request = request;
		life->request_status = status;
		(void)snprintf(life->request_text, sizeof(life->request_text), "%s", text);
	}
	pthread_mutex_unlock(&life->lock);
	loop_post(&machine->control, &life->request_task);
}

void lifecycle_say_why(struct machine *machine, const char *reason)
{
	if (!atomic_exchange(&machine->life.said_why, true))
		(void)dprintf(STDERR_FILENO, "neap: %s: %s\n", machine->config->name, reason);
}

void lifecycle_leave_record(struct machine *machine, int exit_code, const char *reason)
{
	struct err err = { 0 };

	if (!atomic_exchange(&machine->life.left_record, true) &&
	    exit_record_write(&machine->run->exit_place, exit_code, reason, machine->config->uuid,
			      &err) < 0)
		log_error("vm", "the exit record: %s", err.text);
}

static void sleep_ms(unsigned ms)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = (long)(ms * NS_PER_MS) }, NULL);
}

void lifecycle_fail(struct machine *machine, const char *why)
{
	lifecycle_request(machine, REQUEST_FAILED, 0, why);
	sleep_ms(FAIL_GRACE_MS);
	if (atomic_load(&machine->life.abandoned)) /* on its way */
		sleep_ms(FAIL_LEAVE_MS);
	tty_restore();
	lifecycle_leave_record(machine, EXIT_CODE_FAILED, why);
	lifecycle_say_why(machine, why); /* S5 */
	_exit(EXIT_CODE_FAILED);
}

static void on_signal(uv_signal_t *handle, int number)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "ended by signal %d (%s)", number, strsignal(number));
	lifecycle_request(handle->data, REQUEST_KILL, 0, text);
}

int lifecycle_init(struct machine *machine, struct err *err)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	struct lifecycle *life = &machine->life;

	_Static_assert(ARRAY_LEN(numbers) == ARRAY_LEN(life->signals), "a handle per signal");
	life->state = API_STATE_STARTING;
	life->started_ns = clock_now_ns();
	(void)pthread_mutex_init(&life->lock, NULL);
	life->request_task = (struct loop_task){ .run = on_request, .arg = machine };
	(void)uv_timer_init(&machine->control.uv, &life->reset_retry);
	life->reset_retry.data = machine;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		int ret = uv_signal_init(&machine->control.uv, &life->signals[i]);

		life->signals[i].data = machine;
		if (ret == 0)
			ret = uv_signal_start(&life->signals[i], on_signal, numbers[i]);
		if (ret < 0)
			return err_set(err, ret, "signals: %s", uv_strerror(ret));
	}
	return 0;
}

void lifecycle_fini(struct machine *machine)
{
	struct lifecycle *life = &machine->life;

	loop_close_handle((uv_handle_t *)&life->reset_retry);
	for (size_t i = 0; i < ARRAY_LEN(life->signals); i++)
		if (life->signals[i].data)
			loop_close_handle((uv_handle_t *)&life->signals[i]);
	(void)pthread_mutex_destroy(&life->lock);
}
