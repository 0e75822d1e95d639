/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* chain.c - from descriptors to a list of buffers, and copying in and out of them.
 *
 * Problem. The descriptor table belongs to the guest, which may write a cycle, an address outside
 * RAM or anything else into it, and may do so while we read.
 *
 * Invariants
 *  C1  A descriptor is copied once and only the copy is looked at. Whatever another vCPU writes
 *      meanwhile, the chain is one that some order of its stores would have shown.
 *  C2  A walk takes at most num steps in the descriptor table and num in an indirect one, and
 *      collects at most num buffers. A cycle ends there; nothing has to recognise it.
 *  C3  Every buffer of a chain that virtq_pop() hands out lies in RAM, within one region.
 *  C4  Guest memory is touched for a chain only while its head is in flight. After a reset nothing
 *      is, so a device that still holds a chain can neither read nor write through it.
 *
 * Limits. A chain holds at most 2^32 bytes (§2.7.4) and num buffers (§2.7.5.3.1).
 *
 * Sources. virtio 1.2 §2.7.5 "The Virtqueue Descriptor Table", §2.7.5.3 "Indirect Descriptors": the
 * WRITE flag of a descriptor that refers to an indirect table is ignored; such a descriptor may
 * follow direct ones and ends the chain.
 */
#include "virtio/queue_internal.h"

#include <assert.h>

#include "memory/access.h"
#include "virtio/virtio.h"

static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2 §2.7.5");
static_assert((int)VIRTQ_MAX_BUFS >= (int)VIRTQ_MAX_SIZE, "C2: num buffers fit in a chain");

#define CHAIN_MAX_BYTES (UINT64_C(1) << 32)

static int add_buffer(struct virtq *vq, struct virtq_chain *chain, const struct vring_desc *desc)
{
	bool writable = desc->flags & VRING_DESC_F_WRITE;
	unsigned count = chain->readable_count + chain->writable_count;

	if (count >= vq->num)
		return virtq_fault(vq, "chain has more buffers than the queue has descriptors");
	if (!writable && chain->writable_count > 0)
		return virtq_fault(vq, "readable buffer after a writable one");
	if (desc->len_bytes > 0 && !ram_contains(vq->ram, GPA(desc->addr), desc->len_bytes))
		return virtq_fault(vq, "buffer is not in RAM");
	if (chain->readable_bytes + chain->writable_bytes + desc->len_bytes > CHAIN_MAX_BYTES)
		return virtq_fault(vq, "chain is longer than 2^32 bytes");

	chain->bufs[count] = (struct virtq_buf){ GPA(desc->addr), desc->len_bytes };
	if (writable) {
		chain->writable_count++;
		chain->writable_bytes += desc->len_bytes;
	} else {
		chain->readable_count++;
		chain->readable_bytes += desc->len_bytes;
	}
	return 0;
}

/* Collect buffers from one table until the chain ends (*ret_last has no INDIRECT flag) or refers
 * to an indirect table (it has). Table entries are at table + 16 i, i < count. */
static int walk_table(struct virtq *vq, struct virtq_chain *chain, gpa_t table, uint32_t count,
		      uint32_t at, struct vring_desc *ret_last)
{
	for (uint32_t steps = 0; steps < count; steps++) {
		struct vring_desc desc;
		/* Cannot wrap: the whole table was found to be in RAM. */
		int result =
			ram_read(vq->ram, GPA(table.addr + at * sizeof(desc)), &desc, sizeof(desc));

		if (result < 0)
			return result == -ENOSPC ? result : virtq_fault(vq, "table is not in RAM");
		if (!(desc.flags & VRING_DESC_F_INDIRECT)) {
			result = add_buffer(vq, chain, &desc);
			if (result < 0)
				return result;
		}
		if ((desc.flags & VRING_DESC_F_INDIRECT) || !(desc.flags & VRING_DESC_F_NEXT)) {
			*ret_last = desc;
			return 0;
		}
		at = desc.next;
		if (at >= count)
			return virtq_fault(vq, "next is outside the table");
	}
	return virtq_fault(vq, "chain is a cycle");
}

