/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* wire.c - see wire.h.
 *
 * Not a uv_pipe_t: libuv's cannot send a descriptor with text, allocates for each write, and does not
 * say that the other end is gone while nothing is read.
 *
 * Invariants
 *  W1  What is said leaves in the order it was said in; a descriptor with the first byte of its text,
 *      and that text in a sendmsg() of its own.
 *  W2  A wire that has nothing to say and no half message holds no memory beyond its struct.
 *  W3  UV_PRIORITIZED is always watched for. No UNIX socket has urgent data, but with it the poll
 *      tells a hang-up (both directions are closed) even when nothing else is listened for; a client
 *      that only ended its own stream is not taken for gone.
 *  W4  One turn reads at most WIRE_READ_BYTES and sends at most FLUSH_MAX_BYTES.
 *  W5  With takes_lines no byte behind a newline is taken before that line was: what follows the answer
 *      to vm.console is not ours to read.
 *
 * Sources: unix(7), "Ancillary messages"; epoll_ctl(2), EPOLLHUP.
 */
#include "rpc/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "config/json_text.h"

enum { FLUSH_ITEMS = 32, ITEMS_FIRST = 4 };
#define FLUSH_MAX_BYTES (UINT64_C(1) * MIB_BYTES)
#define TAIL_FULL_BYTES (UINT64_C(64) * KIB_BYTES)

/* --- the queue ------------------------------------------------------------------------------- */

static struct wire_item *item_at(const struct wire *wire, unsigned index)
{
	return &wire->items[(wire->first + index) % wire->capacity];
}

static int make_room(struct wire *wire)
{
	unsigned capacity = wire->capacity ? 2 * wire->capacity : ITEMS_FIRST;
	struct wire_item *items;

	if (wire->count < wire->capacity)
		return 0;
	items = calloc(capacity, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (unsigned i = 0; i < wire->count; i++)
		items[i] = *item_at(wire, i);
	free(wire->items);
	wire->items = items;
	wire->capacity = capacity;
	wire->first = 0;
	return 0;
}

/* Steals @text and @fd. */
static int enqueue(struct wire *wire, struct shared_text *text, int fd)
{
	if (!text || make_room(wire) < 0) {
		shared_text_put(text);
		close_fd(&fd);
		return -ENOMEM;
	}
	*item_at(wire, wire->count++) = (struct wire_item){ .text = text, .fd = fd };
	wire->unsent_fds += fd >= 0;
	return 0;
}

static void dequeue(struct wire *wire)
{
	struct wire_item *item = item_at(wire, 0);

	shared_text_put(item->text);
	close_fd(&item->fd);
	wire->sent_bytes = 0;
	wire->first = (wire->first + 1) % wire->capacity;
	if (--wire->count > 0)
		return;
	free(wire->items);
	wire->items = NULL;
	wire->capacity = 0;
	wire->first = 0;
}

/* The tail becomes an item, so that something else can stand behind it. */
static int seal_tail(struct wire *wire)
{
	size_t len = wire->tail.len;

	if (len == 0)
		return 0;
	return enqueue(wire, shared_text_create(strbuf_take(&wire->tail), len), -1);
}

int wire_say_by(struct wire *wire, api_write write, void *ctx)
{
	struct strbuf *tail = &wire->tail;
	int ret = tail->len >= TAIL_FULL_BYTES ? seal_tail(wire) : 0;
	size_t len = tail->len;

	if (ret == 0) {
		write(ctx, tail);
		json_text_plain(tail, "\n");
		ret = tail->failed ? -ENOMEM : 0;
	}
	if (ret == 0 && wire->unsent_bytes + (tail->len - len) > WIRE_UNSENT_MAX_BYTES)
		ret = -ENOBUFS;
	if (ret == 0) {
		wire->unsent_bytes += tail->len - len;
	} else { /* as if nothing had been said */
		tail->len = len;
		tail->failed = false;
	}
	return ret;
}

static void write_json(void *json, struct strbuf *out)
{
	json_text_value(out, json);
}

int wire_say_json(struct wire *wire, json_t *json)
{
	int ret = wire_say_by(wire, write_json, json);

	json_decref(json);
	return ret;
}

int wire_say_shared(struct wire *wire, struct shared_text *text)
{
	int ret = seal_tail(wire);

	if (ret < 0)
		return ret;
	text->references++;
	ret = enqueue(wire, text, -1);
	if (ret == 0)
		wire->unsent_bytes += text->len;
	return ret;
}

int wire_say_with_fd(struct wire *wire, json_t *json, int fd)
{
	char *line = jsonrpc_line(json);
	size_t len = line ? strlen(line) : 0;
	int ret = seal_tail(wire);

	if (ret == 0)
		ret = enqueue(wire, shared_text_create(line, len), fd);
	else {
		free(line);
		close_fd(&fd);
	}
	if (ret == 0)
		wire->unsent_bytes += len;
	return ret;
}

/* --- sending --------------------------------------------------------------------------------- */

/* The items for one sendmsg(): see W1. */
static unsigned gather(const struct wire *wire, struct iovec pieces[FLUSH_ITEMS])
{
	unsigned count = 0;

	while (count < wire->count && count < FLUSH_ITEMS) {
		const struct wire_item *item = item_at(wire, count);
		size_t skip = count == 0 ? wire->sent_bytes : 0;

		if (count > 0 && item->fd >= 0)
			break;
		pieces[count++] = (struct iovec){ .iov_base = item->text->text + skip,
						  .iov_len = item->text->len - skip };
		if (item->fd >= 0)
			break;
	}
	return count;
}

static ssize_t send_some(struct wire *wire)
{
	struct iovec pieces[FLUSH_ITEMS];
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { { 0 } };
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = gather(wire, pieces) };
	struct wire_item *first = item_at(wire, 0);
	ssize_t sent;

	if (first->fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS,
						   .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.header), &first->fd, sizeof(int));
	}
	sent = sendmsg(wire->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0 && first->fd >= 0) {
		close_fd(&first->fd);
		wire->unsent_fds--;
	}
	return sent < 0 ? -errno : sent;
}

