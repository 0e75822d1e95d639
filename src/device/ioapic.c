/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ioapic.c - see ioapic.h.
 *
 * Invariants
 *  I1  routes[pin] is what set_route was last told, and always follows from entries[pin].
 *  I2  A pin whose route went from disabled to enabled is followed by one unmasked(pin), after the
 *      route is in place: an edge before that would be lost, one after it is not.
 */
#include "device/ioapic.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "device/board.h"

enum {
	IOREGSEL = 0x00, /* offsets in the page */
	IOWIN = 0x10,
	EOIR = 0x40,

	REG_ID = 0x00, /* register indices */
	REG_VERSION = 0x01,
	REG_ARBITRATION = 0x02,
	REG_ENTRIES = 0x10,

	VERSION = 0x20, /* the first with an EOI register */
};

#define ID_MASK UINT32_C(0x0f000000)

/* Redirection entry */
#define ENTRY_VECTOR	      UINT64_C(0xff)
#define ENTRY_DELIVERY	      (UINT64_C(7) << 8)
#define ENTRY_LOGICAL	      (UINT64_C(1) << 11)
#define ENTRY_LEVEL	      (UINT64_C(1) << 15)
#define ENTRY_MASKED	      (UINT64_C(1) << 16)
#define ENTRY_LOW_DWORD	      UINT64_C(0xffffffff)
#define ENTRY_READ_WRITE      UINT64_C(0xfffe00000001afff) /* all but reserved and read-only bits */
#define ENTRY_EXT_DEST(entry) (((entry) >> 49) & 0x7f)
#define ENTRY_DEST(entry)     ((entry) >> 56)

/* MSI */
#define MSI_ADDR_BASE		UINT64_C(0xfee00000)
#define MSI_ADDR_DEST_SHIFT	12
#define MSI_ADDR_LOGICAL	(UINT64_C(1) << 2)
#define MSI_ADDR_EXT_DEST_SHIFT 40
#define MSI_DATA_LEVEL		(UINT32_C(1) << 15)
#define MSI_DATA_ASSERT		(UINT32_C(1) << 14)

enum { DELIVERY_FIXED = 0, DELIVERY_LOWEST = 1, DELIVERY_NMI = 4, DELIVERY_INIT = 5 };
enum { FIRST_LEGAL_VECTOR = 16 };

struct ioapic {
	struct ioapic_host host;
	pthread_mutex_t lock; /* everything below */
	uint8_t index;
	uint32_t id;
	uint64_t entries[BOARD_PIN_COUNT];
	struct ioapic_route routes[BOARD_PIN_COUNT];
};

static bool deliverable(uint64_t entry)
{
	if (entry & ENTRY_MASKED)
		return false;
	switch ((entry & ENTRY_DELIVERY) >> 8) {
	case DELIVERY_FIXED:
	case DELIVERY_LOWEST: return (entry & ENTRY_VECTOR) >= FIRST_LEGAL_VECTOR;
	case DELIVERY_NMI:
	case DELIVERY_INIT: return true;
	default: return false;
	}
}

static struct ioapic_route route_of(uint64_t entry)
{
	struct ioapic_route route = { .enabled = deliverable(entry) };

	if (!route.enabled)
		return route;
	route.addr = MSI_ADDR_BASE | ENTRY_DEST(entry) << MSI_ADDR_DEST_SHIFT |
		     ENTRY_EXT_DEST(entry) << MSI_ADDR_EXT_DEST_SHIFT;
	if (entry & ENTRY_LOGICAL)
		route.addr |= MSI_ADDR_LOGICAL;
	route.data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_DELIVERY));
	if (entry & ENTRY_LEVEL)
		route.data |= MSI_DATA_LEVEL | MSI_DATA_ASSERT;
	return route;
}

static bool route_equal(const struct ioapic_route *a, const struct ioapic_route *b)
{
	return a->enabled == b->enabled && a->addr == b->addr && a->data == b->data;
}

/* True: the pin has become deliverable, so unmasked() is owed once the lock is free (I2). */
static bool set_entry_locked(struct ioapic *ioapic, uint32_t pin, uint64_t entry)
{
	struct ioapic_route route = route_of(entry);
	bool was_enabled = ioapic->routes[pin].enabled;

	ioapic->entries[pin] = entry;
	if (route_equal(&route, &ioapic->routes[pin]))
		return false;
	ioapic->routes[pin] = route;
	ioapic->host.set_route(ioapic->host.ctx, pin, &route);
	return route.enabled && !was_enabled;
}

/* Which half of which pin's entry a register index is. */
static bool entry_of(uint8_t index, uint32_t *ret_pin, unsigned *ret_shift)
{
	uint32_t pin = ((uint32_t)index - REG_ENTRIES) / 2;

	if (index < REG_ENTRIES || pin >= BOARD_PIN_COUNT)
		return false;
	*ret_pin = pin;
	*ret_shift = (index & 1) ? 32 : 0;
	return true;
}

