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

/* A neighbourhood has a bucket in each of two rows, found by different bits of its
 * hash. What it has left is in the fuller one: others may have emptied the other, but
 * hardly both. With 512 networks flooding, one in 128 shares a bucket with some of
 * them, and one in 16,000 both. */
struct around {
	struct bucket *one, *two;
};

static __always_inline struct around neighbourhood(struct buckets *b, const struct packet *p)
{
	__u64 h = mix64((p->high & (p->family == 4 ? ~255ULL : ~0xffffULL)) ^ seed ^ AROUND_SALT);
	struct around a = { &b->around[0][h & (AROUNDS - 1)], &b->around[1][h >> 32 & (AROUNDS - 1)] };

	return a;
}

/* crowd is what all strangers of a service, transport and family share. */
static __always_inline struct bucket *crowd(struct buckets *b, const struct packet *p)
{
	return &b->all[((p->family == 6) * 16 + p->service * 2 + p->tcp) & 31];
}

/* expect has the processor fetch what a stranger's budget is kept in, while the
 * lookups that decide whether it is one wait for memory themselves: under a flood
 * of random sources none of it is in a cache. Who was refused is only asked for when
 * strangers have little left. */
static __always_inline void expect(struct buckets *b, const struct packet *p, const struct policy *y)
{
	struct around a = neighbourhood(b, p);

	(void)READ_ONCE(b->cells[p->hash & (CELLS - 1)]);
	(void)READ_ONCE(a.one->stamp);
	(void)READ_ONCE(a.two->stamp);
	if (READ_ONCE(crowd(b, p)->tokens) < y->all.burst * (PACKET / 2))
		(void)READ_ONCE(b->refused[p->hash & (REFUSED - 1)]);
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

/* again tells whether a source was refused lately, and notes that it is refused now.
 * Cells are too few for that: a million forged sources a second would have each of
 * them several times before a phone repeats its request half a second later. Here is
 * room for 2^21 sources, looked at by nobody but who is refused. A word names the four
 * sources of its own that were refused last, so it takes four others to forget one.
 * There is no time in it: how long one is remembered depends on how many come.
 * Who is new is taken for one of the four by chance once in 16,384 times, which of a
 * million a second is 61, and 560 of so many random IPv4 addresses truly are among
 * the last 2^21: both together are less than the 2,000 a second that strangers have,
 * so the rest is there for phones. More room would remember more forged sources.
 * No source is called 0, as a place that nobody used is. */
static __always_inline bool again(struct buckets *b, const struct packet *p)
{
	const __u64 each = 0x0001000100010001ULL;
	__u64 *at = &b->refused[p->hash & (REFUSED - 1)], was = READ_ONCE(*at);
	__u64 name = p->hash >> 48 ?: 1, differ = was ^ name * each;
	__u32 place;

	if (likely(!((differ - each) & ~differ & each << 15))) { /* none of its 16 bits are 0 */
		WRITE_ONCE(*at, was << 16 | name);
		return false;
	}
#pragma unroll
	for (place = 0; place < 48; place += 16)
		if (!(differ >> place & 0xffff))
			break;
	WRITE_ONCE(*at, (was & (~0xffffULL << place)) | (was & ((1ULL << place) - 1)) << 16 | name);
	return true;
}

/* stranger spends from three buckets. What a source sends is charged to its
 * neighbourhood whether it passes or not, to what all share only when it does: so a
 * flood from few networks drains its own neighbourhoods, and one from random addresses
 * never comes back, which a phone that repeats its request does. The last of what all
 * share is kept for quiet neighbourhoods and sources that return. One that is refused
 * at its first packet leaves no more than its name: else a flood would take the cells
 * of all who came in. From then on it pays from a cell, passed or not.
 * Whoever sends all of its forged addresses twice returns, too. That is accepted: it
 * has to do so before 2^21 others were refused, and each source and its neighbourhood
 * are charged for it. */
static __always_inline enum verdict stranger(struct buckets *b, const struct packet *p, const struct policy *y, __u32 now)
{
	__u32 one, two, near, left, quarter = y->all.burst * PACKET / 4, floor;
	struct around around;
	struct bucket *all = crowd(b, p);
	struct cell c;
	bool quiet, scarce;

	if (y->budgets[CLASS_UNKNOWN].rate == UNLIMITED)
		return VERDICT_PASSED;
	c = cell(b, p, &y->budgets[CLASS_UNKNOWN], now);
	if (c.tokens < PACKET) {
		keep(&c, now, c.tokens);
		return VERDICT_SOURCE_BUDGET;
	}
	around = neighbourhood(b, p);
	one = topped(around.one, &y->around, now);
	two = topped(around.two, &y->around, now);
	near = one > two ? one : two;
	if (near < PACKET) {
		keep(&c, now, c.tokens - PACKET);
		return VERDICT_NEIGHBOURHOOD;
	}
	quiet = (__u64)near * 2 >= y->around.burst * PACKET;
	near -= PACKET; /* a bucket that others emptied is not charged besides */
	if (one > near)
		put(around.one, now, near);
	if (two > near)
		put(around.two, now, near);
	left = topped(all, &y->all, now);
	floor = quarter * (3 - 2 * quiet - c.returning);
	scarce = left < floor + PACKET;
	if (scarce && !again(b, p) && !c.returning)
		return VERDICT_STRANGERS;
	keep(&c, now, c.tokens - PACKET);
	if (scarce && (c.returning || left < floor - quarter + PACKET))
		return VERDICT_STRANGERS;
	put(all, now, left - PACKET);
	return VERDICT_PASSED;
}
