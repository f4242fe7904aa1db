/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The layouts that kernel and user space share; nowhere else are they written. */
#pragma once

/* How the border ends a packet. The number is the counter's column; shield/policy
 * has the same list for people, and a test that holds the two together. */
enum verdict {
	VERDICT_UNCLASSIFIED,
	VERDICT_NOT_OURS,
	VERDICT_PASSED,
	VERDICT_ALLOWED,
	VERDICT_CONNECTION,
	VERDICT_LEG,
	VERDICT_FRAGMENT,
	VERDICT_MALFORMED, /* from here on: dropped */
	VERDICT_DENIED,
	VERDICT_BANNED,
	VERDICT_COUNTRY_DENIED,
	VERDICT_NO_LEG,
	VERDICT_SOURCE_BUDGET,
	VERDICT_NEIGHBOURHOOD,
	VERDICT_STRANGERS,
	VERDICT_HALF_OPEN,
	VERDICTS,
};
