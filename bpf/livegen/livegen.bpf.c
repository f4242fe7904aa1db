//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* livegen: a load maker. It runs under BPF_PROG_TEST_RUN with live frames, where
 * the kernel hands it pages in a loop; each that it answers with XDP_TX leaves the
 * device. It has no maps: what to send is constant once loaded, and the three
 * variables below are shared with user space.
 *
 *	variable  written by
 *	sent      here: packets that left
 *	until     Generator.Run: stop when so many have left
 *	due       here: when the next one may leave, for pacing
 */
#include "../kernel.h"

static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;

/* The headers every packet begins with. Pages come back with whatever the receiver
 * wrote into them, so all headers are written anew; what follows them is left. */
#define ETHERNET 14
#define HEADERS_MAX (ETHERNET + 40 + 20) /* IPv6, TCP */
struct headers {
	__u8 bytes[HEADERS_MAX];
} __attribute__((aligned(8)));
const volatile struct headers headers = {};

const volatile __u8 ipv6, tcp;
const volatile __u64 first;	   /* source: IPv4 address, or upper half of IPv6 */
const volatile __u64 span;	   /* random sources are drawn from so many, at most 2^32 */
const volatile __u32 sources;	   /* not 0: so many, in turn */
const volatile __u64 step;	   /* between those */
const volatile __u32 shift;	   /* of what is added to first */
const volatile __u32 seed;
const volatile __u16 source_port;  /* 0: any */
const volatile __u16 port;	   /* destination, the first */
const volatile __u32 ports;	   /* so many of them */
const volatile __u32 ip_sum;	   /* of the IPv4 header without source */
const volatile __u32 l4_sum;	   /* of pseudo header, header and payload without source and ports */
const volatile __u64 interval;	   /* ns between packets; 0: no pause */

/* Streams of RTP, in turn: the ports of each. Every round is one packet of each
 * stream, the next number and 20 ms of 8000 Hz later. */
#define STREAMS_MAX 32768
struct stream {
	__u16 from, to;
};
const volatile __u32 streams; /* not 0: so many */
const volatile struct stream stream_ports[STREAMS_MAX] = {};
#define RTP_HEADER 12
#define CATCH_UP 5000000ull	   /* ns of lateness that are made up for */

volatile __u64 sent, until, due;

/* mix32 gives every number another one (murmur3's finalizer): a counter becomes
 * random looking and does not repeat before all 2^32 were had. */
static __always_inline __u32 mix32(__u32 x)
{
	x ^= x >> 16;
	x *= 0x85ebca6b;
	x ^= x >> 13;
	x *= 0xc2b2ae35;
	return x ^ x >> 16;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u64 source(__u32 i)
{
	if (sources)
		return first + ((i % sources) * step << shift);
	return first + (((__u64)mix32(i ^ seed) * span >> 32) << shift);
}

/* turn waits for the next packet's time by answering no until then. */
static __always_inline int turn(void)
{
	__u64 now, next = due;

	if (sent >= until)
		return 0;
	if (!interval)
		return 1;
	now = bpf_ktime_get_ns();
	if (now < next)
		return 0;
	if (next + CATCH_UP < now)
		next = now;
	due = next + interval;
	return 1;
}

/* address writes the packet's source and returns its checksum's part. */
static __always_inline __u64 address(__u8 *p, __u32 i)
{
	__u64 from = source(i);

	if (ipv6) {
		__u64 *at = (void *)(p + ETHERNET + 8);
		__u64 upper = from_be64(from);
		__u64 lower = (__u64)mix32(from) << 32 | mix32(from >> 32) | 1;

		__builtin_memcpy(at, &upper, 8);
		__builtin_memcpy(at + 1, &lower, 8);
		return (upper & 0xffffffff) + (upper >> 32) + (lower & 0xffffffff) + (lower >> 32);
	}
	__u32 saddr = from_be32(from);
	__u16 check = ~fold((__u64)ip_sum + saddr);

	__builtin_memcpy(p + ETHERNET + 10, &check, 2);
	__builtin_memcpy(p + ETHERNET + 12, &saddr, 4);
	return saddr;
}

/* media writes the RTP header of a stream's next packet behind p, the UDP header,
 * and returns the sum of what l4_sum took for zero. */
static __always_inline __u64 media(__u8 *p, __u32 stream, __u32 round)
{
	__u16 number = to_be16((__u16)round);
	__u32 stamp = from_be32(round * 160), source = from_be32(seed + stream);

	__builtin_memcpy(p + 10, &number, 2);
	__builtin_memcpy(p + 12, &stamp, 4);
	__builtin_memcpy(p + 16, &source, 4);
	return (__u64)number + stamp + source;
}

/* ends writes ports and checksum; sum is that of the source address. */
static __always_inline void ends(__u8 *p, __u32 i, __u64 sum)
{
	__u32 any = mix32(i + 0x9e3779b9);
	__u16 from = source_port, to = port;

	if (streams) {
		__u32 stream = i % streams & (STREAMS_MAX - 1);

		from = stream_ports[stream].from;
		to = stream_ports[stream].to;
		sum += media(p, stream, i / streams);
	} else {
		if (!from)
			from = 1024 + (__u16)((any & 0xffff) * 64512 >> 16);
		if (ports > 1)
			to += (any >> 16) * ports >> 16;
	}
	from = to_be16(from);
	to = to_be16(to);
	sum += (__u64)l4_sum + from + to;
	__builtin_memcpy(p, &from, 2);
	__builtin_memcpy(p + 2, &to, 2);

	__u16 check = ~fold(sum);
	if (!tcp && !check)
		check = 0xffff;
	__builtin_memcpy(p + (tcp ? 16 : 6), &check, 2);
}

SEC("xdp") int livegen(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *from = (const __u8 *)&headers;
	const int l4 = ETHERNET + (ipv6 ? 40 : 20);
	__u32 i = sent;

	if (!turn())
		return XDP_DROP;
	if (streams && p + l4 + 8 + RTP_HEADER > end)
		return XDP_ABORTED;
	asm volatile("" : "+r"(from)); /* or the compiler copies what the file says: zeros */
	if (ipv6 && tcp) {
		if (p + 74 > end)
			return XDP_ABORTED;
		__builtin_memcpy(p, from, 74);
	} else if (ipv6) {
		if (p + 62 > end)
			return XDP_ABORTED;
		__builtin_memcpy(p, from, 62);
	} else if (tcp) {
		if (p + 54 > end)
			return XDP_ABORTED;
		__builtin_memcpy(p, from, 54);
	} else {
		if (p + 42 > end)
			return XDP_ABORTED;
		__builtin_memcpy(p, from, 42);
	}
	ends(p + l4, i, address(p, i));
	sent++;
	return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
