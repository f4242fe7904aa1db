/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Lookup in the tries that geo/trie lays out. An index is masked, so that a table
 * that is wrong gives a wrong answer and nothing worse. */
#pragma once

#include "kernel.h"
#include "packet.h"
#include "types.h"

#define STRIDE 6

/* ones counts bits; BPF has no instruction for it. */
static __always_inline __u32 ones(__u64 v)
{
	v -= v >> 1 & 0x5555555555555555ULL;
	v = (v & 0x3333333333333333ULL) + (v >> 2 & 0x3333333333333333ULL);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return v * 0x0101010101010101ULL >> 56;
}

/* walk goes down from the root's entry at, by the bits after the root's, in no more
 * steps than an address has strides. mask is that of an index of words. What a record
 * refers to is never a leaf, so the root's entry alone is asked. */
static __always_inline __u8 walk(const __u64 *words, __u32 mask, __u32 at, __u64 hi, __u64 lo, int steps)
{
	const __u32 *references = (void *)words;
	const __u8 *values = (void *)words;
	__u64 part, before = 0, inner;
	__u32 middle = 0;

	if (at & LEAF)
		return at;
	for (int i = 0; i < steps; i++) {
		part = hi >> (64 - STRIDE);
		before = (1ULL << part) - 1;
		middle = at >> 1;
		/* Without a branch, which nothing would foretell and the verifier would follow twice. */
		inner = words[(middle + 1) & mask] & -(__u64)(at & 1);
		if (!(inner >> part & 1))
			break;
		at = references[(2 * middle + 4 + ones(inner & before)) & (2 * mask + 1)];
		hi = hi << STRIDE | lo >> (64 - STRIDE);
		lo <<= STRIDE;
	}
	return values[(8 * middle - 1 - ones(words[middle & mask] & before)) & (8 * mask + 7)];
}

/* find is the value of the longest prefix that holds the address, 0 when none does. */
static __always_inline __u8 find(const __u32 *root4, int bits4, const __u32 *root6, int bits6, const __u64 *words, __u32 mask,
				 const struct packet *p)
{
	if (p->family == 4)
		return walk(words, mask, root4[p->high >> (32 - bits4) & ((1U << bits4) - 1)], p->high << (32 + bits4), 0,
			    (32 - bits4 + STRIDE - 1) / STRIDE);
	return walk(words, mask, root6[p->high >> (64 - bits6)], p->high << bits6 | p->low >> (64 - bits6), p->low << bits6,
		    (128 - bits6 + STRIDE - 1) / STRIDE);
}
