/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What time it is, for jitter and for the age of ways out. Reading the clock costs as
 * much as all the rest of a packet, so where packets come so densely that it hardly
 * moves between them, up to 16 share one reading, which is then some 30 us old at
 * most. Only packets that come right after such a burst and a pause are dated wrong: by
 * less than a tick, and no more than 15 of them. */
#pragma once

#include "forward_maps.h"
#include "redirect.h"

#define SHARED 15      /* packets that may use the reading of one before them */
#define DENSE 16384    /* ns that those should take together, at least */
#define SPARSE 32768   /* at most */
#define ALONE 131072   /* nobody shares anything */

static __always_inline __u64 nanoseconds(void)
{
	struct moment *m = only(&moments);
	__u64 ticks, now, passed;

	if (test_clock) {
		__u64 *ns = only(&clock);

		return ns ? READ_ONCE(*ns) : 0;
	}
	if (!m)
		return bpf_ktime_get_ns();
	ticks = bpf_jiffies64();
	if (m->left && m->ticks == ticks) {
		m->left--;
		return m->ns;
	}
	now = bpf_ktime_get_ns();
	passed = now - m->ns;
	if (passed < DENSE)
		m->share = (m->share * 2 + 1) & SHARED;
	else if (passed > ALONE)
		m->share = 0;
	else if (passed > SPARSE)
		m->share >>= 1;
	m->left = m->share;
	m->ticks = ticks;
	m->ns = now;
	return now;
}
