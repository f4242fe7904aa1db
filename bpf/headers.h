/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What stands before a datagram's payload on the wire. */
#pragma once

#include "kernel.h"

struct ethernet {
	__u8 to[6];
	__u8 from[6];
	__be16 type_be;
};

struct vlan {
	__be16 tag_be;
	__be16 type_be;
};

#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define TYPE_VLAN 0x8100
#define TYPE_PROVIDER_VLAN 0x88a8

struct ipv4 {
	__u8 version_length;
	__u8 tos;
	__be16 total_be;
	__be16 id_be;
	__be16 fragment_be;
	__u8 ttl;
	__u8 protocol;
	__be16 check_be;
	__be32 source_be;
	__be32 destination_be;
};
ASSERT_SIZE(struct ipv4, 20);

#define MORE_FRAGMENTS 0x2000
#define FRAGMENT_OFFSET 0x1fff

struct ipv6 {
	__be32 version_flow_be;
	__be16 payload_be;
	__u8 next;
	__u8 hops;
	__be32 source_be[4]; /* halves would be aligned to 8 bytes, and headers are not */
	__be32 destination_be[4];
};
ASSERT_SIZE(struct ipv6, 40);

struct extension {
	__u8 next;
	__u8 length;
	__be16 offset_be; /* of a fragment header: offset in the upper 13 bits, M in the lowest */
	__be32 id_be;
};
ASSERT_SIZE(struct extension, 8);

enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTHENTICATION = 51,
	NEXT_NONE = 59,
	NEXT_DESTINATION = 60,
	NEXT_MOBILITY = 135,
};
#define EXTENSIONS 8

enum {
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
};

struct udp {
	__be16 source_be;
	__be16 destination_be;
	__be16 length_be;
	__be16 check_be;
};
ASSERT_SIZE(struct udp, 8);

struct tcp {
	__be16 source_be;
	__be16 destination_be;
	__be32 sequence_be;
	__be32 acknowledged_be;
	__u8 offset;
	__u8 flags;
	__be16 window_be;
	__be16 check_be;
	__be16 urgent_be;
};
ASSERT_SIZE(struct tcp, 20);

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};
