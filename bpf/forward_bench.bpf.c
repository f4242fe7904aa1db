//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Measures what repeats packets: gives the frame that BPF_PROG_TEST_RUN hands round
 * the headers that it had, the next sequence number and timestamp and one of some
 * streams' ports, and goes on to the program that is measured. Loaded by benchmarks
 * only.
 *
 *	map      type        key  value    written by
 *	chained  PROG_ARRAY  0    program  the benchmark
 */
#include "headers.h"
#include "kernel.h"

struct {
	MAP_INT(type, BPF_MAP_TYPE_PROG_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} chained SEC(".maps");

struct begin {
	__u8 bytes[56]; /* Ethernet, IPv4, UDP without a checksum, RTP and a little more */
} __attribute__((aligned(8)));

const volatile struct begin begin = {};
const volatile __u32 streams; /* less one; a power of two */
__u32 turn;

SEC_XDP
int forward_bench(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *from = (const __u8 *)&begin;
	__u32 n = turn++, stream = n & streams;
	__u16 sequence = n / (streams + 1);

	if (p + sizeof(begin) > end)
		return XDP_ABORTED;
	asm volatile("" : "+r"(from)); /* or the compiler copies what the file says: zeros */
	__builtin_memcpy(p, from, sizeof(begin));
	*(__be16 *)(p + 36) = to_be16(from_be16(*(__be16 *)(p + 36)) + 2 * stream);
	*(__be16 *)(p + 44) = to_be16(sequence);
	*(__be32 *)(p + 46) = from_be32(sequence * 160);
	bpf_tail_call(ctx, &chained, 0);
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
