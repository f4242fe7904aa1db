//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Measures the shield: the same judge, over frames whose source changes with every
 * run of BPF_PROG_TEST_RUN, driven by a counter in the frame's payload. Loaded by
 * benchmarks only. The maps are the shield's, and
 *
 *	map        type   key  value                     written by
 *	addresses  ARRAY  0    struct addresses          the benchmark
 */
#include "judge.h"
#include "sample.h"

#define ADDRESSES (1 << 15) /* so few that they stay in the cache: a packet that has arrived does, too */

struct addresses {
	__u32 be[ADDRESSES][2]; /* of IPv4 the first, of IPv6 the upper half */
};

struct ARRAY_OF_ONE(struct addresses) addresses SEC(".maps");

const volatile __u32 bench_mode;  /* 0: as the frame is; 1: one of bench_among from bench_base on; 2: any; 3: from addresses */
const volatile __u32 bench_among;
const volatile __u32 bench_base;

/* vary gives the frame another source, and tells where the bytes of one are. */
static __always_inline int vary(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethernet *e = data;
	struct ipv4 *v4 = (void *)(e + 1);
	struct ipv6 *v6 = (void *)(e + 1);
	__u32 *turn = (void *)(v6 + 1) + sizeof(struct udp), r;

	if ((void *)(turn + 1) > end)
		return -1;
	r = (*turn)++ * 2654435761U;
	r ^= r >> 15;
	r *= 2246822519U;
	r ^= r >> 13;
	if (bench_mode == 1) {
		v4->source_be = from_be32(bench_base + r % bench_among);
	} else if (bench_mode == 2) {
		r = (r & 0x7fffffff) + 0x10000000; /* 16.0.0.0 to 143.255.255.255 */
		v4->source_be = from_be32(r);
	} else if (bench_mode == 3) {
		struct addresses *a = first(&addresses);

		if (!a)
			return -1;
		r &= ADDRESSES - 1;
		if (e->type_be == to_be16(TYPE_IPV4)) {
			v4->source_be = a->be[r][0];
		} else {
			v6->source_be[0] = a->be[r][0];
			v6->source_be[1] = a->be[r][1];
		}
	}
	return 0;
}

SEC("xdp")
int shield(struct xdp_md *ctx)
{
	struct packet p = {};
	enum verdict v;

	if (vary(ctx))
		return XDP_ABORTED;
	v = dissect(ctx, &p);
	if (v == UNDECIDED)
		v = judge(&p);
	count(&p, v);
	return v >= VERDICT_MALFORMED ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int bench_vary(struct xdp_md *ctx)
{
	return vary(ctx) ? XDP_ABORTED : XDP_DROP;
}

SEC("xdp")
int bench_empty(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
