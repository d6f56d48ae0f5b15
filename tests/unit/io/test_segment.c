/* Super-packets, as the kernel makes them, against packets that were made one by one. */
#include "io/segment.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "packets.h"

enum { ACK = 0x10, PSH = 0x08, CWR = 0x80, FIN = 1 };

/* What the kernel gives for one packet that is too long for the way: lengths of the whole, a
 * checksum that is begun. */
static struct packet super_make(
	struct dice *d, struct flow *f, uint32_t payload, uint8_t flags, struct vnet_hdr *h)
{
	struct packet k = packet_make(d, f, payload, flags);
	uint32_t l4 = packet_l4(k.data), at = l4 + (f->udp ? 6 : 16);
	uint32_t sum = k.data[f->v6 ? 6 : 9] + (k.len - l4);

	put16(k.data + at, slow_sum(k.data + (f->v6 ? 8 : 12), f->v6 ? 32 : 8, sum));
	*h = (struct vnet_hdr){.flags = VNET_NEEDS_CSUM,
		.gso_type = f->udp  ? VNET_UDP
			    : f->v6 ? VNET_TCP6
				    : VNET_TCP4,
		.gso_size = f->size,
		.csum_start = (uint16_t)l4,
		.csum_offset = (uint16_t)(at - l4)};
	return k;
}

/* What the packets must be: the same flow's, made one by one. */
static void compare(struct flow f, const struct packet *super, struct segments *s, uint32_t payload,
	uint8_t flags)
{
	struct dice d = {1};
	uint32_t head = super->len - payload;

	for (uint32_t at = 0, i = 0; at < payload; i++) {
		uint32_t part = payload - at < f.size ? payload - at : f.size;
		uint8_t kept = flags;
		struct packet want;
		uint8_t *out = malloc(segment_max(s));
		uint32_t len;

		if (at + part < payload)
			kept &= (uint8_t)~(PSH | FIN);
		if (i > 0)
			kept &= (uint8_t)~CWR;
		want = packet_make(&d, &f, part, kept);
		memcpy(want.data + head, super->data + head + at, part);
		sums_put(&want);
		len = segment_next(s, out);
		assert_int_equal(len, want.len);
		assert_memory_equal(out, want.data, len);
		at += part;
		free(out);
		free(want.data);
	}
	assert_int_equal(segment_left(s), 0);
}

static void cuts_as_if_made_one_by_one(void **state)
{
	static const uint8_t flags[] = {ACK, ACK | PSH, ACK | FIN, ACK | CWR, ACK | PSH | CWR};

	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct dice d = {seed * 0x9e3779b97f4a7c15ull};
		struct flow f = flow_make(&d, 3), before;
		uint32_t payload = f.size + 1 + roll(&d, 40) * f.size + roll(&d, f.size);
		uint8_t flag = flags[roll(&d, ARRAY_SIZE(flags))];
		struct vnet_hdr h;
		struct segments s;
		struct packet k;

		if (payload > 65000)
			payload = 65000;
		f.no_sum = f.same_id = false;
		before = f;
		k = super_make(&d, &f, payload, flag, &h);
		if (flag & CWR && !f.udp)
			h.gso_type |= VNET_ECN;
		assert_int_equal(segment_begin(&s, &h, k.data, k.len), SEGMENT_SUPER);
		assert_int_equal(segment_left(&s), (payload + f.size - 1) / f.size);
		compare(before, &k, &s, payload, flag);
		free(k.data);
	}
}

static void a_routing_header_keeps_its_sum(void **state)
{
	enum { EXTENSION = 8, PAYLOAD = 300 };
	struct dice d = {5};
	struct flow f = {.number = 1, .v6 = true, .udp = true, .ttl = 64, .size = 100};
	struct vnet_hdr h;
	struct packet k = super_make(&d, &f, PAYLOAD, 0, &h);
	uint8_t *p = calloc(1, k.len + EXTENSION), out[200];
	struct segments s;

	(void)state;
	memcpy(p, k.data, 40);
	p[6] = 43;
	p[40] = 17;
	put16(p + 4, k.len - 40 + EXTENSION);
	memcpy(p + 40 + EXTENSION, k.data + 40, k.len - 40);
	h.csum_start += EXTENSION;
	assert_int_equal(segment_begin(&s, &h, p, k.len + EXTENSION), SEGMENT_SUPER);
	for (int i = 0; i < 3; i++) {
		uint32_t len = segment_next(&s, out);

		assert_int_equal(len, 40 + EXTENSION + 8 + 100);
		assert_int_equal(get16(out + 4), len - 40);
		/* Without the extension the sum is that of a plain packet. */
		memmove(out + 40, out + 40 + EXTENSION, len - 40 - EXTENSION);
		out[6] = 17;
		assert_int_equal(l4_sum(out, len - EXTENSION), 0);
	}
	free(k.data);
	free(p);
}

