/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* dissect reads a frame as far as the judge needs it. Every byte is reached through
 * pull, which knows the frame's end and the datagram's. */
#pragma once

#include "headers.h"
#include "kernel.h"
#include "maps.h"
#include "types.h"

#define UNDECIDED VERDICTS /* the packet is to be judged further */

/* Whether frames may come in pieces, as those of jumbo size do. Headers are read from
 * the first alone, where drivers put them; a length may point into the others. The
 * loader sets it where the kernel can, and elsewhere the verifier never sees the helper. */
const volatile __u32 pieces;

struct packet {
	__u64 high; /* the source: an IPv4 address as a number, or the upper half of an IPv6 address */
	__u64 low;  /* the lower half of an IPv6 address */
	__u64 hash; /* of the source's key, once the packet is judged */
	__u16 port; /* ours */
	__u8 family;
	__u8 service;
	__u8 country;
	__u8 class;
	bool tcp;
	bool opens; /* SYN without ACK */
	bool acks;  /* ACK with neither SYN, RST nor FIN */
	bool later; /* a later fragment: no ports */
	bool begun; /* a first fragment: lengths point past its end */
};

struct cursor {
	void *pos;
	void *end;
	__u32 left; /* bytes up to the end of the datagram, or of the frame while none has begun */
};

/* pull returns the next size bytes and steps over them, or NULL past the end. */
static __always_inline void *pull(struct cursor *c, __u32 size)
{
	void *p = c->pos;

	if (size > c->left || p + size > c->end)
		return NULL;
	c->pos = p + size;
	c->left -= size;
	return p;
}

/* further is how many bytes of the frame are in other pieces than the first. It is a
 * function of its own so that it costs frames in one piece nothing. */
static __attribute__((noinline)) __u32 further(struct xdp_md *ctx)
{
	__u64 first = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

	asm volatile("" : "+r"(first)); /* else the compiler adds pointers to numbers, which the verifier refuses */
	return bpf_xdp_get_buff_len(ctx) - first;
}

/* present tells whether so many bytes follow, in this piece of the frame or in others. */
static __always_inline bool present(struct xdp_md *ctx, const struct cursor *c, __u32 bytes)
{
	if (likely(bytes <= c->left))
		return true;
	return pieces && bytes - c->left <= further(ctx);
}

static __always_inline enum verdict ipv4(struct xdp_md *ctx, struct cursor *c, struct packet *p, __u8 *protocol)
{
	struct ipv4 *ip = pull(c, sizeof(*ip));
	__u32 length, total, fragment;

	if (!ip || ip->version_length >> 4 != 4)
		return VERDICT_MALFORMED;
	p->family = 4;
	p->high = from_be32(ip->source_be);
	length = (ip->version_length & 15) * 4;
	total = from_be16(ip->total_be);
	if (length < sizeof(*ip) || total < length)
		return VERDICT_MALFORMED;
	if (length > sizeof(*ip) && !pull(c, length - sizeof(*ip)))
		return VERDICT_MALFORMED;
	if (!present(ctx, c, total - length))
		return VERDICT_MALFORMED;
	c->left = total - length;
	fragment = from_be16(ip->fragment_be);
	p->later = fragment & FRAGMENT_OFFSET;
	p->begun = fragment & MORE_FRAGMENTS;
	*protocol = ip->protocol;
	return UNDECIDED;
}

static __always_inline bool extends(__u32 next)
{
	const __u64 low = 1ULL << NEXT_HOP_BY_HOP | 1ULL << NEXT_ROUTING | 1ULL << NEXT_FRAGMENT |
			  1ULL << NEXT_AUTHENTICATION | 1ULL << NEXT_DESTINATION;

	return next < 64 ? low >> next & 1 : next == NEXT_MOBILITY;
}

/* What extensions found: where the last header ends, from the frame's start, the
 * protocol after it, and which part of a datagram it is. */
#define FOUND_AT 0x7fff /* more than eight headers can span; it bounds what the verifier thinks of */
#define FOUND_NEXT_SHIFT 16
#define FOUND_LATER (1U << 24)
#define FOUND_BEGUN (1U << 25)
#define FOUND_BAD 0xffffffffU

/* extensions steps over the extension headers that begin at byte at of the frame,
 * next being the first one's type and left the bytes of the datagram from there.
 * It is a function of its own, so that the verifier walks its loop once and not for
 * every path that leads here. */
__attribute__((noinline)) __u32 extensions(struct xdp_md *ctx, __u32 at, __u32 left, __u32 next)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct extension *x;
	__u32 size, part = 0, begun = 0;

	for (int i = 0; i < EXTENSIONS; i++) {
		at &= FOUND_AT;
		x = data + at;
		if (left < sizeof(*x) || (void *)(x + 1) > end)
			return FOUND_BAD;
		if (next == NEXT_FRAGMENT) {
			part = from_be16(x->offset_be);
			begun |= part & 1;
			size = sizeof(*x);
		} else if (next == NEXT_AUTHENTICATION) {
			size = (x->length + 2) * 4;
		} else {
			size = (x->length + 1) * 8;
		}
		if (size > left)
			return FOUND_BAD;
		at += size;
		left -= size;
		next = x->next;
		if (part >> 3)
			return at | next << FOUND_NEXT_SHIFT | FOUND_LATER;
		if (!extends(next))
			return at | next << FOUND_NEXT_SHIFT | (begun ? FOUND_BEGUN : 0);
	}
	return FOUND_BAD;
}

