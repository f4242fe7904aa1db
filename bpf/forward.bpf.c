//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "forward_maps.h"

SEC_XDP
int forward(struct xdp_md *ctx)
{
	struct range *r = only(&state);
	(void)ctx;
	if (!r || !only(&legs) || !only(&reasons) || !only(&clock) || !only(&devices) || !only(&exits)) return XDP_PASS;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
