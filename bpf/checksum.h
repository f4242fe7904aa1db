/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Checksums that a sender on this machine left for its device to finish: what stands
 * there is only the sum of the pseudo header. It happens between containers and in
 * laboratories; what came by a wire is complete. */
#pragma once

#include "datagram.h"
#include "forward_maps.h"
#include "redirect.h"

#define FINISHED_MAX 2048 /* bytes; media keeps below an MTU */

/* total sums a datagram up, from byte at of the frame on, of the pseudo header what is
 * in sum, and returns the checksum that it should have. It is a function of its own, so
 * that the verifier walks its loops once; and masks at, so that it takes one round for
 * the other. */
__attribute__((noinline)) __u32 total(struct xdp_md *ctx, __u32 at, __u32 length, __u64 sum)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 check;

	for (int i = 0; i < FINISHED_MAX / 32 && length >= 32; i++) {
		__be32 *w = data + (at & PAYLOAD_MAX);

		if ((void *)(w + 8) > end)
			break;
		sum += sum4(w) + sum4(w + 4);
		at += 32;
		length -= 32;
	}
	for (int i = 0; i < 16 && length >= 2; i++) {
		__be16 *h = data + (at & PAYLOAD_MAX);

		if ((void *)(h + 1) > end)
			break;
		sum += *h;
		at += 2;
		length -= 2;
	}
	if (length == 1) {
		__u8 *last = data + (at & PAYLOAD_MAX);

		if ((void *)(last + 1) <= end)
			sum += *last;
	}
	check = (__u16)~fold(sum);
	return check ? check : 0xffff;
}

/* finish looks at a checksum that looks as if it were half of one, as one in 65536
 * complete ones does, and says what it should be. Where the kernel still means to
 * finish it (generic XDP keeps its packets' books), that is not for us. */
static __attribute__((noinline)) int finish(struct xdp_md *ctx, struct datagram *d, __u32 at, __u64 pseudo)
{
	__u32 ingress = ctx->ingress_ifindex, length = d->size + sizeof(struct udp);
	/* The sum runs over the field itself, which is to count as zero. */
	__u32 check = total(ctx, at, length, pseudo + (__u16)~d->check_be);
	struct device *in;

	if (length > FINISHED_MAX)
		return REASON_HALF_CHECKSUM;
	if (check == d->check_be)
		return ON; /* complete after all */
	in = bpf_map_lookup_elem(&exits, &ingress);
	if (!in || in->flags & DEVICE_GENERIC)
		return REASON_HALF_CHECKSUM;
	d->check_be = check;
	return ON;
}
