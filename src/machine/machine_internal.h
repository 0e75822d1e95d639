/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine_internal.h - struct machine: which part belongs to which thread.
 *
 * Inside machine/ only. Each member says its owner: control, io, vcpu (any vCPU thread), or fixed
 * (written while building, before other threads run).
 */
#ifndef NEAP_MACHINE_MACHINE_INTERNAL_H
#define NEAP_MACHINE_MACHINE_INTERNAL_H

#include <stdatomic.h>

#include "api/api.h"
#include "balloon/balloon.h"
#include "base/exit_code.h"
#include "base/ratelimit.h"
#include "boot/boot.h"
#include "config/vm_config.h"
#include "config/vm_run.h"
#include "device/acpi_ged.h"
#include "device/board.h"
#include "device/bus.h"
#include "device/exit_port.h"
#include "device/i8042.h"
#include "device/ioapic.h"
#include "device/serial.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "machine/famine.h"
#include "machine/grant_glue.h"
#include "machine/loop.h"
#include "machine/policy_glue.h"
#include "machine/terminal.h"
#include "machine/usage_glue.h"
#include "memory/hostmem.h"
#include "memory/ram.h"
#include "rpc/rpc.h"
#include "virtio/console.h"
#include "virtio/rng.h"
#include "virtio/transport_mmio.h"

struct machine;
struct device_type;

/* A queue's doorbell on the I/O loop. */
struct doorbell {
	struct virtio_slot *slot;
	unsigned index;
	uv_poll_t poll;
	bool stalled; /* io: waits for host memory; rung again by the retry timer */
};

/* A virtio-mmio slot of the board with the device in it. */
struct virtio_slot {
	struct machine *machine;
	const struct device_type *type;
	struct virtio_device *vdev;
	struct virtio_mmio *transport;
	int irq_fd;
	unsigned doorbell_count;
	struct doorbell doorbells[VIRTIO_MAX_QUEUES];
	uint64_t breaks_told; /* io: device.broken events sent for this many breaks */
};

enum { REASON_BYTES = 2048 };

/* Blocks that cannot be read back from swap. See unreadable.c. */
struct unreadable {
	pthread_mutex_t lock;	   /* the four below: any thread */
	uint64_t lost;		   /* blocks now */
	uint64_t lost_total;	   /* since the start */
	uint64_t address;	   /* of the last that was lost or found */
	char reason[REASON_BYTES]; /* that was given for it */
	struct loop_task changed;  /* -> control */
	uint64_t told_total;	   /* control: lost_total when the world was told last */
	bool told;		   /* control: loss was announced, recovery not yet */
	bool paused_vm;		   /* control: the VM is paused for this, and nobody asked for it */
};

/* Which pages are dead: asked by the swapper at any time, also while devices come and go. */
struct dead_pages {
	pthread_mutex_t lock;
	const struct balloon *balloon; /* under lock; NULL: nobody knows */
};

/* What a guest or its vCPU asks of the control thread; one at a time, first wins. See lifecycle.c.
 */
enum machine_request {
	REQUEST_NONE,
	REQUEST_RESET, /* the guest wrote a reset port */
	REQUEST_CRASH, /* triple fault, KVM error */
	REQUEST_POWER_OFF,
	REQUEST_STATUS, /* the exit port */
	REQUEST_FAILED, /* neap itself cannot go on */
	REQUEST_KILL,	/* Ctrl-A x, signals: overrides what is there */
};

struct lifecycle {
	enum api_state state;	   /* control */
	char reason[REASON_BYTES]; /* control: why it is in that state */
	uint64_t started_ns;
	uint64_t resets;
	bool resume_after_reset; /* control: while a reset waits for memory */
	bool emptying;		 /* control: guest RAM is not yet empty after a reset */
	uv_timer_t reset_retry;
	uv_signal_t signals[3];
	int exit_code;
	/* The process has to end without waiting for its threads: some sleep for memory. Written by
	 * control, then lifecycle_fail() may look. */
	atomic_bool abandoned;
	atomic_bool said_why;	 /* whoever sets it prints the reason */
	atomic_bool left_record; /* likewise: the exit record */

	pthread_mutex_t lock; /* the three below: any thread */
	enum machine_request request;
	uint32_t request_status;
	char request_text[REASON_BYTES];
	struct loop_task request_task;
};

/* Events that start on other threads. See events.c. */
struct events {
	struct loop_task balloon_moved, stats_arrived, device_broken; /* -> control */
	uv_timer_t balloon_later; /* control: the last of a burst is told too */
	uint64_t balloon_told_ns;
	json_t *balloon_told;	   /* control: the event's data */
	uint64_t stats_told_at_ns; /* io */
	atomic_bool untold;	   /* the balloon moved, or not, while nobody listened */
	struct ratelimit broken_limit;
};

