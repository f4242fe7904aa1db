/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a packet leaves behind: at every leg that it goes through when it is sent on,
 * else among the reasons. */
#pragma once

#include "forward_maps.h"
#include "receiver.h"
#include "way.h"

/* seen counts a packet at a leg, all but the number. */
static __always_inline void seen(struct leg *l, const struct datagram *d, __u64 now, __u32 scale, bool any)
{
	struct track *k = &l->track;

	__sync_fetch_and_add(&k->bytes, d->size);
	WRITE_ONCE(k->seen, now);
	if (any)
		return;
	receive(&k->receiver, &d->rtp, now, scale);
	if (unlikely(k->ssrc != d->rtp.ssrc))
		WRITE_ONCE(k->ssrc, d->rtp.ssrc);
	if (unlikely(k->payload_type != d->rtp.payload_type))
		WRITE_ONCE(k->payload_type, d->rtp.payload_type);
}

/* count_joined counts at the legs after the first. */
static __attribute__((noinline)) int count_joined(const struct trip *t, const struct datagram *d, __u64 now)
{
	for (__u32 i = 0; i < HOPS - 1; i++) {
		struct leg *l = i < t->hops ? bpf_map_lookup_elem(&legs, &t->index[i]) : NULL;

		if (!l)
			break;
		__sync_fetch_and_add(&l->track.packets, 1);
		seen(l, d, now, l->way.scale, l->way.flags & WAY_ANY);
	}
	return 0;
}

/* still tells whether the legs after the first are as they were taken. */
static __always_inline bool still(const struct trip *t)
{
	for (__u32 i = 0; i < HOPS - 1; i++) {
		struct leg *l = i < t->hops ? bpf_map_lookup_elem(&legs, &t->index[i]) : NULL;

		if (l && !unchanged(l, t->versions[i]))
			return false;
	}
	return true;
}

/* commit counts a packet that is to be sent on; from then on it is ours. When
 * anything that was copied changed while it was, nothing is counted and the packet
 * is user space's. exit is the version of the exit that was copied. */
static __always_inline enum reason commit(struct trip *t, const struct datagram *d, __u64 now, __u32 exit)
{
	__u64 n = __sync_fetch_and_add(&t->first->track.packets, 1);

	asm volatile("" ::"r"(n)); /* with its result used, the addition is ordered: after the copies, before the looks */
	if (!unchanged(t->first, t->version) || READ_ONCE(t->last->exit.version) != exit || (t->hops && !still(t))) {
		__sync_fetch_and_add(&t->first->track.packets, -1ULL);
		return REASON_CHANGING;
	}
	seen(t->first, d, now, t->scale, t->any);
	if (unlikely(t->hops))
		count_joined(t, d, now);
	return ON;
}

/* stop counts why a packet is not sent on, and says what becomes of it. */
static __always_inline int stop(enum reason r)
{
	struct reasons *c = only(&reasons);

	if (c && r < REASONS)
		c->packets[r]++;
	return r == REASON_WRONG_SOURCE || r == REASON_FAILED ? XDP_DROP : XDP_PASS;
}

/* failed is for a packet that was counted and changed, and yet cannot be sent. */
static __always_inline int failed(const struct trip *t)
{
	__sync_fetch_and_add(&t->last->track.failed, 1);
	return stop(REASON_FAILED);
}
