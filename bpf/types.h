/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The layouts that kernel and user space share; nowhere else are they written.
 * Fields and verdicts are only ever appended, so that counters and sources can be
 * carried from the maps of an older program to those of a newer one. Whoever
 * changes the meaning of a map without changing its size raises LAYOUT. */
#pragma once

#define LAYOUT 1

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

enum service {
	SERVICE_NONE,
	SERVICE_SIP,
	SERVICE_WEB,
	SERVICE_TURN,
	SERVICE_RTP,
	SERVICES,
};

enum class {
	CLASS_UNKNOWN,
	CLASS_KNOWN,
	CLASS_REGISTERED,
	CLASS_CARRIER,
	CLASS_BAN,
	CLASSES,
};

#define COUNTRIES 256
#define COUNTRY_ROOT4 18
#define COUNTRY_ROOT6 14
#define COUNTRY_WORDS (1 << 20)
#define LIST_ROOT 12
#define LIST_WORDS (1 << 18)
#define SOURCES 131072
#define CELLS (1 << 17) /* more than the 2,000 a second that come in are in a minute */
#define AROUNDS (1 << 16) /* in each of two rows */
#define REFUSED (1 << 19) /* words of four sources */
#define HALF_OPENS (1 << 14)
#define SAMPLES 1024 /* of each CPU */

/* A trie's entry is LEAF|value, or a reference to the record that decides the next
 * six bits; geo/trie says what a record is, and makes them. The value 0 says nothing
 * about the address. */
#define LEAF 0x80000000U

/* Which country an address is in. */
struct table {
	__u32 root4[1 << COUNTRY_ROOT4];
	__u32 root6[1 << COUNTRY_ROOT6];
	__u64 words[COUNTRY_WORDS];
};

/* Values of the list trie: what is to be done. */
enum {
	LIST_NONE,
	LIST_ALLOW,
	LIST_CARRIER,
	LIST_DENY,
};

#define UNLIMITED 0xffffffffU

/* Packets a second and packets. A rate of UNLIMITED is no budget at all. */
struct budget {
	__u32 rate;
	__u32 burst;
};
ASSERT_SIZE(struct budget, 8);

/* What is to be enforced; swapped whole. */
struct policy {
	__u64 version;
	__u64 deny[SERVICES][COUNTRIES / 64]; /* a bit for each country */
	struct budget budgets[CLASSES];       /* of each source */
	struct budget around;                 /* of a neighbourhood */
	struct budget all;                    /* of strangers, per service and transport */
	__u32 half_open;
	__u32 pad;
	__u32 root4[1 << LIST_ROOT];
	__u32 root6[1 << LIST_ROOT];
	__u64 words[LIST_WORDS];
};

/* Tokens are thousandths of a packet, the stamp is the low half of the clock's
 * milliseconds. Buckets are shared between CPUs without locks: when two meet in one,
 * an update is lost and a packet more is let through, which is accepted. */
struct bucket {
	__u32 stamp;
	__u32 tokens;
};
ASSERT_SIZE(struct bucket, 8);

/* Exact state of a source that was promoted or banned. */
struct source {
	__u32 until; /* second of the clock; 0: never */
	__u8 class;
	__u8 proven; /* the evidence for a ban could not be forged */
	__u16 pad;
	struct bucket bucket;
};
ASSERT_SIZE(struct source, 16);

/* How many sources there are at each hash. A flood of strangers asks this, which
 * stays in the cache, and not the large table of sources. User space counts up before
 * it puts a source and down after it took one away, so that what is 0 is nobody. */
#define MARKS (1 << 17)
#define MARK_SHIFT 20 /* other bits of the hash than the cell's and the tag's */

struct marks {
	__u8 count[MARKS];
};

/* Connections begun and not finished. */
struct half_open {
	__u32 stamp;
	__u32 count;
};
ASSERT_SIZE(struct half_open, 8);

/* What is kept of sources nobody promoted: 6.1 MiB, whoever they are and however many. */
struct buckets {
	__u64 cells[CELLS]; /* stamp, then 12 bits of tag, then 20 bits of tokens */
	struct bucket around[2][AROUNDS]; /* each neighbourhood has a place in either row */
	struct half_open half_open[HALF_OPENS];
	struct bucket all[32]; /* by service*2, +1 for TCP, +16 for IPv6: a flood of one family leaves the other alone */
	__u64 refused[REFUSED]; /* four times 16 bits of a source's hash, the latest lowest */
};

/* The service of each port in the low four bits, who said so in the high four. */
struct ports {
	__u8 udp[65536];
	__u8 tcp[65536];
};

/* A bit for each RTP port that a call has. */
struct legs {
	__u64 live[65536 / 64];
};

struct counters {
	__u64 packets[COUNTRIES][VERDICTS];
};
ASSERT_SIZE(struct counters, 32768); /* the most that a per-CPU value may have */

struct sample {
	__u8 address[16]; /* network order; IPv4 in the first four */
	__u8 family;      /* 4, 6, or 0: the frame names no source */
	__u8 country;
	__u8 verdict;
	__u8 service;
	__u8 class;
	__u8 pad[3];
	__u32 weight; /* packets it stands for */
	__u32 pad2;
};
ASSERT_SIZE(struct sample, 32);

/* The newest samples of one CPU. */
struct ring {
	__u64 head; /* samples written since the map was made */
	__u64 pad[7];
	struct sample samples[SAMPLES];
};

/* What must outlive programs besides. */
struct state {
	__u64 seed;
	__u32 layout;
	__u32 pad;
};
ASSERT_SIZE(struct state, 16);

/* Told to the loader through .rodata. */
const volatile __u32 layout = LAYOUT;

/* Types that BTF, from which Go's side is made, would leave out or cut short if
 * nothing but code used them. The pointer is never looked at. */
struct named {
	enum verdict verdict;
	enum service service;
	enum class class;
	struct policy policy;
	struct table table;
};
const struct named *named __attribute__((unused));
