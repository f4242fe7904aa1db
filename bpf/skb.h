/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What of the kernel's ABI programs at TCX hooks need: packets as the kernel's stack
 * has them, whose checksums it keeps books of. */
#pragma once

#include "kernel.h"

struct __sk_buff {
	__u32 len;
	__u32 to_protocol[4];
	__u32 vlan_present;
	__u32 to_ingress[3];
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 to_data[8];
	__u32 data;
	__u32 data_end;
	__u32 to_meta[15];
	__u64 flow_keys;
	__u64 stamp;
	__u32 wire_len;
	__u32 gso_segs;
	__u64 socket;
	__u32 gso_size;
};

enum {
	TCX_NEXT = -1,
	TCX_DROP = 2,
};

enum {
	BPF_F_PSEUDO_HDR = 1 << 4,
	BPF_F_MARK_MANGLED_0 = 1 << 5,
};

static long (*const bpf_l4_csum_replace)(struct __sk_buff *skb, __u32 at, __u64 from, __u64 to, __u64 flags) = (void *)11;
static long (*const bpf_skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;
static long (*const bpf_redirect)(__u32 device, __u64 flags) = (void *)23;
static long (*const bpf_skb_pull_data)(struct __sk_buff *skb, __u32 length) = (void *)39;
static long (*const bpf_csum_update)(struct __sk_buff *skb, __u32 sum) = (void *)40;
