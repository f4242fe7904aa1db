/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The forwarder's maps; the table of who writes them is in forward.bpf.c. */
#pragma once

#include "kernel.h"
#include "leg.h"

#define FACES 16
#define DEVICES 64

/* How the forwarder ends a packet that it does not send on. All but those of wrong
 * source and those that failed go to user space, whole and unchanged. */
enum reason {
	REASON_NOT_MEDIA,     /* for no port of ours, or no plain datagram */
	REASON_NOT_KERNEL,    /* no leg that is to be repeated here */
	REASON_CHANGING,      /* the leg was being written */
	REASON_WRONG_SOURCE,  /* dropped */
	REASON_NOT_RTP,       /* RTCP, STUN, DTLS, garbage: user space tells them apart */
	REASON_LAST_HOP,      /* TTL or hop limit is at its end */
	REASON_NO_CHECKSUM,   /* IPv6 must have one */
	REASON_HALF_CHECKSUM, /* a local sender left it to its device, and it is not for us to finish */
	REASON_NOT_JOINED,    /* goes to another leg of ours that is not repeated here */
	REASON_FAMILY,        /* IPv4 to IPv6 or back cannot be done here */
	REASON_FORWARDING_OFF, /* net.ipv4.ip_forward or net.ipv6.conf.*.forwarding */
	REASON_NO_NEIGHBOUR,  /* its link-layer address is not known (yet) */
	REASON_TOO_LONG,      /* for the path */
	REASON_NO_ROUTE,      /* unreachable, prohibited, a black hole, or ourselves */
	REASON_NO_DEVICE,     /* the way out is no device that is known */
	REASON_NO_XMIT,       /* its driver takes no packets from XDP */
	REASON_FAILED,        /* dropped: the device was gone, or there was no room */
	REASONS,
};

struct reasons {
	__u64 packets[REASONS];
};

/* A device that packets may leave by, or come in by. */
struct device {
	__u32 index; /* the device that sends: a VLAN's parent */
	__u16 tag;   /* of a VLAN; NO_TAG */
	__u8 slot;   /* in devices */
	__u8 flags;
};
ASSERT_SIZE(struct device, 8);

enum {
	DEVICE_XMIT = 1,    /* its driver takes packets that came to other devices */
	DEVICE_BACK = 2,    /* and those that came to itself */
	DEVICE_GENERIC = 4, /* its XDP is generic: what comes to it may leave by any device */
};

struct face {
	__be32 address_be[4]; /* IPv4 in the first */
	__u32 v6;
};
ASSERT_SIZE(struct face, 20);

/* One processor's last look at the clock, see moment.h. */
struct moment {
	__u64 ns;
	__u64 ticks;
	__u32 share; /* packets after the one that looked */
	__u32 left;  /* of those, still to come */
};

/* What the legs are indexed by, for whoever opens them next. */
struct range {
	__u32 layout;
	__u32 generation; /* of devices; a way out is good for one only */
	__u16 first;
	__u16 last;
	__u32 count;
	struct face faces[FACES];
};

/* One for each face and port; the loader says how many. */
struct {
	MAP_INT(type, BPF_MAP_TYPE_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_INT(map_flags, BPF_F_MMAPABLE);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct leg);
} legs SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_INT(map_flags, BPF_F_MMAPABLE);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct range);
} state SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_DEVMAP);
	MAP_INT(max_entries, DEVICES);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} devices SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_HASH);
	MAP_INT(max_entries, 4 * DEVICES);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct device);
} exits SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct reasons);
} reasons SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct moment);
} moments SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_INT(map_flags, BPF_F_MMAPABLE);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
} clock SEC(".maps");

/* Told by the loader: constants to the verifier. */
const volatile __u32 layout = FORWARD_LAYOUT;
const volatile __u32 test_clock; /* the map clock is the clock: tests */
const volatile __u32 face_count;
const volatile struct face faces[FACES];
const volatile __u32 first_port;
const volatile __u32 last_port;

/* only returns the one element of a map. */
static __always_inline void *only(void *map)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}

/* Types that BTF would leave out if nothing but code used them. */
struct named {
	enum reason reason;
};
const struct named *named __attribute__((unused));
