//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* repeat: the least that a relay of UDP over IPv4 can do in XDP, to know what this
 * machine allows: one load by port, new addresses and ports, sums, and out of a fixed
 * device to a fixed neighbour. It checks no source, counts nothing, and asks nobody
 * for the way. */
#include "../kernel.h"

static long (*const bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;

struct way {
	__be16 from_be, to_be;
};
const volatile struct way ways[65536] = {}; /* by the port a packet came to */
const volatile __u8 macs[12] = {};	    /* of who gets it, then ours */
const volatile __be32 from_be, to_be;
const volatile __u32 device;

struct frame {
	__u8 macs[12];
	__be16 type_be;
	__u8 version_length, tos;
	__be16 total_be, id_be, fragment_be;
	__u8 ttl, protocol;
	__be16 ip_check_be;
	__be32 source_be, destination_be;
	__be16 source_port_be, destination_port_be, length_be, check_be;
} __attribute__((packed));

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

SEC("xdp") int repeat(struct xdp_md *ctx)
{
	struct frame *f = (void *)(long)ctx->data;
	const __u8 *to = (const __u8 *)macs;
	__u64 addresses, sum;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (f->type_be != to_be16(0x0800) || f->version_length != 0x45 || f->protocol != 17)
		return XDP_PASS;

	const volatile struct way *w = &ways[from_be16(f->destination_port_be)];
	__be16 source_port = w->from_be, destination_port = w->to_be;

	if (!destination_port)
		return XDP_PASS;
	/* RFC 1624: what goes is added inverted, what comes as it is. */
	addresses = (__u64)(__u32)~f->source_be + (__u32)~f->destination_be + from_be + to_be;
	f->ip_check_be = ~fold((__u16)~f->ip_check_be + addresses + (__u16)~to_be16(0x0100)); /* a hop less */
	if (f->check_be) {
		sum = (__u16)~f->check_be + addresses + (__u16)~f->source_port_be + (__u16)~f->destination_port_be + source_port +
		      destination_port;
		f->check_be = ~fold(sum);
		if (!f->check_be)
			f->check_be = 0xffff;
	}
	f->ttl--;
	f->source_be = from_be;
	f->destination_be = to_be;
	f->source_port_be = source_port;
	f->destination_port_be = destination_port;
	asm volatile("" : "+r"(to)); /* or the compiler copies what the file says: zeros */
	__builtin_memcpy(f->macs, to, 12);
	return bpf_redirect(device, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
