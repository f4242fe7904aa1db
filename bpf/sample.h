/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* count is the one place where a packet leaves a trace: a counter, and for about one
 * of 64 that ended alike, a sample. */
#pragma once

#include "kernel.h"
#include "maps.h"
#include "packet.h"
#include "types.h"

#define SAMPLED 64

/* sample writes to this CPU's ring. The head moves after the sample is whole; a
 * reader that finds the head has overtaken it drops what it read. */
static __always_inline void sample(const struct packet *p, enum verdict v, __u32 weight)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct ring *r = bpf_map_lookup_elem(&samples, &cpu);
	struct sample *s;
	__u64 head;

	if (!r)
		return;
	head = READ_ONCE(r->head);
	s = &r->samples[head & (SAMPLES - 1)];
	if (p->family == 4) {
		*(__be32 *)s->address = from_be32((__u32)p->high);
	} else {
		((__be64 *)s->address)[0] = from_be64(p->high);
		((__be64 *)s->address)[1] = from_be64(p->low);
	}
	s->family = p->family;
	s->country = p->country;
	s->verdict = v;
	s->service = p->service;
	s->class = p->class;
	s->weight = weight;
	__sync_lock_test_and_set(&r->head, head + 1); /* ordered: the sample is seen before the head, and the head before the next */
}

static __always_inline void count(const struct packet *p, enum verdict v)
{
	struct counters *c = first(&counters);
	__u64 n;

	if (!c || v >= VERDICTS)
		return;
	n = ++c->packets[p->country][v];
	if (n % SAMPLED == 1)
		sample(p, v, n == 1 ? 1 : SAMPLED);
}
