//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* shield: every frame of a device ends in exactly one verdict before the kernel
 * sees it: malformed ones, strangers' floods, bans and countries that may not speak
 * are dropped; what is for no service of ours passes unseen.
 *
 *	map        type            key    value              written by
 *	policies   ARRAY_OF_MAPS   0      struct policy      Shield.SetPolicy, whole
 *	tables     ARRAY_OF_MAPS   0      struct table       Shield.SetCountries, whole
 *	ports      ARRAY           0      struct ports       Shield.SetServices
 *	legs       ARRAY           0      struct legs        Shield.SetLeg
 *	sources    HASH            key    struct source      Shield.PutSource; its bucket also here
 *	marks      ARRAY           0      struct marks       Shield.PutSource, Shield.DeleteSource
 *	buckets    ARRAY           0      struct buckets     here
 *	counters   PERCPU_ARRAY    0      struct counters    here
 *	samples    ARRAY           CPU    struct ring        here
 *	state      ARRAY           0      struct state       Open, once
 *	next       PROG_ARRAY      0      program            Shield.Chain
 *	clock      ARRAY           0      milliseconds       Shield.SetClock, in tests
 *
 * A source's key is its IPv4 address as a number, or the upper 64 bits of its IPv6 address.
 */
#include "judge.h"
#include "sample.h"

SEC_XDP
int shield(struct xdp_md *ctx)
{
	struct packet p = {};
	enum verdict v = dissect(ctx, &p);

	if (v == UNDECIDED)
		v = judge(&p);
	count(&p, v);
	if (v == VERDICT_LEG || (v == VERDICT_ALLOWED && p.service == SERVICE_RTP))
		bpf_tail_call(ctx, &next, 0); /* comes back when nothing is there */
	return v >= VERDICT_MALFORMED ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
