/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* decide is all that happens to a packet before it is changed, at either way in: what
 * it is, whose, where it goes and how it leaves; then it is counted, and ours. */
#pragma once

#include "checksum.h"
#include "count.h"
#include "datagram.h"
#include "exit.h"
#include "moment.h"
#include "way.h"

/* checkable tells whether a checksum can be changed by what changes: one that there
 * is, and that is all of one. */
static __always_inline enum reason checkable(struct xdp_md *ctx, void *u, struct datagram *d, bool needed)
{
	__u64 pseudo = d->sum + to_be16(17) + to_be16(d->size + sizeof(struct udp));

	if (!d->check_be)
		return needed ? REASON_NO_CHECKSUM : ON;
	if (unlikely(d->check_be == fold(pseudo)))
		return finish(ctx, d, u - (void *)(long)ctx->data, pseudo);
	return ON;
}

/* ctx is the program's context, of XDP or not. Where the kernel keeps books of packets,
 * halves of checksums are its own. */
static __always_inline enum reason decide(void *ctx, __u32 ingress, bool xdp, void *ip, void *end, bool v6, struct datagram *d,
					  struct trip *t, struct exit *x)
{
	void *u = v6 ? ip + sizeof(struct ipv6) : ip + sizeof(struct ipv4);
	struct question q = { .ingress = ingress, .xdp = xdp };
	enum reason r = plain(ip, end, v6, d);
	__u32 version;
	bool to_v6;

	if (r != ON)
		return r;
	r = set_out(d, ip, end, t);
	if (r != ON)
		return r;
	to_v6 = t->way.flags & WAY_TO_V6;
	if (xdp)
		r = checkable(ctx, u, d, v6 || to_v6);
	else if (to_v6 != v6)
		r = REASON_FAMILY;
	else if (v6 && !d->check_be)
		r = REASON_NO_CHECKSUM;
	if (r != ON)
		return r;
	q.now = nanoseconds();
	q.length = d->size + sizeof(struct udp) + (to_v6 ? sizeof(struct ipv6) : sizeof(struct ipv4));
	version = READ_ONCE(t->last->exit.version);
	barrier();
	*x = *(struct exit *)after(&t->last->exit, version);
	barrier();
	x->version = version;
	if (unlikely(!known(x, t, &q))) {
		r = ask(ctx, t, &q, x);
		if (r != ON)
			return r;
		x->version = READ_ONCE(t->last->exit.version); /* the answer is ours, whatever is kept now */
	}
	return commit(t, d, q.now, x->version);
}
