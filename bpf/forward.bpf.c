//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* forward: repeats RTP of confirmed legs, by the memory that the kernel and the relay
 * share. A packet that it does not send on reaches user space as it came, but for
 * those from elsewhere than where the leg's peer is. There are two ways in: forward,
 * behind the shield of a device, and forward_tcx, where a device can have no XDP.
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
#include "decide.h"
#include "rewrite.h"
#include "stack.h"

static __always_inline int repeat(struct xdp_md *ctx, void *ip, void *end, bool tagged, bool v6)
{
	struct ethernet *e = (void *)(long)ctx->data;
	struct datagram d = {};
	struct trip t = {};
	struct exit x;
	enum reason r = decide(ctx, ctx->ingress_ifindex, true, ip, end, v6, &d, &t, &x);
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

SEC("tc")
int forward_tcx(struct __sk_buff *skb)
{
	return from_stack(skb);
}

char _license[] SEC("license") = "Dual BSD/GPL";
