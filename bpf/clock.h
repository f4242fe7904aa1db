/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The shield's clock: milliseconds of jiffies, which cost one load. */
#pragma once

#include "kernel.h"
#include "maps.h"

const volatile __u32 tick_us;    /* length of a jiffy */
const volatile __u32 tick_ms;    /* the same when it is whole milliseconds, to spare a division; else 0 */
const volatile __u32 test_clock; /* the map clock is the clock: tests */

static __always_inline __u64 milliseconds(void)
{
	if (test_clock) {
		__u64 *ms = first(&clock);

		return ms ? READ_ONCE(*ms) : 0;
	}
	if (tick_ms)
		return bpf_jiffies64() * tick_ms;
	return bpf_jiffies64() * tick_us / 1000;
}
