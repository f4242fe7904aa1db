/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A receiver of one direction of an RTP stream: loss, order and jitter (RFC 3550
 * A.1, A.3 and A.8). wire/rtp.Receiver is the same in Go, over the same memory; a
 * differential test holds the two together: whoever changes one changes both. */
#pragma once

#include "kernel.h"

struct receiver {
	__u64 base;      /* extended sequence number this stream began with */
	__u64 highest;   /* extended sequence number seen */
	__u64 window;    /* bit i is set when highest-i has been seen */
	__u64 arrival;   /* ns, of the packet that stamp is of */
	__u64 received;  /* sum: packets, duplicates included */
	__u64 past;      /* sum: packets expected in streams that ended */
	__u64 reordered; /* sum */
	__u64 duplicate; /* sum */
	__u32 ssrc;
	__u32 stamp;    /* timestamp of the last packet in order */
	__u32 jitter;   /* times 16, as in A.8 */
	__u32 resync;   /* the number that would confirm a jump, plus NO_RESYNC; else 0 */
	__u32 restarts; /* sum */
	__u32 started;  /* 1 from the first packet on */
};
ASSERT_SIZE(struct receiver, 88);

#define MAX_DROPOUT 3000        /* a jump forward below this is loss */
#define MAX_TRANSIT (1 << 16)   /* 8 s at 8000 Hz */
#define MAX_PAUSE (1ULL << 33)  /* ns */
#define NO_RESYNC (1U << 16)    /* above all sequence numbers */

/* What a receiver wants to know of a packet, in host order. */
struct rtp {
	__u32 stamp;
	__u32 ssrc;
	__u16 sequence;
	__u8 payload_type;
};

static __always_inline void receiver_begin(struct receiver *r, const struct rtp *h, __u64 now)
{
	__u64 first = (1ULL << 32) + h->sequence;

	if (r->started) {
		__sync_fetch_and_add(&r->past, r->highest - r->base + 1);
		__sync_fetch_and_add(&r->restarts, 1);
	}
	WRITE_ONCE(r->highest, first);
	WRITE_ONCE(r->base, first);
	r->window = 1;
	r->resync = 0;
	r->stamp = h->stamp;
	r->arrival = now;
	WRITE_ONCE(r->ssrc, h->ssrc);
	WRITE_ONCE(r->started, 1);
}

/* measure is A.8: packets that share a timestamp were not sent at the same time in
 * audio, so only the first counts. */
static __always_inline void receiver_measure(struct receiver *r, const struct rtp *h, __u64 now, __u32 scale)
{
	__u64 elapsed = now - r->arrival;
	__u32 ahead = h->stamp - r->stamp, d, jitter;

	if (!ahead)
		return;
	r->stamp = h->stamp;
	r->arrival = now;
	if (elapsed > MAX_PAUSE)
		return;
	d = (__u32)((elapsed >> 4) * scale >> 34) - ahead;
	if (d >> 31)
		d = -d;
	if (d > MAX_TRANSIT)
		return;
	jitter = r->jitter;
	WRITE_ONCE(r->jitter, jitter + d - ((jitter + 8) >> 4));
}

/* receive adds a packet that arrived at now. */
static __always_inline void receive(struct receiver *r, const struct rtp *h, __u64 now, __u32 scale)
{
	__u64 highest = r->highest, behind;
	__u16 ahead = h->sequence - (__u16)highest;

	if (unlikely(!r->started || h->ssrc != r->ssrc)) {
		__sync_fetch_and_add(&r->received, 1);
		receiver_begin(r, h, now);
		return;
	}
	behind = (__u16)-ahead;
	if (likely(ahead && ahead < MAX_DROPOUT)) {
		__sync_fetch_and_add(&r->received, 1);
		WRITE_ONCE(r->highest, highest + ahead);
		r->window = ahead < 64 ? r->window << ahead | 1 : 1;
		receiver_measure(r, h, now, scale);
	} else if (!ahead) {
		__sync_fetch_and_add(&r->received, 1);
		__sync_fetch_and_add(&r->duplicate, 1);
		return;
	} else if (behind < 64) {
		__sync_fetch_and_add(&r->received, 1);
		if (highest - behind < r->base) {
			/* Sent before the first one that arrived: expected after all. */
			WRITE_ONCE(r->base, highest - behind);
		} else if (r->window >> behind & 1) {
			__sync_fetch_and_add(&r->duplicate, 1);
			return;
		}
		r->window |= 1ULL << behind;
		__sync_fetch_and_add(&r->reordered, 1);
	} else if (r->resync == NO_RESYNC + h->sequence) {
		/* Two in a row after a jump: the sender restarted. Its first one was
		 * taken for a straggler below. */
		__sync_fetch_and_add(&r->received, 2);
		receiver_begin(r, h, now);
		WRITE_ONCE(r->base, r->highest - 1);
		r->window = 3;
		return;
	} else {
		/* Belongs to no stream yet; counted when the next one confirms it. */
		r->resync = NO_RESYNC + (__u16)(h->sequence + 1);
		return;
	}
	if (unlikely(r->resync))
		r->resync = 0;
}