static void consume(struct wire *wire, size_t len)
{
	wire->unsent_bytes -= len;
	while (len > 0) {
		size_t left = item_at(wire, 0)->text->len - wire->sent_bytes;

		if (len < left) {
			wire->sent_bytes += len;
			return;
		}
		len -= left;
		dequeue(wire);
	}
}

int wire_flush(struct wire *wire)
{
	uint64_t total = 0;
	int ret = wire_is_closed(wire) ? -EPIPE : seal_tail(wire);

	while (ret == 0 && wire->count > 0 && total < FLUSH_MAX_BYTES) {
		ssize_t sent = send_some(wire);

		if (sent == -EAGAIN)
			break;
		if (sent < 0 && sent != -EINTR)
			return (int)sent;
		if (sent > 0) {
			consume(wire, (size_t)sent);
			total += (uint64_t)sent;
		}
	}
	return ret;
}

/* --- the loop -------------------------------------------------------------------------------- */

/* W5 */
static size_t bytes_to_take(const struct wire *wire, char *bytes, size_t len)
{
	ssize_t seen = wire->takes_lines ? recv(wire->fd, bytes, len, MSG_DONTWAIT | MSG_PEEK) : 0;
	const char *newline = seen > 0 ? memchr(bytes, '\n', (size_t)seen) : NULL;

	return newline ? (size_t)(newline - bytes) + 1 : len;
}

static void read_some(struct wire *wire)
{
	char bytes[WIRE_READ_BYTES];
	size_t len = bytes_to_take(wire, bytes, sizeof(bytes));
	ssize_t got = recv(wire->fd, bytes, len, MSG_DONTWAIT);
	int ret;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		wire->has_ended = true;
		wire->ops->on_end(wire, got < 0 ? -errno : 0);
		return;
	}
	ret = frame_append(&wire->in, bytes, (size_t)got);
	if (ret < 0)
		wire->ops->on_end(wire, ret);
	else
		wire->ops->on_bytes(wire);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct wire *wire = poll->data;

	/* The other end left with bytes of ours unread. What it had said before is there still; libuv
	 * has stopped listening. */
	if (status < 0) {
		(void)uv_poll_start(poll, wire->watched, on_poll);
		events = wire->watched & UV_READABLE ? UV_READABLE : UV_PRIORITIZED;
	}
	if (events == UV_PRIORITIZED)
		wire->ops->on_end(wire, -EPIPE);
	if (!wire_is_closed(wire) && events & wire->watched & UV_READABLE)
		read_some(wire);
	if (!wire_is_closed(wire) && events & wire->watched & UV_WRITABLE)
		wire->ops->on_writable(wire);
}

void wire_watch(struct wire *wire, bool for_bytes, bool for_room)
{
	int watched = UV_PRIORITIZED | (for_bytes && !wire->has_ended ? UV_READABLE : 0) |
		      (for_room ? UV_WRITABLE : 0);

	if (wire_is_closed(wire) || watched == wire->watched)
		return;
	wire->watched = watched;
	(void)uv_poll_start(&wire->poll, watched,
			    on_poll); /* fails only for a handle that closes */
}

int wire_open(struct wire *wire, uv_loop_t *loop, int fd, const struct wire_ops *ops)
{
	int ret;

	*wire = (struct wire){ .fd = fd, .ops = ops };
	strbuf_init(&wire->tail, WIRE_UNSENT_MAX_BYTES);
	ret = uv_poll_init(loop, &wire->poll, fd);
	if (ret < 0) {
		close_fd(&wire->fd);
		return ret;
	}
	wire->poll.data = wire;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct wire *wire = handle->data;

	wire->ops->on_freed(wire);
}

int wire_take_fd(struct wire *wire)
{
	if (wire_is_closed(wire))
		return -1;
	while (wire->count > 0)
		dequeue(wire);
	strbuf_fini(&wire->tail);
	frame_fini(&wire->in);
	uv_close((uv_handle_t *)&wire->poll, on_closed);
	return take_fd(&wire->fd);
}

void wire_close(struct wire *wire)
{
	int fd = wire_take_fd(wire);

	close_fd(&fd);
}

size_t wire_held_bytes(const struct wire *wire)
{
	return wire->in.capacity + wire->capacity * sizeof(*wire->items) + wire->unsent_bytes;
}