static int walk_indirect(struct virtq *vq, struct virtq_chain *chain, const struct vring_desc *ref)
{
	struct vring_desc last;
	uint32_t count = ref->len_bytes / (uint32_t)sizeof(last);

	if (!(vq->features & VIRTIO_F_INDIRECT_DESC))
		return virtq_fault(vq, "indirect table without INDIRECT_DESC");
	if (ref->flags & VRING_DESC_F_NEXT)
		return virtq_fault(vq, "indirect table and NEXT in one descriptor");
	if (count == 0 || ref->len_bytes % sizeof(last) != 0 || count > vq->num)
		return virtq_fault(vq, "indirect table has a bad length");
	if (!ram_contains(vq->ram, GPA(ref->addr), ref->len_bytes))
		return virtq_fault(vq, "indirect table is not in RAM");

	int result = walk_table(vq, chain, GPA(ref->addr), count, 0, &last);

	if (result == 0 && (last.flags & VRING_DESC_F_INDIRECT))
		return virtq_fault(vq, "indirect table inside an indirect table");
	return result;
}

int chain_walk(struct virtq *vq, uint16_t head, struct virtq_chain *ret_chain)
{
	struct vring_desc last;

	ret_chain->head = head;
	ret_chain->readable_count = 0;
	ret_chain->writable_count = 0;
	ret_chain->readable_bytes = 0;
	ret_chain->writable_bytes = 0;

	int result = walk_table(vq, ret_chain, vq->desc, vq->num, head, &last);

	if (result == 0 && (last.flags & VRING_DESC_F_INDIRECT))
		result = walk_indirect(vq, ret_chain, &last);
	return result;
}

/* Where in guest memory the next piece of a part is: skips *offset bytes of bufs[0 .. count). */
static bool next_piece(const struct virtq_buf *bufs, unsigned count, unsigned *index,
		       uint64_t *offset, struct virtq_buf *ret_piece)
{
	for (; *index < count; (*index)++) {
		const struct virtq_buf *buf = &bufs[*index];

		if (*offset < buf->len_bytes) {
			*ret_piece = (struct virtq_buf){ GPA(buf->addr.addr + *offset),
							 buf->len_bytes - (uint32_t)*offset };
			return true;
		}
		*offset -= buf->len_bytes;
	}
	return false;
}

/* Exactly one of @to and @from is given. */
static int64_t chain_copy(struct virtq *vq, uint16_t head, const struct virtq_buf *bufs,
			  unsigned count, uint64_t offset, uint8_t *to, const uint8_t *from,
			  uint64_t len_bytes)
{
	uint64_t done = 0;
	unsigned index = 0;
	struct virtq_buf piece;

	if (!vq->ready || head >= vq->num || !bitmap_test(vq->in_flight, head))
		return virtq_fault(vq, "copy for a chain that is not in flight"); /* C4 */
	while (done < len_bytes && next_piece(bufs, count, &index, &offset, &piece)) {
		uint64_t step = len_bytes - done;

		if (step > piece.len_bytes)
			step = piece.len_bytes;
		int result = to ? ram_read(vq->ram, piece.addr, to + done, step)
				: ram_write(vq->ram, piece.addr, from + done, step);

		if (result < 0)
			return result == -ENOSPC ? result : virtq_fault(vq, "buffer is not in RAM");
		done += step;
		offset += step;
	}
	return (int64_t)done;
}

int64_t chain_read(struct virtq *vq, const struct virtq_chain *chain, uint64_t offset, void *to,
		   uint64_t len_bytes)
{
	return chain_copy(vq, chain->head, chain->bufs, chain->readable_count, offset, to, NULL,
			  len_bytes);
}

int64_t chain_write(struct virtq *vq, const struct virtq_chain *chain, uint64_t offset,
		    const void *from, uint64_t len_bytes)
{
	return chain_copy(vq, chain->head, chain->bufs + chain->readable_count,
			  chain->writable_count, offset, NULL, from, len_bytes);
}
