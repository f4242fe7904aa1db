/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How a frame in XDP becomes the one that is sent on: other addresses and ports, one
 * hop less, checksums changed by what changed (RFC 1624), and where the family or the
 * VLAN is another, other headers. What was wrong with a checksum stays wrong. */
#pragma once

#include "datagram.h"
#include "redirect.h"
#include "way.h"

/* What all of a datagram's checksums change by. */
static __always_inline __u32 change(const struct datagram *d, const struct way *w)
{
	return fold(sum4(w->via_be) + sum4(w->to_be) + (__u16)~fold(d->sum));
}

/* report writes ports and checksum; was is the checksum that the datagram had. */
static __always_inline void report(struct udp *u, const struct way *w, __u32 addresses, __be16 was)
{
	__be32 *ports = (__be32 *)&u->source_be;
	__u32 now = w->via_port_be | (__u32)w->to_port_be << 16;
	__u16 check;

	if (was) {
		check = ~fold((__u64)(__u16)~was + addresses + now + (__u32)~*ports);
		u->check_be = check ? check : 0xffff;
	}
	*ports = now;
}

static __always_inline void readdress4(struct ipv4 *ip, const struct way *w, __u32 addresses)
{
	__be16 *hop = (__be16 *)&ip->ttl;

	/* One from the upper byte of the word in network order; 0xfeff is -0x0100 there. */
	ip->check_be = ~fold((__u64)(__u16)~ip->check_be + addresses + (__u16)(*hop - 1) + (__u16)~*hop);
	ip->ttl--;
	ip->source_be = w->via_be[0];
	ip->destination_be = w->to_be[0];
}

static __always_inline void readdress6(struct ipv6 *ip, const struct way *w)
{
	ip->hops--;
	__builtin_memcpy(ip->source_be, w->via_be, sizeof(ip->source_be));
	__builtin_memcpy(ip->destination_be, w->to_be, sizeof(ip->destination_be));
}

/* Another header than the one that came. */
union header {
	struct ipv4 four;
	struct ipv6 six;
	__be16 half[20];
};

/* The traffic class stays; a flow label is only kept within IPv6. */
static __always_inline void four_to_six(const struct ipv4 *ip, __be16 length_be, struct ipv6 *to)
{
	to->version_flow_be = from_be32(6U << 28 | (__u32)ip->tos << 20);
	to->payload_be = length_be;
	to->next = 17;
	to->hops = ip->ttl;
}

/* A datagram that may not be fragmented needs no identification (RFC 6864). */
static __always_inline void six_to_four(const struct ipv6 *ip, __be16 length_be, struct ipv4 *to)
{
	to->version_length = 0x45;
	to->tos = from_be32(ip->version_flow_be) >> 20;
	to->total_be = to_be16(from_be16(length_be) + sizeof(*to));
	to->fragment_be = to_be16(0x4000);
	to->ttl = ip->hops;
	to->protocol = 17;
}

/* What headers of another length need. */
struct shape {
	__s32 growth; /* bytes that the frame gets longer at its beginning */
	__u32 at;     /* where the IP header begins now */
	__u32 addresses;
	__be16 check_be;
	__u16 tag;
	__u8 to[6];
	__u8 from[6];
	bool v6;
};

/* build makes the new IP header from the old one. */
static __always_inline bool build(struct xdp_md *ctx, const struct way *w, const struct shape *s, union header *h)
{
	void *ip = (void *)(long)ctx->data + (s->at & 31), *end = (void *)(long)ctx->data_end;
	struct ipv4 *four = ip;
	struct ipv6 *six = ip;
	bool to_v6 = w->flags & WAY_TO_V6;
	__u64 sum = 0;

	if (s->v6) {
		struct udp *u = (void *)(six + 1);

		if ((void *)(u + 1) > end)
			return false;
		if (to_v6)
			h->six = *six;
		else
			six_to_four(six, u->length_be, &h->four);
		report(u, w, s->addresses, s->check_be);
	} else {
		struct udp *u = (void *)(four + 1);

		if ((void *)(u + 1) > end)
			return false;
		if (to_v6)
			four_to_six(four, u->length_be, &h->six);
		else
			h->four = *four;
		report(u, w, s->addresses, s->check_be);
	}
	if (to_v6) {
		readdress6(&h->six, w);
		return true;
	}
	h->four.ttl--;
	h->four.source_be = w->via_be[0];
	h->four.destination_be = w->to_be[0];
	if (!s->v6) {
		__u16 was = h->half[4] + 1;

		h->four.check_be = ~fold((__u64)(__u16)~h->four.check_be + s->addresses + h->half[4] + (__u16)~was);
		return true;
	}
	for (int i = 0; i < 10; i++)
		sum += h->half[i];
	h->four.check_be = ~fold(sum);
	return true;
}

/* reshape gives the frame headers of another length. It is a function of its own, so
 * that the common path stays short. */
static __attribute__((noinline)) int reshape(struct xdp_md *ctx, const struct way *w, const struct shape *s)
{
	union header h = {};
	void *ip, *end;
	struct ethernet *e;
	struct vlan *tag;
	bool to_v6 = w->flags & WAY_TO_V6;

	if (!build(ctx, w, s, &h) || bpf_xdp_adjust_head(ctx, -s->growth))
		return REASON_FAILED;
	e = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	tag = (void *)(e + 1);
	if ((void *)(tag + 1) > end)
		return REASON_FAILED;
	__builtin_memcpy(e->to, s->to, sizeof(e->to));
	__builtin_memcpy(e->from, s->from, sizeof(e->from));
	if (s->tag == NO_TAG) {
		e->type_be = to_v6 ? to_be16(TYPE_IPV6) : to_be16(TYPE_IPV4);
		ip = e + 1;
	} else {
		e->type_be = to_be16(TYPE_VLAN);
		tag->tag_be = to_be16(s->tag);
		tag->type_be = to_v6 ? to_be16(TYPE_IPV6) : to_be16(TYPE_IPV4);
		ip = tag + 1;
	}
	if (to_v6) {
		if (ip + sizeof(h.six) > end)
			return REASON_FAILED;
		__builtin_memcpy(ip, &h.six, sizeof(h.six));
	} else {
		if (ip + sizeof(h.four) > end)
			return REASON_FAILED;
		__builtin_memcpy(ip, &h.four, sizeof(h.four));
	}
	return ON;
}
