/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The way in from the kernel's stack (TCX): the same decision, and changes by which
 * the kernel's books of checksums stay right. Families are not changed here: the
 * kernel has noted too much of the old one. */
#pragma once

#include "decide.h"
#include "rewrite.h"
#include "skb.h"

#define LINEAR_MAX 2048 /* longer packets are no media */

/* next_or_drop is stop for this hook. */
static __always_inline int next_or_drop(enum reason r)
{
	return stop(r) == XDP_DROP ? TCX_DROP : TCX_NEXT;
}

/* sum_again tells the kernel what the changes of a datagram come to. */
static __always_inline void sum_again(struct __sk_buff *skb, __u32 at, bool v6, __u32 addresses, __be32 was, __be32 now)
{
	bpf_l4_csum_replace(skb, at, 0, addresses, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0);
	bpf_l4_csum_replace(skb, at, was, now, BPF_F_MARK_MANGLED_0 | sizeof(was));
	/* Of a sum over all of the packet the helper takes the addresses off, since IPv4's
	 * header sum makes up for them; in IPv6 nothing does, and nothing for the hop. */
	if (v6)
		bpf_csum_update(skb, fold(addresses + (__u16)~to_be16(1)));
}

static __always_inline int resend(struct __sk_buff *skb, void *data, void *end, bool v6)
{
	struct ethernet *e = data;
	void *ip = e + 1;
	struct udp *u = v6 ? ip + sizeof(struct ipv6) : ip + sizeof(struct ipv4);
	struct datagram d = {};
	struct trip t = {};
	struct exit x;
	enum reason r = decide(skb, skb->ifindex, false, ip, end, v6, &d, &t, &x);
	__be32 *ports = (__be32 *)&u->source_be, was, now;
	__u32 addresses;

	if (r != ON)
		return next_or_drop(r);
	addresses = change(&d, &t.way);
	now = t.way.via_port_be | (__be32)t.way.to_port_be << 16;
	was = *ports;
	*ports = now;
	__builtin_memcpy(e->to, x.to, sizeof(e->to));
	__builtin_memcpy(e->from, x.from, sizeof(e->from));
	if (v6)
		readdress6(ip, &t.way);
	else
		readdress4(ip, &t.way, addresses);
	if (d.check_be)
		sum_again(skb, (v6 ? sizeof(struct ipv6) : sizeof(struct ipv4)) + sizeof(*e) + 6, v6, addresses, was, now);
	if (skb->vlan_present && bpf_skb_vlan_pop(skb)) {
		failed(&t);
		return TCX_DROP;
	}
	return bpf_redirect(x.tag, 0);
}

/* media_ahead tells whether it is worth having all of a packet in one piece. */
static __always_inline bool media_ahead(const struct ethernet *e, void *end)
{
	const struct ipv4 *four = (void *)(e + 1);
	const struct ipv6 *six = (void *)(e + 1);

	if (e->type_be == to_be16(TYPE_IPV4))
		return (void *)(four + 1) <= end && four->protocol == 17;
	return e->type_be == to_be16(TYPE_IPV6) && (void *)(six + 1) <= end && six->next == 17;
}

static __always_inline int from_stack(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethernet *e = data;

	if ((void *)(e + 1) > end || skb->gso_size)
		return TCX_NEXT;
	if (unlikely(end - data < skb->len)) {
		if (skb->len > LINEAR_MAX || !media_ahead(e, end) || bpf_skb_pull_data(skb, skb->len))
			return TCX_NEXT;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		e = data;
		if ((void *)(e + 1) > end)
			return TCX_NEXT;
	}
	if (e->type_be == to_be16(TYPE_IPV4))
		return resend(skb, data, end, false);
	if (e->type_be == to_be16(TYPE_IPV6))
		return resend(skb, data, end, true);
	return TCX_NEXT;
}
