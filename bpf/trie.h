/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Lookup in the tries that geo/trie lays out. An index is masked, so that a table
 * that is wrong gives a wrong answer and nothing worse. */
#pragma once

#include "kernel.h"
#include "types.h"

/* walk goes down from at by steps four-bit pieces of bits, from the top. */
static __always_inline __u32 walk(const struct node *nodes, __u32 mask, __u32 at, __u64 bits, int steps)
{
	for (int i = 0; i < steps; i++) {
		if (at & LEAF)
			break;
		at = nodes[at & mask].child[bits >> 60];
		bits <<= 4;
	}
	return at;
}

/* find is the value of the longest prefix that holds the address, 0 when none does. */
static __always_inline __u32 find(const __u32 *root4, const __u32 *root6, const struct node *nodes, __u32 mask, int root,
				  const struct packet *p)
{
	__u32 at;

	if (p->family == 4) {
		at = root4[(p->high >> (32 - root)) & ((1U << root) - 1)];
		at = walk(nodes, mask, at, p->high << (32 + root), (32 - root) / 4);
	} else {
		at = root6[p->high >> (64 - root)];
		at = walk(nodes, mask, at, p->high << root, (64 - root) / 4);
		at = walk(nodes, mask, at, p->low, 16);
	}
	return at & LEAF ? at & ~LEAF : 0;
}
