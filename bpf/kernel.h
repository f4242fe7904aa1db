/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What of the kernel's ABI the programs need, written here so that they compile
 * with nothing but clang: fixed-width integers, the context, the helpers by their
 * numbers, and how a map is declared for BTF loaders. */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef __u16 __be16; /* network order; names of such fields end in _be */
typedef __u32 __be32;
typedef __u64 __be64;
typedef _Bool bool;

#define NULL ((void *)0)
#define true 1
#define false 0

#define SEC(name) __attribute__((section(name), used))

/* Where XDP programs stand. One that is tail-called must be of the same kind as its
 * caller (with or without frags), so all say it by this. */
#define SEC_XDP SEC("xdp")

#define __always_inline inline __attribute__((always_inline))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)

/* Little-endian targets only (bpfel): amd64 and arm64. */
#define from_be16(x) __builtin_bswap16(x)
#define from_be32(x) __builtin_bswap32(x)
#define from_be64(x) __builtin_bswap64(x)
#define to_be16(x) __builtin_bswap16(x)

/* Memory that other CPUs and user space change is read and written once. */
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

enum {
	XDP_ABORTED,
	XDP_DROP,
	XDP_PASS,
	XDP_TX,
	XDP_REDIRECT,
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_tail_call)(void *ctx, void *map, __u32 index) = (void *)12;
static __u64 (*const bpf_jiffies64)(void) = (void *)118;
static __u64 (*const bpf_xdp_get_buff_len)(struct xdp_md *ctx) = (void *)188; /* since 5.18 */

/* Map declarations: a struct whose members' types say what the map is. */
#define MAP_INT(name, value) int(*name)[value]
#define MAP_TYPE(name, type) __typeof__(type) *name
#define MAP_VALUES(name, inner) __typeof__(inner) *name[]

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_DEVMAP = 14,
};

#define BPF_F_MMAPABLE (1U << 10)
