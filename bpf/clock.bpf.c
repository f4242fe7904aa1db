//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* ticks: tells user space what the shield takes for now. It has no maps. */
#include "kernel.h"

SEC("syscall")
int ticks(__u64 *jiffies)
{
	*jiffies = bpf_jiffies64();
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