struct machine {
	const struct vm_config *config; /* fixed */
	const struct vm_run *run;	/* fixed */
	unsigned part_count;		/* control: rows of build.c's table that are up */
	struct loop control, io;

	struct kvm kvm;	      /* fixed */
	struct vm *vm;	      /* fixed */
	struct vcpus *vcpus;  /* control */
	struct ram *ram;      /* fixed; contents: the guest's */
	struct bus pio, mmio; /* fixed */

	struct serial *serial;
	struct ioapic *ioapic;
	struct i8042 i8042;
	struct acpi_ged ged;
	struct exit_port exit_port;
	int serial_irq_fd; /* fixed */

	unsigned slot_count; /* fixed */
	struct virtio_slot slots[BOARD_VIRTIO_SLOTS];
	struct balloon *balloon; /* io; NULL without one */
	struct console *console; /* io; NULL without one */
	struct rng *rng;	 /* io; NULL without one */
	uv_timer_t stats_timer;	 /* io */
	uv_timer_t stall_timer;	 /* io */
	uv_timer_t busy_timer;	 /* io: frames of the balloon that were in use are tried again */
	unsigned stalled_count;	 /* io: doorbells that wait for host memory */

	struct terminal *terminal;
	struct rpc_server *server;  /* control */
	struct api_backend backend; /* fixed */
	char socket_path[RPC_PATH_BYTES];

	struct famine famine;
	struct unreadable unreadable;
	struct dead_pages dead_pages;
	struct policy_glue policy;
	struct usage_glue usage;
	struct grant_glue grant;
	struct lifecycle life;
	struct events events;
};

/* build.c: the parts, in the order of one table; undone in reverse. */
int machine_build(struct machine *machine, enum exit_code *ret_code, struct err *err);
void machine_unbuild(struct machine *machine);

/* boot_guest.c: kernel and tables into RAM, vCPU 0 at its first instruction. vCPUs parked. */
int machine_load_guest(struct machine *machine, struct err *err);

/* vcpu_glue.c */
extern const struct vcpu_ops machine_vcpu_ops;

/* unreadable.c; control unless said otherwise */
void unreadable_init(struct machine *machine);
void unreadable_fini(struct machine *machine);
void unreadable_note(void *machine, gpa_t gpa, const char *why, bool lost); /* any thread */
void unreadable_forget(struct machine *machine);

/* memory_glue.c: RAM as the configuration wants it, and what it asks of the other rooms. */
int memory_create(struct machine *machine, struct err *err);
void memory_destroy(struct machine *machine);
void memory_set_balloon(struct machine *machine, const struct balloon *balloon);

/* lifecycle.c; control unless said otherwise */
int lifecycle_init(struct machine *machine, struct err *err);
void lifecycle_fini(struct machine *machine);
enum api_state lifecycle_state(const struct machine *machine);
const char *lifecycle_reason(struct machine *machine);
void lifecycle_set_state(struct machine *machine, enum api_state state, const char *reason);
void lifecycle_start(struct machine *machine);
void lifecycle_pause(struct machine *machine);
void lifecycle_resume(struct machine *machine);
void lifecycle_reset(struct machine *machine, const char *cause);
void lifecycle_end(struct machine *machine, int exit_code, const char *reason);
void lifecycle_request(struct machine *machine, enum machine_request request, uint32_t status,
		       const char *text); /* any thread */
_Noreturn void lifecycle_fail(struct machine *machine,
			      const char *why); /* any thread but control, io and vCPUs */
void lifecycle_say_why(struct machine *machine, const char *reason); /* any thread; once */
/* Any thread; once. */
void lifecycle_leave_record(struct machine *machine, int exit_code, const char *reason);

/* events.c; control unless said otherwise */
int events_init(struct machine *machine, struct err *err);
void events_fini(struct machine *machine);
void events_state(struct machine *machine);
void events_publish(struct machine *machine, const char *kind, json_t *data);
void events_balloon_changed(void *machine);	 /* io */
void events_subscribed(struct machine *machine); /* control: somebody listens to something */

/* memory_view.c: the members of vm.memory, also used by events. Control. */
json_t *memory_view(struct machine *machine);
json_t *memory_view_statistics(struct machine *machine); /* NULL: the guest never said anything */
json_t *memory_view_balloon(struct machine *machine);	 /* asked, taken, returned */
uint64_t memory_view_returned_bytes(const struct machine *machine);
int memory_view_pool(const struct machine *machine, struct hostmem_pool *ret_pool); /* any thread */
bool memory_view_pool_is_empty(const struct machine *machine);			    /* any thread */

/* machine_api.c */
void machine_api_init(struct machine *machine);

#endif
