/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker_loop.c - the broker in the daemon: what it says goes to VMs and clients, and it gets a tick of its
 * own when it wants one. */
#include "host/broker_loop.h"

#include "base/clock.h"
#include "config/host_config.h"
#include "host/contact.h"
#include "host/host_internal.h"

static void tell_grant(void *ctx, uint64_t grant_bytes)
{
	contact_tell(ctx, "vm.memory.grant",
		     json_pack("{s:I}", "grant_bytes", (json_int_t)grant_bytes));
}

static void tell_event(void *ctx, void *vm, const char *kind, json_t *data)
{
	host_publish(ctx, vm, kind, data);
}

static int create_broker(struct host *host, struct err *err)
{
	const struct broker_config config = { .root = "", .grants = host->config->broker.grants };
	const struct broker_ops ops = { .grant = tell_grant, .tell = tell_event, .ctx = host };

	return broker_create(&config, &ops, &host->broker, err);
}

static void on_soon(uv_timer_t *timer)
{
	struct host *host = timer->data;

	broker_tick(host->broker, clock_now_ns());
}

/* A VM that needs memory does not wait for the second; many that do wait for each other a little, and one
 * that is held at its grant for next to nobody. */
static void before_sleep(uv_prepare_t *prepare)
{
	struct host *host = prepare->data;
	unsigned in_ms;

	if (!broker_wants_tick(host->broker))
		return;
	in_ms = broker_tick_in_ms(host->broker, clock_now_ns());
	if (!uv_is_active((uv_handle_t *)&host->soon) || uv_timer_get_due_in(&host->soon) > in_ms)
		(void)uv_timer_start(&host->soon, on_soon, in_ms, 0);
}

int broker_loop_open(struct host *host, struct err *err)
{
	int ret = create_broker(host, err);

	if (ret < 0)
		return ret;
	(void)uv_timer_init(&host->loop, &host->soon);
	(void)uv_prepare_init(&host->loop, &host->before_sleep);
	host->soon.data = host->before_sleep.data = host;
	(void)uv_prepare_start(&host->before_sleep, before_sleep);
	return 0;
}

void broker_loop_stop(struct host *host)
{
	(void)uv_timer_stop(&host->soon);
	(void)uv_prepare_stop(&host->before_sleep);
}
