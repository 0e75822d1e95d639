/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* virtio_slots.c - virtio devices on the board: registers, doorbells, interrupts, the I/O loop.
 *
 * A doorbell is an eventfd: KVM writes it when the guest writes QueueNotify (ioeventfd), the I/O
 * loop reads it and hands the kick to the device. An interrupt is an eventfd the other way round.
 *  V1  Devices run on the I/O thread only. Set-up registers that a vCPU touches get there by
 *      loop_call(), so the vCPU waits; the I/O thread never waits for a vCPU.
 *  V2  A queue that could not go on for want of host memory is kicked again every STALL_RETRY_MS
 *      until it can; nothing of the guest's was consumed meanwhile.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "machine/device_types.h"
#include "machine/devices.h"

enum { STALL_RETRY_MS = 5, BUSY_RETRY_MS = 20 };

static void on_stall_timer(uv_timer_t *timer);

static void note_breaks(struct virtio_slot *slot)
{
	if (slot->vdev->breaks == slot->breaks_told)
		return;
	loop_post(&slot->machine->control, &slot->machine->events.device_broken);
}

static void kick(struct doorbell *doorbell)
{
	struct virtio_slot *slot = doorbell->slot;
	struct machine *machine = slot->machine;

	if (doorbell->stalled)
		machine->stalled_count--;
	doorbell->stalled = false;
	virtio_mmio_kick(slot->transport, doorbell->index);
	if (machine->stalled_count == 0)
		famine_over(machine);
	note_breaks(slot);
}

static void on_doorbell(uv_poll_t *poll, int status, int events)
{
	struct doorbell *doorbell = poll->data;

	(void)status;
	(void)events;
	if (event_drain(virtio_mmio_doorbell(doorbell->slot->transport, doorbell->index)))
		kick(doorbell);
}

static void on_stalled(void *ctx, int doorbell_fd)
{
	struct virtio_slot *slot = ctx;
	struct machine *machine = slot->machine;

	for (unsigned i = 0; i < slot->doorbell_count; i++) {
		struct doorbell *doorbell = &slot->doorbells[i];

		if (virtio_mmio_doorbell(slot->transport, i) != doorbell_fd || doorbell->stalled)
			continue;
		doorbell->stalled = true;
		machine->stalled_count++;
	}
	if (memory_view_pool_is_empty(machine)) /* else it is the device's own rate limit */
		(void)famine_wait(machine, 0);
	/* Not started anew: a guest that rings a stalled queue all the time would put off the retry
	 * of the others for ever. */
	if (!uv_is_active((uv_handle_t *)&machine->stall_timer))
		(void)uv_timer_start(&machine->stall_timer, on_stall_timer, STALL_RETRY_MS, 0);
}

static void on_stall_timer(uv_timer_t *timer) /* V2 */
{
	struct machine *machine = timer->data;

	for (unsigned s = 0; s < machine->slot_count; s++)
		for (unsigned i = 0; i < machine->slots[s].doorbell_count; i++)
			if (machine->slots[s].doorbells[i].stalled)
				kick(&machine->slots[s].doorbells[i]);
}

struct slot_call {
	struct virtio_slot *slot;
	void (*fn)(void *arg);
	void *arg;
};

static void run_slot_call(void *arg)
{
	struct slot_call *call = arg;

	call->fn(call->arg);
	note_breaks(call->slot);
}

static void call_on_io(void *ctx, void (*fn)(void *arg), void *arg) /* V1 */
{
	struct virtio_slot *slot = ctx;
	struct slot_call call = { .slot = slot, .fn = fn, .arg = arg };

	loop_call(&slot->machine->io, run_slot_call, &call);
}

static int wire_doorbells(struct virtio_slot *slot, uint64_t base, struct err *err)
{
	struct machine *machine = slot->machine;

	for (unsigned i = 0; i < slot->vdev->ops->queue_count; i++) {
		struct doorbell *doorbell = &slot->doorbells[i];
		int fd = virtio_mmio_doorbell(slot->transport, i);
		int ret = vm_add_ioeventfd(machine->vm, GPA(base + VIRTIO_MMIO_QUEUE_NOTIFY), i, fd,
					   err);

		if (ret < 0)
			return ret;
		*doorbell = (struct doorbell){ .slot = slot, .index = i };
		ret = uv_poll_init(&machine->io.uv, &doorbell->poll, fd);
		if (ret < 0)
			return err_set(err, ret, "doorbell: %s", uv_strerror(ret));
		doorbell->poll.data = doorbell;
		slot->doorbell_count = i + 1;
		(void)uv_poll_start(&doorbell->poll, UV_READABLE, on_doorbell);
	}
	return 0;
}