static uint32_t read_register_locked(const struct ioapic *ioapic)
{
	uint32_t pin;
	unsigned shift;

	if (entry_of(ioapic->index, &pin, &shift))
		return (uint32_t)(ioapic->entries[pin] >> shift);
	switch (ioapic->index) {
	case REG_ID:
	case REG_ARBITRATION: return ioapic->id;
	case REG_VERSION: return VERSION | (BOARD_PIN_COUNT - 1) << 16;
	default: return 0;
	}
}

static void write_register(struct ioapic *ioapic, uint32_t value)
{
	uint32_t pin = 0;
	unsigned shift;
	bool ask = false;

	pthread_mutex_lock(&ioapic->lock);
	if (entry_of(ioapic->index, &pin, &shift)) {
		uint64_t kept = ioapic->entries[pin] & ~(ENTRY_LOW_DWORD << shift);

		ask = set_entry_locked(ioapic, pin,
				       (kept | (uint64_t)value << shift) & ENTRY_READ_WRITE);
	} else if (ioapic->index == REG_ID) {
		ioapic->id = value & ID_MASK;
	}
	pthread_mutex_unlock(&ioapic->lock);
	if (ask)
		ioapic->host.unmasked(ioapic->host.ctx, pin);
}

/* Registers are 32 bits wide; a narrower access sees the low bytes, a wider one zeros above. */
static void mmio_read(void *device, uint64_t offset, void *data, uint32_t len)
{
	struct ioapic *ioapic = device;
	uint64_t value = 0;

	pthread_mutex_lock(&ioapic->lock);
	if (offset == IOREGSEL)
		value = ioapic->index;
	else if (offset == IOWIN)
		value = read_register_locked(ioapic);
	pthread_mutex_unlock(&ioapic->lock);
	memcpy(data, &value, len);
}

static void mmio_write(void *device, uint64_t offset, const void *data, uint32_t len)
{
	struct ioapic *ioapic = device;
	uint64_t value = 0;

	memcpy(&value, data, len);
	if (offset == IOREGSEL) {
		pthread_mutex_lock(&ioapic->lock);
		ioapic->index = (uint8_t)value;
		pthread_mutex_unlock(&ioapic->lock);
	} else if (offset == IOWIN && len >= sizeof(uint32_t)) {
		write_register(ioapic, (uint32_t)value);
	} else if (offset == EOIR) {
		ioapic_eoi(ioapic, (uint8_t)value);
	}
}

/* The register select only says what the window shows. */
static const struct bus_span lazy[] = { { IOREGSEL, IOREGSEL + sizeof(uint32_t) } };

const struct bus_ops ioapic_bus_ops = {
	.name = "ioapic",
	.read = mmio_read,
	.write = mmio_write,
	.lazy = lazy,
	.lazy_count = ARRAY_LEN(lazy),
};

static_assert(BOARD_PIN_COUNT <= 64, "a set of pins is a word");

/* The pins whose level-triggered interrupt @vector is. */
static uint64_t pins_of_vector(struct ioapic *ioapic, uint8_t vector)
{
	uint64_t pins = 0;

	pthread_mutex_lock(&ioapic->lock);
	for (uint32_t pin = 0; pin < BOARD_PIN_COUNT; pin++) {
		uint64_t entry = ioapic->entries[pin];

		if (ioapic->routes[pin].enabled && (entry & ENTRY_LEVEL) &&
		    (entry & ENTRY_VECTOR) == vector)
			pins |= UINT64_C(1) << pin;
	}
	pthread_mutex_unlock(&ioapic->lock);
	return pins;
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (uint64_t pins = pins_of_vector(ioapic, vector); pins; pins &= pins - 1)
		ioapic->host.unmasked(ioapic->host.ctx, (uint32_t)__builtin_ctzll(pins));
}

void ioapic_reset(struct ioapic *ioapic)
{
	pthread_mutex_lock(&ioapic->lock);
	ioapic->index = 0;
	ioapic->id = 0;
	for (uint32_t pin = 0; pin < BOARD_PIN_COUNT; pin++)
		(void)set_entry_locked(ioapic, pin, ENTRY_MASKED);
	pthread_mutex_unlock(&ioapic->lock);
}

int ioapic_create(const struct ioapic_host *host, struct ioapic **ret_ioapic, struct err *err)
{
	struct ioapic *ioapic = calloc(1, sizeof(*ioapic));

	if (!ioapic)
		return err_set(err, -ENOMEM, "I/O APIC: out of memory");
	ioapic->host = *host;
	(void)pthread_mutex_init(&ioapic->lock, NULL);
	ioapic_reset(ioapic); /* no route is enabled yet, so nothing is called */
	*ret_ioapic = ioapic;
	return 0;
}

void ioapic_destroy(struct ioapic *ioapic)
{
	if (!ioapic)
		return;
	(void)pthread_mutex_destroy(&ioapic->lock);
	free(ioapic);
}
