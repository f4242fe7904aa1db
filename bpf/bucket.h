/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Budgets: token buckets in exact entries, in cells that strangers share, of
 * neighbourhoods and of all strangers. */
#pragma once

#include "kernel.h"
#include "packet.h"
#include "types.h"

const volatile __u64 seed; /* of every hash: strangers cannot choose whom they meet */

#define AROUND_SALT 0x9e3779b97f4a7c15ULL
#define HALF_OPEN_SALT 0xc2b2ae3d27d4eb4fULL

#define PACKET 1000       /* tokens of one packet */
#define RETURNING 60000   /* ms after which a cell no longer knows its source */
#define CELL_BURST 1048   /* packets that a cell's 20 bits can hold */
#define FORGET 4000       /* ms after which one half-open connection is forgotten */

/* mix64 is MurmurHash3's finalizer. */
static __always_inline __u64 mix64(__u64 h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	h ^= h >> 33;
	return h;
}

static __always_inline __u32 refill(__u32 tokens, __u32 elapsed, __u32 rate, __u32 full)
{
	__u64 t = tokens + (__u64)elapsed * rate;

	return t < full ? t : full;
}

/* topped is what is in a bucket of everybody's now; one never used is full. */
static __always_inline __u32 topped(const struct bucket *b, const struct budget *g, __u32 now)
{
	__u32 stamp = READ_ONCE(b->stamp), tokens = READ_ONCE(b->tokens), full = g->burst * PACKET;

	if (!(stamp | tokens))
		return full;
	return refill(tokens, now - stamp, g->rate, full);
}

static __always_inline void put(struct bucket *b, __u32 now, __u32 tokens)
{
	WRITE_ONCE(b->stamp, now);
	WRITE_ONCE(b->tokens, tokens);
}

/* exact spends from the bucket that a source has for itself. */
static __always_inline enum verdict exact(struct source *s, const struct budget *g, __u32 now)
{
	struct bucket *b = &s->bucket;
	__u32 tokens;

	if (g->rate == UNLIMITED)
		return VERDICT_PASSED;
	tokens = refill(READ_ONCE(b->tokens), now - READ_ONCE(b->stamp), g->rate, g->burst * PACKET);
	if (tokens < PACKET) {
		put(b, now, tokens);
		return VERDICT_SOURCE_BUDGET;
	}
	put(b, now, tokens - PACKET);
	return VERDICT_PASSED;
}

static __always_inline struct bucket *neighbourhood(struct buckets *b, const struct packet *p)
{
	__u64 around = p->high & (p->family == 4 ? ~255ULL : ~0xffffULL);

	return &b->around[mix64(around ^ seed ^ AROUND_SALT) & (AROUNDS - 1)];
}

/* expect has the processor fetch what a stranger's budget is kept in, while the
 * lookups that decide whether it is one wait for memory themselves: under a flood
 * of random sources none of it is in a cache. */
static __always_inline void expect(struct buckets *b, const struct packet *p)
{
	(void)READ_ONCE(b->cells[p->hash & (CELLS - 1)]);
	(void)READ_ONCE(neighbourhood(b, p)->stamp);
}

/* A cell as it is found for a source. */
struct cell {
	__u64 *at;
	__u32 tokens;
	__u32 tag;
	bool returning;
};

static __always_inline struct cell cell(struct buckets *b, const struct packet *p, const struct budget *g, __u32 now)
{
	__u64 h = p->hash, was;
	__u32 burst = g->burst < CELL_BURST ? g->burst : CELL_BURST;
	struct cell c = { .at = &b->cells[h & (CELLS - 1)], .tokens = burst * PACKET, .tag = h >> 52 };

	was = READ_ONCE(*c.at);
	if (was && (was >> 32 & 0xfff) == c.tag && now - (__u32)was < RETURNING) {
		c.returning = true;
		c.tokens = refill(was >> 44, now - (__u32)was, g->rate, c.tokens);
	}
	return c;
}

static __always_inline void keep(struct cell *c, __u32 now, __u32 tokens)
{
	WRITE_ONCE(*c->at, now | (__u64)c->tag << 32 | (__u64)tokens << 44);
}

/* listed spends from the cell of a carrier that a list names: no neighbours, no crowd. */
static __always_inline enum verdict listed(struct buckets *b, const struct packet *p, const struct budget *g, __u32 now)
{
	struct cell c;

	if (g->rate == UNLIMITED)
		return VERDICT_PASSED;
	c = cell(b, p, g, now);
	if (c.tokens < PACKET) {
		keep(&c, now, c.tokens);
		return VERDICT_SOURCE_BUDGET;
	}
	keep(&c, now, c.tokens - PACKET);
	return VERDICT_PASSED;
}

/* stranger spends from three buckets. What a source sends is charged to it and to
 * its neighbourhood whether it passes or not, to what all share only when it does: so
 * a flood from few networks drains its own neighbourhoods, and one from random
 * addresses never comes back to a cell, which a phone that repeats its request does.
 * The last of what all share is kept for quiet neighbourhoods and sources that return. */
static __always_inline enum verdict stranger(struct buckets *b, const struct packet *p, const struct policy *y, __u32 now)
{
	struct bucket *around, *all;
	__u32 near, crowd, floor;
	struct cell c;
	bool quiet;

	if (y->budgets[CLASS_UNKNOWN].rate == UNLIMITED)
		return VERDICT_PASSED;
	c = cell(b, p, &y->budgets[CLASS_UNKNOWN], now);
	if (c.tokens < PACKET) {
		keep(&c, now, c.tokens);
		return VERDICT_SOURCE_BUDGET;
	}
	around = neighbourhood(b, p);
	near = topped(around, &y->around, now);
	keep(&c, now, c.tokens - PACKET);
	if (near < PACKET)
		return VERDICT_NEIGHBOURHOOD;
	quiet = (__u64)near * 2 >= y->around.burst * PACKET;
	all = &b->all[((p->family == 6) * 16 + p->service * 2 + p->tcp) & 31];
	crowd = topped(all, &y->all, now);
	floor = y->all.burst * PACKET / 4 * (3 - 2 * quiet - c.returning);
	put(around, now, near - PACKET);
	if (crowd < floor + PACKET)
		return VERDICT_STRANGERS;
	put(all, now, crowd - PACKET);
	return VERDICT_PASSED;
}