static int fill_slot(struct machine *machine, const struct device_type *type, struct err *err)
{
	unsigned index = machine->slot_count;
	uint64_t base = BOARD_VIRTIO_BASE + (uint64_t)index * BOARD_VIRTIO_STRIDE;
	struct virtio_slot *slot = &machine->slots[index];
	int ret;

	*slot = (struct virtio_slot){ .machine = machine, .type = type, .irq_fd = -1 };
	ret = type->create(machine, &slot->vdev, err);
	if (ret < 0)
		return ret;
	machine->slot_count++;
	ret = board_wire_interrupt(machine, BOARD_VIRTIO_GSI + index, &slot->irq_fd, err);
	if (ret < 0)
		return ret;
	ret = virtio_mmio_create(slot->vdev,
				 &(struct virtio_mmio_host){
					 .call = call_on_io, .stalled = on_stalled, .ctx = slot },
				 slot->irq_fd, &slot->transport, err);
	if (ret < 0)
		return ret;
	ret = bus_add(&machine->mmio, base, BOARD_VIRTIO_BYTES, &virtio_mmio_bus_ops,
		      slot->transport, err);
	return ret < 0 ? ret : wire_doorbells(slot, base, err);
}

static void on_stats_timer(uv_timer_t *timer)
{
	struct machine *machine = timer->data;

	balloon_poll_stats(machine->balloon, clock_now_ns());
}

void virtio_slots_ask_statistics(struct machine *machine, uint64_t in_ms)
{
	if (uv_is_active((uv_handle_t *)&machine->stats_timer))
		(void)uv_timer_start(&machine->stats_timer, on_stats_timer, in_ms,
				     uv_timer_get_repeat(&machine->stats_timer));
}

static void on_busy_timer(uv_timer_t *timer)
{
	struct machine *machine = timer->data;

	if (balloon_retry(machine->balloon))
		virtio_slots_balloon_busy(machine);
}

void virtio_slots_balloon_busy(void *ctx)
{
	struct machine *machine = ctx;

	if (!uv_is_active((uv_handle_t *)&machine->busy_timer))
		(void)uv_timer_start(&machine->busy_timer, on_busy_timer, BUSY_RETRY_MS, 0);
}

static void start_timers(struct machine *machine)
{
	uint64_t period_ms = machine->config->balloon.stats_period_s * (NS_PER_S / NS_PER_MS);

	(void)uv_timer_init(&machine->io.uv, &machine->stall_timer);
	(void)uv_timer_init(&machine->io.uv, &machine->stats_timer);
	(void)uv_timer_init(&machine->io.uv, &machine->busy_timer);
	machine->busy_timer.data = machine;
	machine->stall_timer.data = machine;
	machine->stats_timer.data = machine;
	if (machine->balloon && period_ms > 0)
		(void)uv_timer_start(&machine->stats_timer, on_stats_timer, period_ms, period_ms);
}

int virtio_slots_create(struct machine *machine, struct err *err)
{
	for (unsigned i = 0; i < device_type_count; i++) {
		int ret = 0;

		if (device_types[i].wanted(machine->config))
			ret = fill_slot(machine, &device_types[i], err);
		if (ret < 0)
			return err_wrap(err, "virtio %s", device_types[i].name);
	}
	start_timers(machine);
	return 0;
}

void virtio_slots_destroy(struct machine *machine)
{
	if (machine->stall_timer.data) {
		loop_close_handle((uv_handle_t *)&machine->stall_timer);
		loop_close_handle((uv_handle_t *)&machine->stats_timer);
		loop_close_handle((uv_handle_t *)&machine->busy_timer);
	}
	for (unsigned s = 0; s < machine->slot_count; s++)
		for (unsigned i = 0; i < machine->slots[s].doorbell_count; i++)
			loop_close_handle((uv_handle_t *)&machine->slots[s].doorbells[i].poll);
	(void)uv_run(&machine->io.uv, UV_RUN_NOWAIT); /* before the doorbells are closed */
	while (machine->slot_count > 0) {
		struct virtio_slot *slot = &machine->slots[--machine->slot_count];

		virtio_mmio_destroy(slot->transport);
		slot->type->destroy(machine);
		close_fd(&slot->irq_fd);
	}
}

void virtio_slots_reset(struct machine *machine)
{
	for (unsigned s = 0; s < machine->slot_count; s++) {
		virtio_mmio_reset(machine->slots[s].transport);
		for (unsigned i = 0; i < machine->slots[s].doorbell_count; i++)
			machine->slots[s].doorbells[i].stalled = false;
	}
	machine->stalled_count = 0;
	(void)uv_timer_stop(&machine->stall_timer);
	(void)uv_timer_stop(&machine->busy_timer);
}
