//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* forward: repeats RTP of confirmed legs, by the memory that the kernel and the relay
 * share. A packet that it does not send on reaches user space as it came, but for
 * those that are of no concern to anybody. What comes here passed the shield.
 *
 *	map      type          key                    value           written by
 *	legs     ARRAY         face*ports+port-first  struct leg      Forwarder.Put (ways), here, the relay's user space (tracks)
 *	state    ARRAY         0                      struct range    OpenForwarder, once; its generation: Forwarder.Refresh
 *	devices  DEVMAP        slot                   device          Forwarder.Refresh
 *	exits    HASH          device                 struct device   Forwarder.Refresh
 *	reasons  PERCPU_ARRAY  0                      struct reasons  here
 *	moments  PERCPU_ARRAY  0                      struct moment   here
 *	clock    ARRAY         0                      ns              Forwarder.SetClock, in tests
 */
#include "checksum.h"
#include "count.h"
#include "datagram.h"
#include "exit.h"
#include "moment.h"
#include "rewrite.h"
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

/* decide is all that happens to a packet before it is changed. */
static __always_inline enum reason decide(struct xdp_md *ctx, __u32 ingress, void *ip, void *end, bool v6, struct datagram *d,
					  struct trip *t, struct exit *x)
{
	void *u = v6 ? ip + sizeof(struct ipv6) : ip + sizeof(struct ipv4);
	struct question q = { .ingress = ingress };
	enum reason r = plain(ip, end, v6, d);
	bool to_v6;

	if (r != ON)
		return r;
	r = set_out(d, ip, end, t);
	if (r != ON)
		return r;
	to_v6 = t->way.flags & WAY_TO_V6;
	r = checkable(ctx, u, d, v6 || to_v6);
	if (r != ON)
		return r;
	q.now = nanoseconds();
	q.length = d->size + sizeof(struct udp) + (to_v6 ? sizeof(struct ipv6) : sizeof(struct ipv4));
	*x = t->last->exit;
	barrier();
	if (unlikely(!known(x, t, &q))) {
		r = ask(ctx, t, &q, x);
		if (r != ON)
			return r;
		x->version = READ_ONCE(t->last->exit.version); /* the answer is ours, whatever is kept now */
	}
	return commit(t, d, q.now, x->version);
}

static __always_inline int repeat(struct xdp_md *ctx, void *ip, void *end, bool tagged, bool v6)
{
	struct ethernet *e = (void *)(long)ctx->data;
	struct datagram d = {};
	struct trip t = {};
	struct exit x;
	enum reason r = decide(ctx, ctx->ingress_ifindex, ip, end, v6, &d, &t, &x);
	bool to_v6 = t.way.flags & WAY_TO_V6;
	__u32 addresses;

	if (r != ON)
		return stop(r);
	addresses = change(&d, &t.way);
	if (likely(to_v6 == v6 && tagged == (x.tag != NO_TAG))) {
		__builtin_memcpy(e->to, x.to, sizeof(e->to));
		__builtin_memcpy(e->from, x.from, sizeof(e->from));
		if (tagged)
			((struct vlan *)(e + 1))->tag_be = to_be16(x.tag);
		if (v6) {
			readdress6(ip, &t.way);
			report(ip + sizeof(struct ipv6), &t.way, addresses, d.check_be);
		} else {
			readdress4(ip, &t.way, addresses);
			report(ip + sizeof(struct ipv4), &t.way, addresses, d.check_be);
		}
	} else {
		struct shape s = { .addresses = addresses, .check_be = d.check_be, .tag = x.tag, .v6 = v6 };

		s.at = sizeof(*e) + (tagged ? sizeof(struct vlan) : 0);
		s.growth = 20 * (to_v6 - v6) + 4 * ((x.tag != NO_TAG) - tagged);
		__builtin_memcpy(s.to, x.to, sizeof(s.to));
		__builtin_memcpy(s.from, x.from, sizeof(s.from));
		r = reshape(ctx, &t.way, &s);
		if (r != ON)
			return failed(&t);
	}
	if (x.slot == EXIT_BACK)
		return XDP_TX;
	if (bpf_redirect_map(&devices, x.slot, XDP_ABORTED) == XDP_REDIRECT)
		return XDP_REDIRECT;
	return failed(&t); /* the device went a moment ago */
}

SEC_XDP
int forward(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethernet *e = data;
	struct vlan *tag = (void *)(e + 1);
	void *ip = tag;
	__be16 type;

	if ((void *)(tag + 1) > end)
		return stop(REASON_NOT_MEDIA);
	type = e->type_be;
	if (type == to_be16(TYPE_VLAN)) {
		type = tag->type_be;
		ip = tag + 1;
	}
	if (type == to_be16(TYPE_IPV4))
		return repeat(ctx, ip, end, ip != tag, false);
	if (type == to_be16(TYPE_IPV6))
		return repeat(ctx, ip, end, ip != tag, true);
	return stop(REASON_NOT_MEDIA);
}

char _license[] SEC("license") = "Dual BSD/GPL";
