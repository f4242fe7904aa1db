/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What of the kernel's ABI forwarding needs besides kernel.h: routes, and how a
 * packet is made longer and sent. */
#pragma once

#include "kernel.h"

static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static long (*const bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
static long (*const bpf_fib_lookup)(void *ctx, void *params, int size, __u32 flags) = (void *)69;

enum {
	AF_INET = 2,
	AF_INET6 = 10,
};

/* struct bpf_fib_lookup */
struct fib {
	__u8 family;
	__u8 protocol;
	__be16 sport_be;
	__be16 dport_be;
	__u16 length; /* of the IP packet; afterwards: the most that is possible */
	__u32 device; /* where it came in; afterwards: where it goes out */
	__u32 tos;
	__be32 source_be[4];
	__be32 destination_be[4]; /* afterwards: of the next hop */
	__u32 vlan;
	__u8 from[6];
	__u8 to[6];
};
ASSERT_SIZE(struct fib, 64);

/* BPF_FIB_LKUP_RET_* */
enum {
	FIB_FOUND = 0,
	FIB_FORWARDING_OFF = 5,
	FIB_NO_NEIGHBOUR = 7,
	FIB_TOO_LONG = 8,
};
