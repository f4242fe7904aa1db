/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* judge decides and counts nothing. shield/judge says the same in Go, and a
 * differential fuzz holds the two together: whoever changes one changes both. */
#pragma once

#include "bucket.h"
#include "clock.h"
#include "kernel.h"
#include "maps.h"
#include "packet.h"
#include "trie.h"
#include "types.h"

static __always_inline bool live(__u16 port)
{
	struct legs *l = first(&legs);

	return l && READ_ONCE(l->live[port / 64]) >> (port % 64) & 1;
}

/* country tells whether there is a table, and fills in what it says. */
static __always_inline bool country(struct packet *p)
{
	void *inner = first(&tables);
	struct table *t;

	if (!inner)
		return false;
	t = first(inner);
	if (!t)
		return false;
	p->country = find(t->root4, COUNTRY_ROOT4, t->root6, COUNTRY_ROOT6, t->words, COUNTRY_WORDS - 1, p);
	return true;
}

static __always_inline struct policy *in_force(void)
{
	void *inner = first(&policies);

	return inner ? first(inner) : NULL;
}

/* exactly finds what is known of exactly this source. */
static __always_inline struct source *exactly(const struct packet *p)
{
	__u64 key = p->high; /* a copy on the stack, so that the packet itself can stay in registers */
	struct marks *m = first(&marks);

	if (!m || likely(!READ_ONCE(m->count[p->hash >> MARK_SHIFT & (MARKS - 1)])))
		return NULL;
	return bpf_map_lookup_elem(&sources, &key);
}

/* holds tells whether what is known of exactly this source counts for the packet,
 * and takes its class. A ban that could have been forged holds for datagrams only:
 * connections prove their address. */
static __always_inline bool holds(const struct source *s, struct packet *p, __u64 ms)
{
	__u32 until = READ_ONCE(s->until);
	__u8 class = READ_ONCE(s->class);

	if (until && (__u64)until * 1000 <= ms)
		return false;
	if (class == CLASS_UNKNOWN || class >= CLASSES)
		return false;
	if (class == CLASS_BAN && p->tcp && !s->proven)
		return false;
	p->class = class;
	return true;
}

static __always_inline enum verdict budget(struct buckets *b, struct packet *p, struct source *s, const struct policy *y,
					   __u32 now)
{
	enum verdict v;

	if (!s && p->class == CLASS_CARRIER)
		v = listed(b, p, &y->budgets[CLASS_CARRIER], now);
	else if (!s)
		v = stranger(b, p, y, now);
	else if (p->class == CLASS_KNOWN)
		v = exact(s, &y->budgets[CLASS_KNOWN], now);
	else if (p->class == CLASS_REGISTERED)
		v = exact(s, &y->budgets[CLASS_REGISTERED], now);
	else
		v = exact(s, &y->budgets[CLASS_CARRIER], now);
	return v == VERDICT_PASSED && p->later ? VERDICT_FRAGMENT : v;
}

/* open judges the beginning of a stranger's connection: one that never ends its
 * handshake is remembered against its source for a while. Whom we know has its budget
 * instead: the first packet of a connection can be forged, and would otherwise keep
 * a phone out in whose name somebody sends them. */
static __always_inline enum verdict open(struct buckets *b, struct packet *p, struct source *s, const struct policy *y,
					 struct half_open *h, __u32 now)
{
	__u32 stamp = READ_ONCE(h->stamp), count = READ_ONCE(h->count), gone = (now - stamp) / FORGET;
	enum verdict v;

	if (gone >= count) {
		count = 0;
		stamp = now;
	} else {
		count -= gone;
		stamp += gone * FORGET;
	}
	if (count >= y->half_open)
		return VERDICT_HALF_OPEN;
	v = budget(b, p, s, y, now);
	if (v == VERDICT_PASSED) {
		WRITE_ONCE(h->stamp, stamp);
		WRITE_ONCE(h->count, count + 1);
	}
	return v;
}

/* spend judges by what a source has used. */
static __always_inline enum verdict spend(struct buckets *b, struct packet *p, struct source *s, const struct policy *y,
					  __u32 now)
{
	struct half_open *h;
	__u32 count;

	if (!p->tcp || (p->opens && p->class != CLASS_UNKNOWN))
		return budget(b, p, s, y, now);
	h = &b->half_open[mix64(p->high ^ seed ^ HALF_OPEN_SALT) & (HALF_OPENS - 1)];
	if (p->opens)
		return open(b, p, s, y, h, now);
	count = READ_ONCE(h->count);
	if (p->acks && count)
		WRITE_ONCE(h->count, count - 1);
	return VERDICT_CONNECTION;
}

/* The lookups stand before the questions that need them: they do not depend on each
 * other, so the processor waits for them once. */
static __always_inline enum verdict judge(struct packet *p)
{
	__u64 ms = milliseconds();
	struct buckets *b = first(&buckets);
	const struct policy *y;
	struct source *s;
	bool placed;

	if (!b)
		return VERDICT_UNCLASSIFIED;
	if (p->service == SERVICE_RTP && !live(p->port))
		return VERDICT_NO_LEG;
	p->hash = mix64(p->high ^ seed);
	s = exactly(p);
	y = in_force();
	if (y && !s && p->service != SERVICE_RTP)
		expect(b, p, y);
	placed = country(p);
	if (!y)
		return VERDICT_UNCLASSIFIED;
	switch (find(y->root4, LIST_ROOT, y->root6, LIST_ROOT, y->words, LIST_WORDS - 1, p)) {
	case LIST_ALLOW:
		return VERDICT_ALLOWED;
	case LIST_DENY:
		return VERDICT_DENIED;
	case LIST_CARRIER:
		p->class = CLASS_CARRIER;
		s = NULL;
		break;
	default:
		if (s && !holds(s, p, ms))
			s = NULL;
		if (p->class == CLASS_BAN)
			return VERDICT_BANNED;
		if (placed && y->deny[p->service][p->country / 64] >> (p->country % 64) & 1)
			return VERDICT_COUNTRY_DENIED;
	}
	if (p->service == SERVICE_RTP)
		return VERDICT_LEG;
	return spend(b, p, s, y, ms);
}
