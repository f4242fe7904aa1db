/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which way a packet goes: its leg, and where that one leads to another leg of ours,
 * the next one at once. Nothing is counted before all of it is known. */
#pragma once

#include "datagram.h"
#include "forward_maps.h"
#include "leg.h"

#define HOPS 3 /* legs that one packet may go through here */

/* What compilers must not do across: read the way before its version or after it. */
#define barrier() asm volatile("" ::: "memory")

struct trip {
	struct way way;        /* the last leg's; of the first one on the way */
	struct leg *first;
	struct leg *last;
	__u32 version;         /* of the first leg's way */
	__u32 scale;
	__u32 hops;            /* legs after the first */
	__u32 index[HOPS - 1]; /* and which */
	__u32 versions[HOPS - 1];
	bool any;
};

/* after is p, for a processor that must not read it before it read version: where
 * loads may be out of order, an address that depends on one keeps it first. */
static __always_inline void *after(void *p, __u64 version)
{
	asm volatile("%0 &= 0" : "+r"(version));
	return p + version;
}

/* take copies a leg's way if it is whole and to be repeated here. */
static __always_inline enum reason take(struct leg *l, struct way *w)
{
	__u32 version = READ_ONCE(l->way.version);

	barrier();
	*w = *(struct way *)after(&l->way, version);
	barrier();
	w->version = version;
	if (version & 1)
		return REASON_CHANGING;
	return w->flags & WAY_KERNEL ? ON : REASON_NOT_KERNEL;
}

/* unchanged tells whether a way is still the one that was taken. */
static __always_inline bool unchanged(const struct leg *l, __u32 version)
{
	return READ_ONCE(l->way.version) == version;
}

/* follow goes on to the leg whose local side the packet would be sent to, as if it had
 * gone out and come in again. It is a function of its own: few packets need it. */
static __attribute__((noinline)) int follow(struct trip *t, const struct datagram *d)
{
	__u32 span = last_port - first_port + 1;

	for (int i = 0; i < HOPS - 1; i++) {
		struct way was = t->way;
		__u32 at = (was.flags >> WAY_FACE_SHIFT) * span + from_be16(was.to_port_be) - first_port;
		struct leg *l = bpf_map_lookup_elem(&legs, &at);

		if (!l || take(l, &t->way) != ON)
			return REASON_NOT_JOINED;
		if (!(t->way.flags & WAY_V6) != !(was.flags & WAY_TO_V6) || t->way.from_port_be != was.via_port_be ||
		    !same(t->way.from_be, was.via_be, true))
			return REASON_NOT_JOINED;
		if (!(t->way.flags & WAY_ANY) && !d->is_rtp)
			return REASON_NOT_JOINED;
		t->index[i] = at;
		t->versions[i] = t->way.version;
		t->last = l;
		t->hops++;
		if (!(t->way.flags & WAY_JOINED))
			return ON;
	}
	return REASON_NOT_JOINED;
}

/* wrong counts a packet that is not from whom the leg believes. */
static __always_inline enum reason wrong(struct leg *l, __u32 version)
{
	__u64 n = __sync_fetch_and_add(&l->track.wrong_source, 1);

	asm volatile("" ::"r"(n)); /* with its result used, the addition is ordered */
	if (unchanged(l, version))
		return REASON_WRONG_SOURCE;
	__sync_fetch_and_add(&l->track.wrong_source, -1ULL);
	return REASON_CHANGING;
}

/* set_out finds the leg that a datagram is for, whether it is from whom that one
 * believes and of the kind that it carries, and where it goes. */
static __always_inline enum reason set_out(struct datagram *d, void *ip, void *end, struct trip *t)
{
	struct ipv4 *four = ip;
	struct ipv6 *six = ip;
	struct udp *u = d->v6 ? (void *)(six + 1) : (void *)(four + 1);
	struct leg *l = bpf_map_lookup_elem(&legs, &d->index);
	enum reason r;

	if (!l)
		return REASON_NOT_MEDIA;
	r = take(l, &t->way);
	if (r != ON)
		return r;
	t->first = t->last = l;
	t->version = t->way.version;
	if (u->source_be != t->way.from_port_be || !same(d->v6 ? six->source_be : &four->source_be, t->way.from_be, d->v6))
		return wrong(l, t->version);
	t->scale = t->way.scale;
	t->any = t->way.flags & WAY_ANY;
	if (!t->any) {
		d->is_rtp = media((void *)(u + 1), end, d);
		if (!d->is_rtp)
			return REASON_NOT_RTP;
	}
	if ((d->v6 ? six->hops : four->ttl) <= 1)
		return REASON_LAST_HOP;
	if (unlikely(t->way.flags & WAY_JOINED))
		return follow(t, d);
	return ON;
}