static __always_inline enum verdict ipv6(struct xdp_md *ctx, struct cursor *c, struct packet *p, __u8 *protocol)
{
	struct ipv6 *ip = pull(c, sizeof(*ip));
	__u32 payload, at, found;

	if (!ip || (ip->version_flow_be & 0xf0) != 0x60)
		return VERDICT_MALFORMED;
	p->family = 6;
	p->high = (__u64)from_be32(ip->source_be[0]) << 32 | from_be32(ip->source_be[1]);
	p->low = (__u64)from_be32(ip->source_be[2]) << 32 | from_be32(ip->source_be[3]);
	payload = from_be16(ip->payload_be);
	if (!present(ctx, c, payload))
		return VERDICT_MALFORMED;
	c->left = payload;
	*protocol = ip->next;
	if (likely(!extends(ip->next)))
		return UNDECIDED;
	at = c->pos - (void *)(long)ctx->data;
	found = extensions(ctx, at, payload, ip->next);
	if (found == FOUND_BAD)
		return VERDICT_MALFORMED;
	c->left = payload - ((found & FOUND_AT) - at);
	c->pos = (void *)(long)ctx->data + (found & FOUND_AT);
	*protocol = found >> FOUND_NEXT_SHIFT;
	p->later = found & FOUND_LATER;
	p->begun = found & FOUND_BEGUN;
	return UNDECIDED;
}

/* port finds whose packet it is. The protocol is a constant where this is called,
 * so that the verifier sees the table's bounds. */
static __always_inline enum verdict port(struct packet *p, __be16 port_be, bool tcp)
{
	struct ports *ours = first(&ports);

	p->port = from_be16(port_be);
	if (!ours)
		return VERDICT_UNCLASSIFIED;
	p->service = (tcp ? ours->tcp[p->port] : ours->udp[p->port]) & 15;
	if (p->service == SERVICE_NONE || p->service >= SERVICES)
		return VERDICT_NOT_OURS;
	return UNDECIDED;
}

static __always_inline enum verdict udp(struct cursor *c, struct packet *p)
{
	__u32 rest = c->left;
	struct udp *u = pull(c, sizeof(*u));
	__u32 length;

	if (!u)
		return VERDICT_MALFORMED;
	length = from_be16(u->length_be);
	if (length < sizeof(*u) || (length > rest && !p->begun))
		return VERDICT_MALFORMED;
	return port(p, u->destination_be, false);
}

static __always_inline enum verdict tcp(struct cursor *c, struct packet *p)
{
	__u32 rest = c->left;
	struct tcp *t = pull(c, sizeof(*t));
	__u32 length;
	enum verdict v;

	if (!t)
		return VERDICT_MALFORMED;
	length = (t->offset >> 4) * 4;
	if (length < sizeof(*t) || (length > rest && !p->begun))
		return VERDICT_MALFORMED;
	p->tcp = true;
	v = port(p, t->destination_be, true);
	if (v != UNDECIDED)
		return v;
	if (p->service == SERVICE_RTP)
		return VERDICT_NOT_OURS;
	if (!(t->flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)))
		return VERDICT_MALFORMED;
	if (t->flags & TCP_SYN && t->flags & (TCP_FIN | TCP_RST))
		return VERDICT_MALFORMED;
	p->opens = (t->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	p->acks = (t->flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_ACK;
	return UNDECIDED;
}

/* speakable tells whether a packet can have come from its source: not unspecified,
 * "this network", multicast or reserved. IPv6 addresses that begin with 32 zero bits
 * are nobody's, save ::1, and would have the keys of IPv4 ones. */
static __always_inline bool speakable(const struct packet *p)
{
	if (p->family == 4)
		return p->high >> 24 != 0 && p->high >> 29 != 7;
	return p->high >> 56 != 0xff && (p->high >> 32 || (p->high == 0 && p->low == 1));
}

static __always_inline enum verdict dissect(struct xdp_md *ctx, struct packet *p)
{
	struct cursor c = { .pos = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	struct ethernet *e;
	enum verdict v;
	__u8 protocol;
	__u16 type;

	c.left = c.end - c.pos;
	e = pull(&c, sizeof(*e));
	if (!e)
		return VERDICT_MALFORMED;
	type = e->type_be;
	for (int i = 0; i < 2; i++) {
		struct vlan *tag;

		if (type != to_be16(TYPE_VLAN) && type != to_be16(TYPE_PROVIDER_VLAN))
			break;
		tag = pull(&c, sizeof(*tag));
		if (!tag)
			return VERDICT_MALFORMED;
		type = tag->type_be;
	}
	if (type == to_be16(TYPE_IPV4))
		v = ipv4(ctx, &c, p, &protocol);
	else if (type == to_be16(TYPE_IPV6))
		v = ipv6(ctx, &c, p, &protocol);
	else
		return VERDICT_NOT_OURS;
	if (v != UNDECIDED)
		return v;
	if (p->later && protocol == PROTOCOL_UDP)
		p->service = SERVICE_SIP;
	else if (p->later)
		return VERDICT_NOT_OURS;
	else if (protocol == PROTOCOL_UDP)
		v = udp(&c, p);
	else if (protocol == PROTOCOL_TCP)
		v = tcp(&c, p);
	else
		return VERDICT_NOT_OURS;
	if (v == UNDECIDED && !speakable(p))
		return VERDICT_MALFORMED;
	return v;
}
