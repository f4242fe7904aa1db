/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How a packet leaves the machine: as the kernel's routes and neighbours say, asked
 * again after about a second. */
#pragma once

#include "forward_maps.h"
#include "leg.h"
#include "redirect.h"
#include "way.h"

#define EXIT_AGE 954 /* 1 s in units of 2^20 ns */

/* Who asks for a way out, and for what. */
struct question {
	__u64 now;
	__u32 ingress;
	__u32 length; /* of the IP packet that is to leave */
	bool xdp;     /* the device itself must take it; else the kernel's own sending does */
};

/* known tells whether x, a copy of an exit, is good for a packet of this way now. */
static __always_inline bool known(const struct exit *x, const struct trip *t, const struct question *q)
{
	struct range *s = only(&state);

	return s && !(x->version & 1) && (__u32)(q->now >> EXIT_SHIFT) - x->stamp < EXIT_AGE && x->ingress == q->ingress &&
	       x->way == (__u16)t->way.version && (x->slot == EXIT_STACK) == !q->xdp && x->generation == (__u8)READ_ONCE(s->generation) && q->length <= x->mtu;
}

/* by chooses the device that sends for the one that a route names. */
static __always_inline enum reason by(__u32 index, const struct question *q, struct exit *x)
{
	struct device *out = bpf_map_lookup_elem(&exits, &index);
	struct device *in = bpf_map_lookup_elem(&exits, &q->ingress);
	bool generic = in && in->flags & DEVICE_GENERIC;

	if (!q->xdp) {
		x->tag = index;
		x->slot = EXIT_STACK;
		return index < NO_TAG ? ON : REASON_NO_DEVICE;
	}
	if (!out)
		return REASON_NO_DEVICE;
	x->tag = out->tag;
	/* A veth loses what it sends back itself, but not what another would send by it. */
	x->slot = out->index == q->ingress && (generic || out->flags & DEVICE_BACK) ? EXIT_BACK : out->slot;
	if (!generic && x->slot != EXIT_BACK && !(out->flags & DEVICE_XMIT))
		return REASON_NO_XMIT;
	return ON;
}

/* remember keeps an exit with its leg, unless another processor is doing the same. */
static __always_inline void remember(struct leg *l, const struct exit *x)
{
	__u32 version = READ_ONCE(l->exit.version), n;

	if (version & 1 || __sync_val_compare_and_swap(&l->exit.version, version, version + 1) != version)
		return;
	barrier();
	l->exit.stamp = x->stamp;
	l->exit.ingress = x->ingress;
	__builtin_memcpy(l->exit.to, x->to, sizeof(x->to));
	__builtin_memcpy(l->exit.from, x->from, sizeof(x->from));
	l->exit.mtu = x->mtu;
	l->exit.tag = x->tag;
	l->exit.way = x->way;
	l->exit.slot = x->slot;
	l->exit.generation = x->generation;
	barrier();
	n = __sync_fetch_and_add(&l->exit.version, 1);
	asm volatile("" ::"r"(n)); /* with its result used, the addition is ordered */
}

/* ask asks the kernel for a way out, as if the packet were to be routed. It is a
 * function of its own: most packets find the answer of one before them. */
static __attribute__((noinline)) int ask(void *ctx, const struct trip *t, const struct question *q, struct exit *x)
{
	struct fib f = { .protocol = 17 };
	struct range *s = only(&state);
	bool v6 = t->way.flags & WAY_TO_V6;
	enum reason r;
	long found;

	if (!s)
		return REASON_NO_ROUTE;
	x->generation = READ_ONCE(s->generation); /* before devices are looked at */
	f.family = v6 ? AF_INET6 : AF_INET;
	f.sport_be = t->way.via_port_be;
	f.dport_be = t->way.to_port_be;
	f.length = q->length;
	f.device = q->ingress;
	__builtin_memcpy(f.source_be, t->way.via_be, sizeof(f.source_be));
	__builtin_memcpy(f.destination_be, t->way.to_be, sizeof(f.destination_be));
	found = bpf_fib_lookup(ctx, &f, sizeof(f), 0);
	if (found == FIB_FORWARDING_OFF)
		return REASON_FORWARDING_OFF;
	if (found == FIB_NO_NEIGHBOUR)
		return REASON_NO_NEIGHBOUR;
	if (found == FIB_TOO_LONG)
		return REASON_TOO_LONG;
	if (found != FIB_FOUND)
		return REASON_NO_ROUTE;
	x->stamp = q->now >> EXIT_SHIFT;
	x->ingress = q->ingress;
	x->way = t->way.version;
	x->mtu = f.length;
	__builtin_memcpy(x->to, f.to, sizeof(x->to));
	__builtin_memcpy(x->from, f.from, sizeof(x->from));
	r = by(f.device, q, x);
	if (r == ON)
		remember(t->last, x);
	return r;
}