static void a_begun_checksum_is_finished(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct dice d = {seed * 0x9e3779b97f4a7c15ull};
		struct flow f = flow_make(&d, 3), again;
		struct vnet_hdr h;
		struct segments s;
		struct packet k, want;
		uint32_t payload = roll(&d, 2000);
		struct dice same;

		f.no_sum = false;
		again = f;
		same = d;
		want = packet_make(&same, &again, payload, ACK);
		k = super_make(&d, &f, payload, ACK, &h);
		h.gso_type = VNET_NONE;
		h.gso_size = 0;
		assert_int_equal(segment_begin(&s, &h, k.data, k.len), SEGMENT_WHOLE);
		assert_memory_equal(k.data, want.data, k.len);
		free(k.data);
		free(want.data);
	}
}

/* In UDP a sum of zero is written as all ones. */
static void no_datagram_gets_sum_zero(void **state)
{
	struct dice d = {3};
	struct flow f = {.number = 1, .udp = true, .ttl = 64, .size = 2};
	struct vnet_hdr h;
	struct segments s;
	uint8_t out[64];

	(void)state;
	for (int whole = 0; whole < 2; whole++) {
		struct packet k = super_make(&d, &f, whole ? 2 : 4, 0, &h);
		struct packet one = packet_make(&d, &f, 2, 0);
		uint16_t rest;

		/* The payload that makes it so. */
		put16(one.data + 28, 0);
		put16(one.data + 26, 0);
		rest = l4_sum(one.data, one.len);
		put16(k.data + 28, rest);
		if (whole) {
			h.gso_type = VNET_NONE;
			assert_int_equal(segment_begin(&s, &h, k.data, k.len), SEGMENT_WHOLE);
			assert_int_equal(get16(k.data + 26), 0xffff);
		} else {
			assert_int_equal(segment_begin(&s, &h, k.data, k.len), SEGMENT_SUPER);
			assert_int_equal(segment_next(&s, out), one.len);
			assert_int_equal(get16(out + 26), 0xffff);
		}
		free(k.data);
		free(one.data);
	}
}

static void what_needs_nothing_stays(void **state)
{
	const struct vnet_hdr h = {0};
	struct segments s;
	uint8_t p[3] = {1, 2, 3};

	(void)state;
	assert_int_equal(segment_begin(&s, &h, p, 0), SEGMENT_WHOLE);
	assert_int_equal(segment_begin(&s, &h, p, 3), SEGMENT_WHOLE);
	assert_memory_equal(p, ((uint8_t[]){1, 2, 3}), 3);
}

static void contradictions_are_refused(void **state)
{
	static const struct vnet_hdr tcp = {VNET_NEEDS_CSUM, VNET_TCP4, 40, 100, 20, 16};
	static const struct vnet_hdr bad[] = {
		{0, VNET_TCP4, 40, 100, 20, 16},
		{VNET_NEEDS_CSUM, VNET_TCP4, 40, 0, 20, 16},
		{VNET_NEEDS_CSUM, VNET_TCP6, 40, 100, 40, 16},
		{VNET_NEEDS_CSUM, VNET_TCP4, 40, 100, 24, 16},
		{VNET_NEEDS_CSUM, VNET_TCP4, 40, 100, 20, 6},
		{VNET_NEEDS_CSUM, VNET_UDP, 40, 100, 20, 16},
		{VNET_NEEDS_CSUM, VNET_UDP, 40, 100, 0, 6},
		{VNET_NEEDS_CSUM, 3, 40, 100, 20, 6}, /* fragments of one datagram */
		{VNET_NEEDS_CSUM, 2, 40, 100, 20, 16},
		{VNET_NEEDS_CSUM, VNET_NONE, 0, 0, 65535, 65535},
		{VNET_NEEDS_CSUM, VNET_NONE, 0, 0, 1000, 0},
		{VNET_NEEDS_CSUM, VNET_TCP4, 40, 100, 65535, 16},
	};
	struct dice d = {4};
	struct flow f = {.number = 1, .ttl = 64, .size = 100};
	struct packet k = packet_make(&d, &f, 900, ACK);
	struct segments s;

	(void)state;
	assert_int_equal(segment_begin(&s, &tcp, k.data, k.len), SEGMENT_SUPER);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (segment_begin(&s, &bad[i], k.data, k.len) != SEGMENT_BAD)
			fail_msg("taken: %zu", i);
	}
	/* Every length that cuts a header, or leaves nothing behind it. */
	for (uint32_t len = 0; len <= 40; len++) {
		uint8_t *p = malloc(len + 1);

		memcpy(p, k.data, len);
		assert_int_equal(segment_begin(&s, &tcp, p, len), SEGMENT_BAD);
		free(p);
	}
	k.data[32] = 0x40; /* a TCP header shorter than it can be */
	assert_int_equal(segment_begin(&s, &tcp, k.data, k.len), SEGMENT_BAD);
	k.data[32] = 0x50;
	k.data[0] = 0x46;
	assert_int_equal(segment_begin(&s, &tcp, k.data, k.len), SEGMENT_BAD);
	free(k.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_as_if_made_one_by_one),
		cmocka_unit_test(a_routing_header_keeps_its_sum),
		cmocka_unit_test(a_begun_checksum_is_finished),
		cmocka_unit_test(no_datagram_gets_sum_zero),
		cmocka_unit_test(what_needs_nothing_stays),
		cmocka_unit_test(contradictions_are_refused),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
