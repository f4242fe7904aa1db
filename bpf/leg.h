/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A leg, as it lies in the memory that the kernel and the relay share: which way
 * its packets go, how they leave the machine, and what was seen of them. Legs stand
 * in one array, by the local side's address and port, so that finding one is
 * arithmetic. What a packet touches is together: the first line says where it goes,
 * the next three what is kept of it.
 *
 *	bytes     field   written by
 *	0-63      way     user space, between two steps of version
 *	64-95     exit    the program, between two steps of its own version
 *	96-255    track   whoever handles the packet
 *
 * Whoever changes the meaning of a field raises FORWARD_LAYOUT. The way and the track
 * up to its receiver never move: they are carried from any layout to any. */
#pragma once

#include "kernel.h"
#include "receiver.h"

#define FORWARD_LAYOUT 1

enum {
	WAY_KERNEL = 1, /* the program repeats this leg; else user space does */
	WAY_ANY = 2,    /* whatever comes, not only RTP */
	WAY_MUX = 4,    /* RTCP on the same port; it goes to user space all the same */
	WAY_V6 = 8,     /* local and from */
	WAY_TO_V6 = 16, /* via and to */
	WAY_JOINED = 32, /* to is a local side: of the face in the upper bits */
	WAY_FACE_SHIFT = 8,
};

/* Addresses are in network order, IPv4 in the first word and the others zero. */
struct way {
	__u32 version; /* odd while user space writes */
	__u16 flags;
	__be16 from_port_be;
	__be16 via_port_be;
	__be16 to_port_be;
	__u32 scale; /* of the RTP clock, see receiver.h */
	__be32 from_be[4]; /* the only source that is believed */
	__be32 via_be[4];  /* ours: where packets leave from */
	__be32 to_be[4];
};
ASSERT_SIZE(struct way, 64);

#define EXIT_BACK 0xff /* out of the device that the packet came from */
#define EXIT_STACK 0xfe /* by the kernel's own sending, at the device whose number is in tag */
#define EXIT_SHIFT 20  /* stamps are in units of 2^20 ns, about a millisecond */
#define NO_TAG 0xffff

/* How packets of this leg leave, as the kernel's routes said last. */
struct exit {
	__u32 version; /* odd while a processor writes */
	__u32 stamp;   /* when the routes were asked: ns >> EXIT_SHIFT */
	__u32 ingress; /* the device that packets come from */
	__u8 to[6];
	__u8 from[6];
	__u16 mtu;       /* longest IP packet */
	__u16 tag;       /* of a VLAN; NO_TAG; or a device */
	__u16 way;       /* version of the way it is for */
	__u8 slot;       /* in the map devices; EXIT_BACK */
	__u8 generation; /* of the devices it was chosen among */
};
ASSERT_SIZE(struct exit, 32);

/* What was seen at a leg. Times are ns of CLOCK_MONOTONIC. */
struct track {
	__u64 packets; /* from the believed source and of the right kind */
	__u64 bytes;   /* of UDP payload in them */
	__u64 seen;    /* the last of them */
	__u64 wrong_source;
	__u64 not_rtp;
	__u64 stun;
	__u64 held;   /* of packets: had nowhere to go */
	__u64 failed; /* of packets: could not be sent */
	__u32 payload_type;
	__u32 ssrc;
	struct receiver receiver;
};
ASSERT_SIZE(struct track, 160);

struct leg {
	struct way way;
	struct exit exit;
	struct track track;
};
ASSERT_SIZE(struct leg, 256);
