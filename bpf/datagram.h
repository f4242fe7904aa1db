/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A datagram as the forwarder reads it: plain IPv4 or IPv6 and UDP, nothing between
 * them, nothing missing; and what RTP it holds. Whoever sends anything else is heard
 * by user space. The family is a constant where these are called. */
#pragma once

#include "forward_maps.h"
#include "headers.h"
#include "leg.h"
#include "receiver.h"

#define ON REASONS /* no reason to end here */

#define PAYLOAD_MAX 0x3fff

struct datagram {
	__u32 index; /* of the leg */
	__u32 size;  /* of the payload */
	__u64 sum;   /* of the addresses, for checksums */
	__u32 check_be;
	bool v6;
	bool tagged; /* has a VLAN tag */
	bool is_rtp;
	struct rtp rtp;
};

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u64 sum4(const __be32 *a)
{
	return (__u64)a[0] + a[1] + a[2] + a[3];
}

static __always_inline bool same(const __be32 *a, const __be32 *b, bool v6)
{
	if (!v6)
		return a[0] == b[0];
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]));
}

/* face finds whose address a packet is for. */
static __always_inline __u32 face(const __be32 *address, bool v6)
{
	for (__u32 i = 0; i < FACES; i++) {
		__be32 f[4] = { faces[i].address_be[0] };

		if (i >= face_count)
			break;
		if (faces[i].v6 != v6)
			continue;
		if (v6) {
			f[1] = faces[i].address_be[1];
			f[2] = faces[i].address_be[2];
			f[3] = faces[i].address_be[3];
		}
		if (same(address, f, v6))
			return i;
	}
	return FACES;
}

/* plain reads the headers from ip on, up to the leg that they are for. */
static __always_inline enum reason plain(void *ip, void *end, bool v6, struct datagram *d)
{
	struct ipv4 *four = ip;
	struct ipv6 *six = ip;
	struct udp *u = v6 ? (void *)(six + 1) : (void *)(four + 1);
	__u32 length, port, at;
	__u64 sum;

	if ((void *)(u + 1) > end)
		return REASON_NOT_MEDIA;
	length = from_be16(u->length_be);
	if (v6) {
		if ((six->version_flow_be & 0xf0) != 0x60 || six->next != 17 || six->payload_be != u->length_be)
			return REASON_NOT_MEDIA;
		at = face(six->destination_be, true);
		sum = sum4(six->source_be) + sum4(six->destination_be);
	} else {
		if (four->version_length != 0x45 || four->protocol != 17 ||
		    four->fragment_be & to_be16(MORE_FRAGMENTS | FRAGMENT_OFFSET) || from_be16(four->total_be) != length + sizeof(*four))
			return REASON_NOT_MEDIA;
		at = face(&four->destination_be, false);
		sum = (__u64)four->source_be + four->destination_be;
	}
	port = from_be16(u->destination_be) - first_port;
	if (length < sizeof(*u) || length > PAYLOAD_MAX || (void *)u + length > end || at >= FACES || port > last_port - first_port)
		return REASON_NOT_MEDIA;
	d->v6 = v6;
	d->index = at * (last_port - first_port + 1) + port;
	d->size = length - sizeof(*u);
	d->sum = sum;
	d->check_be = u->check_be;
	return ON;
}

/* whole tells whether what an RTP header announces is there (RFC 3550 5.1 and 5.3.1):
 * CSRCs, extension, padding. p is the header, of which 12 bytes are there. */
static __always_inline bool whole(const __u8 *p, void *end, __u32 size)
{
	__u32 start = 12 + (p[0] & 15) * 4, last = (size - 1) & PAYLOAD_MAX;
	const __u8 *x;

	if (p[0] & 0x10) {
		x = p + start;
		if (start + 4 > size || (void *)(x + 4) > end)
			return false;
		start += 4 + 4 * (x[2] << 8 | x[3]);
	}
	if (p[0] & 0x20) {
		x = p + last;
		if ((void *)(x + 1) > end || !*x || *x > size)
			return false;
		size -= *x;
	}
	return start <= size;
}

/* media reads what is in the datagram as RTP, if it is. Payload types 64 to 95 are
 * RTCP's, or might be (RFC 5761 4): user space tells. */
static __always_inline bool media(const __u8 *p, void *end, struct datagram *d)
{
	if (d->size < 12 || (void *)(p + 12) > end)
		return false;
	if (p[0] >> 6 != 2 || (p[1] & 0x60) == 0x40)
		return false;
	if (unlikely(p[0] != 0x80) && !whole(p, end, d->size))
		return false;
	d->rtp.payload_type = p[1] & 0x7f;
	d->rtp.sequence = from_be16(*(__be16 *)(p + 2));
	d->rtp.stamp = from_be32(*(__be32 *)(p + 4));
	d->rtp.ssrc = from_be32(*(__be32 *)(p + 8));
	return true;
}
