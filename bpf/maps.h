/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The shield's maps; the table of who writes them is in shield.bpf.c. Values are
 * one big element wherever a size is fixed: the lookup is then a few inlined
 * instructions and what follows are plain loads. */
#pragma once

#include "kernel.h"
#include "types.h"

#define ARRAY_OF_ONE(element)                      \
	{                                          \
		MAP_INT(type, BPF_MAP_TYPE_ARRAY); \
		MAP_INT(max_entries, 1);           \
		MAP_INT(map_flags, BPF_F_MMAPABLE); \
		MAP_TYPE(key, __u32);              \
		MAP_TYPE(value, element);          \
	}

struct policy_map ARRAY_OF_ONE(struct policy);
struct table_map ARRAY_OF_ONE(struct table);

struct {
	MAP_INT(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	MAP_INT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_VALUES(values, struct policy_map);
} policies SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	MAP_INT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_VALUES(values, struct table_map);
} tables SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_HASH);
	MAP_INT(max_entries, SOURCES);
	MAP_TYPE(key, __u64);
	MAP_TYPE(value, struct source);
} sources SEC(".maps");

struct {
	MAP_INT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct counters);
} counters SEC(".maps");

/* The loader makes as many rings as there may be CPUs. */
struct {
	MAP_INT(type, BPF_MAP_TYPE_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_INT(map_flags, BPF_F_MMAPABLE);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct ring);
} samples SEC(".maps");

struct ARRAY_OF_ONE(struct buckets) buckets SEC(".maps");
struct ARRAY_OF_ONE(struct marks) marks SEC(".maps");
struct ARRAY_OF_ONE(struct ports) ports SEC(".maps");
struct ARRAY_OF_ONE(struct legs) legs SEC(".maps");
struct ARRAY_OF_ONE(struct state) state SEC(".maps");
struct ARRAY_OF_ONE(__u64) clock SEC(".maps");

/* What a packet of a live leg meets next, if anything is there: the relay's forwarder. */
struct {
	MAP_INT(type, BPF_MAP_TYPE_PROG_ARRAY);
	MAP_INT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} next SEC(".maps");

/* first returns the only element of a map. */
static __always_inline void *first(void *map)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}
