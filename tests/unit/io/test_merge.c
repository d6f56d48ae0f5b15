/* Runs become super-packets, and those the same packets again. */
#include "io/merge.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "io/segment.h"
#include "packets.h"

enum { FLOWS = 24, LOT = 200, ACK = 0x10, PSH = 0x08, ECE = 0x40, CWR = 0x80, FIN = 1, SYN = 2 };

static struct merge merge;
static struct packet lot[LOT];
static uint32_t n;

static void lot_clear(void)
{
	while (n > 0)
		free(lot[--n].data);
}

static void add(struct packet k)
{
	assert_true(n < LOT);
	lot[n++] = k;
}

/* What a failed test left. */
static int after(void **state)
{
	(void)state;
	lot_clear();
	return 0;
}

static void begin(bool tcp, bool udp)
{
	merge_begin(&merge, tcp, udp);
	for (uint32_t i = 0; i < n; i++) {
		/* A copy: merging changes what it is given. */
		uint8_t *copy = malloc(lot[i].len);

		memcpy(copy, lot[i].data, lot[i].len);
		assert_true(merge_add(&merge, copy, lot[i].len));
	}
}

static void end(void)
{
	for (uint32_t i = 0; i < merge.n_packets; i++)
		free(merge.packets[i].data);
	lot_clear();
}

/* A frame's pieces one after the other, as the device gets them. */
static uint8_t *flat(uint32_t frame, struct vnet_hdr *h, uint32_t *len)
{
	struct iovec iov[MERGE_RUN];
	size_t pieces = merge_frame(&merge, frame, h, iov);
	uint8_t *out;

	*len = 0;
	for (size_t i = 0; i < pieces; i++)
		*len += (uint32_t)iov[i].iov_len;
	out = malloc(*len);
	for (size_t i = 0, at = 0; i < pieces; at += iov[i++].iov_len)
		memcpy(out + at, iov[i].iov_base, iov[i].iov_len);
	return out;
}

static uint8_t flow_of(const uint8_t *p)
{
	return p[p[0] >> 4 == 6 ? 23 : 15];
}

/* The first of the lot that has not come yet must be the one, for each flow. */
static void expect(const uint8_t *p, uint32_t len, bool came[LOT])
{
	for (uint32_t i = 0; i < n; i++) {
		if (came[i] || flow_of(lot[i].data) != flow_of(p))
			continue;
		if (!packet_equal(&lot[i], p, len))
			fail_msg("packet %u of flow %u is another one", i, flow_of(p));
		came[i] = true;
		return;
	}
	fail_msg("a packet too many of flow %u", flow_of(p));
}

/* Cuts all frames; they must be the lot again. Returns: how many super-packets there were. */
static uint32_t cut_all(void)
{
	bool came[LOT] = {false};
	uint32_t supers = 0, all = 0;

	for (uint32_t i = 0; i < merge.n_runs; i++) {
		struct vnet_hdr h;
		struct segments s;
		uint32_t len;
		uint8_t *p = flat(i, &h, &len);

		switch (segment_begin(&s, &h, p, len)) {
		case SEGMENT_WHOLE:
			expect(p, len, came);
			all++;
			break;
		case SEGMENT_SUPER:
			supers++;
			assert_true(segment_left(&s) > 1);
			for (uint32_t left = segment_left(&s); left > 0; left--, all++) {
				uint8_t *out = malloc(segment_max(&s));

				assert_int_equal(segment_left(&s), left);
				expect(out, segment_next(&s, out), came);
				free(out);
			}
			assert_int_equal(segment_left(&s), 0);
			break;
		case SEGMENT_BAD:
			fail_msg("frame %u contradicts itself", i);
		}
		free(p);
	}
	assert_int_equal(all, n);
	return supers;
}

/* ---- random flows ---- */

static uint32_t payload_of(struct dice *d, const struct flow *f)
{
	switch (roll(d, 20)) {
	case 0:
		return 0;
	case 1:
		return 1 + roll(d, f->size);
	case 2:
		return f->size + 1u;
	default:
		return f->size;
	}
}

static uint8_t flags_of(struct dice *d)
{
	static const uint8_t rare[] = {
		ACK | PSH, ACK | FIN, SYN, ACK | ECE, ACK | CWR, 4, ACK | 0x20, ACK | PSH | FIN};

	return roll(d, 12) == 0 ? rare[roll(d, ARRAY_SIZE(rare))] : ACK;
}

/* What happens to packets outside. */
static void spoil(struct dice *d, struct packet *k)
{
	uint32_t l4 = packet_l4(k->data);

	switch (roll(d, 40)) {
	case 0: /* a bit flipped anywhere behind the addresses */
		if (k->len > l4 + 20)
			k->data[l4 + 20 + roll(d, k->len - l4 - 20)] ^= 1;
		break;
	case 1: /* a fragment */
		if (l4 == 20)
			put16(k->data + 6, 0x2000 | roll(d, 100));
		else
			k->data[6] = 44;
		k->atomic = false;
		break;
	case 2: /* congestion */
		if (l4 == 20) {
			k->data[1] |= 3;
			sums_put(k);
		}
		break;
	case 3: /* another way, another hop count */
		k->data[l4 == 20 ? 8 : 7]--;
		if (l4 == 20)
			sums_put(k);
		break;
	case 4: /* IPv4: a header's checksum that is wrong; IPv6: an extension header */
		if (l4 == 20) {
			k->data[10] ^= 0x40;
			k->atomic = false;
		} else {
			k->data[6] = 0;
		}
		break;
	case 5: /* neither TCP nor UDP */
		k->data[l4 == 20 ? 9 : 6] = 1;
		break;
	case 6: /* a length that the packet does not have */
		if (k->data[l4 == 20 ? 9 : 6] == 17)
			put16(k->data + l4 + 4, 8);
		break;
	}
}

static void random_lot(struct dice *d)
{
	struct flow flows[FLOWS];
	uint32_t n_flows = 1 + roll(d, FLOWS), burst = 1 + roll(d, 30);

	for (uint32_t i = 0; i < n_flows; i++)
		flows[i] = flow_make(d, (uint8_t)i);
	while (n < LOT) {
		struct flow *f = &flows[roll(d, n_flows)];

		for (uint32_t i = 0; i < burst && n < LOT; i++) {
			struct packet k = packet_make(d, f, payload_of(d, f), flags_of(d));

			if (roll(d, 50) == 0)
				f->ack++;
			if (roll(d, 60) == 0) /* one was lost */
				f->seq += f->size;
			spoil(d, &k);
			add(k);
		}
	}
}

static void cut_again_they_are_the_same(void **state)
{
	uint32_t supers = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct dice d = {seed * 0x9e3779b97f4a7c15ull};

		random_lot(&d);
		begin(true, true);
		supers += cut_all();
		end();
	}
	/* And it was not for want of super-packets. */
	assert_true(supers > 1000);
}

/* ---- one rule each ---- */

static struct flow plain(bool v6, bool udp)
{
	return (struct flow){.number = 1,
		.v6 = v6,
		.udp = udp,
		.df = true,
		.ttl = 64,
		.size = 1000,
		.seq = 5,
		.options = 12};
}

static uint32_t frames_of(bool tcp, bool udp)
{
	uint32_t frames;

	begin(tcp, udp);
	frames = merge.n_runs;
	(void)cut_all();
	end();
	return frames;
}

static void whole_runs_are_one(void **state)
{
	struct dice d = {7};

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct flow f = plain(kind & 1, kind & 2);
		struct vnet_hdr h;
		uint32_t len;
		uint8_t *p;

		for (int i = 0; i < 20; i++)
			add(packet_make(&d, &f, 1000, i == 19 ? ACK | PSH : ACK));
		add(packet_make(&d, &f, 500, ACK));
		begin(true, true);
		/* The datagram that is shorter may still join; after PSH nothing may. */
		assert_int_equal(merge.n_runs, kind & 2 ? 1 : 2);
		p = flat(0, &h, &len);
		assert_int_equal(h.flags, VNET_NEEDS_CSUM);
		assert_int_equal(h.gso_type, kind & 2	? VNET_UDP
					     : kind & 1 ? VNET_TCP6
							: VNET_TCP4);
		assert_int_equal(h.gso_size, 1000);
		assert_int_equal(h.csum_start, kind & 1 ? 40 : 20);
		assert_int_equal(h.hdr_len, h.csum_start + (kind & 2 ? 8 : 32));
		assert_int_equal(len, h.hdr_len + 20000u + (kind & 2 ? 500 : 0));
		assert_int_equal(kind & 1 ? get16(p + 4) + 40 : get16(p + 2), len);
		free(p);
		end();
	}
}

static void what_is_off_stays_apart(void **state)
{
	struct dice d = {8};

	(void)state;
	for (int on = 0; on < 4; on++) {
		struct flow tcp = plain(false, false), udp = plain(true, true);

		udp.number = 2;
		for (int i = 0; i < 10; i++) {
			add(packet_make(&d, &tcp, 1000, ACK));
			add(packet_make(&d, &udp, 1000, ACK));
		}
		assert_int_equal(frames_of(on & 1, on & 2), (on & 1 ? 1 : 10) + (on & 2 ? 1 : 10));
	}
}

/* Three packets of a flow, the middle one with something about it: how many frames. */
static uint32_t three(bool v6, bool udp, void (*mark)(struct packet *))
{
	struct dice d = {9};
	struct flow f = plain(v6, udp);

	for (int i = 0; i < 3; i++)
		add(packet_make(&d, &f, 1000, ACK));
	mark(&lot[1]);
	return frames_of(true, true);
}

static void congested(struct packet *k)
{
	k->data[1] |= k->data[0] >> 4 == 6 ? 0x30 : 3;
	sums_put(k);
}

static void unsummed(struct packet *k)
{
	put16(k->data + packet_l4(k->data) + 6, 0);
}

static void broken(struct packet *k)
{
	k->data[k->len - 1] ^= 0x80;
}

static void fragment(struct packet *k)
{
	put16(k->data + 6, 0x2000);
	put16(k->data + 10, 0);
	put16(k->data + 10, (uint16_t)~slow_sum(k->data, 20, 0));
	k->atomic = false;
}

static void hop_by_hop(struct packet *k)
{
	k->data[6] = 0;
}

static void finished(struct packet *k)
{
	k->data[packet_l4(k->data) + 13] |= FIN;
	sums_put(k);
}

static void reduced(struct packet *k)
{
	k->data[packet_l4(k->data) + 13] |= CWR;
	sums_put(k);
}

static void other_option(struct packet *k)
{
	k->data[packet_l4(k->data) + 25] = 0;
	sums_put(k);
}

static void other_window(struct packet *k)
{
	k->data[packet_l4(k->data) + 15]++;
	sums_put(k);
}

static void nothing(struct packet *k)
{
	(void)k;
}

static void what_differs_ends_a_run(void **state)
{
	static const struct {
		bool v6, udp;
		void (*mark)(struct packet *);
		uint32_t frames;
	} cases[] = {
		{false, false, nothing, 1},
		{false, false, congested, 3},
		{true, true, congested, 3},
		{false, true, unsummed, 3},
		{false, false, broken, 3},
		{true, true, broken, 3},
		{false, false, fragment, 3},
		{true, false, hop_by_hop, 3},
		{true, false, finished, 3},
		{false, false, reduced, 3},
		{false, false, other_option, 3},
		{true, false, other_window, 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t frames = three(cases[i].v6, cases[i].udp, cases[i].mark);

		if (frames != cases[i].frames)
			fail_msg("case %zu: %u frames", i, frames);
	}
}

static void fragments_of_a_flow_are_not_overtaken(void **state)
{
	struct dice d = {10};
	struct flow f = plain(false, true);
	struct iovec iov[MERGE_RUN];
	struct vnet_hdr h;

	(void)state;
	for (int i = 0; i < 4; i++)
		add(packet_make(&d, &f, 1000, 0));
	fragment(&lot[2]);
	begin(true, true);
	assert_int_equal(merge.n_runs, 3);
	assert_int_equal(merge_frame(&merge, 0, &h, iov), 2);
	assert_int_equal(merge_frame(&merge, 1, &h, iov), 1);
	assert_int_equal(merge_frame(&merge, 2, &h, iov), 1);
	end();
}

static void bounds(void **state)
{
	struct dice d = {11};
	struct flow f = plain(false, false), small = plain(true, true);
	uint8_t one[20] = {0x45, [3] = 20};

	(void)state;
	for (int i = 0; i < 66; i++)
		add(packet_make(&d, &f, 1000, ACK));
	begin(true, true);
	assert_int_equal(merge.n_runs, 2);
	assert_int_equal(merge.runs[0].n, MERGE_RUN);
	(void)cut_all();
	end();
	f = plain(false, false);
	for (int i = 0; i < 9; i++)
		add(packet_make(&d, &f, 8900, ACK));
	begin(true, true);
	assert_int_equal(merge.n_runs, 2);
	assert_int_equal(merge.runs[0].n, 7);
	(void)cut_all();
	end();
	for (int i = 0; i < 130; i++)
		add(packet_make(&d, &small, 1, 0));
	assert_int_equal(frames_of(true, true), 3);
	/* Smaller ones of TCP the kernel may cut otherwise. */
	for (uint32_t size = 7; size <= 8; size++) {
		f = plain(false, false);
		for (int i = 0; i < 5; i++)
			add(packet_make(&d, &f, size, ACK));
		add(packet_make(&d, &f, 3, ACK));
		assert_int_equal(frames_of(true, true), size < 8 ? 6 : 1);
	}
	merge_begin(&merge, true, true);
	for (int i = 0; i < MERGE_PACKETS; i++)
		assert_true(merge_add(&merge, one, sizeof(one)));
	assert_false(merge_add(&merge, one, sizeof(one)));
	assert_int_equal(merge.n_runs, MERGE_PACKETS);
}

/* More flows than runs stay open: the oldest is ended, and order still holds. */
static void many_flows(void **state)
{
	struct dice d = {12};

	(void)state;
	for (int i = 0; i < 3; i++) {
		for (uint8_t number = 0; number < 40; number++) {
			struct flow f = plain(number & 1, number & 2);

			f.number = number;
			f.seq = 1000u * (uint32_t)i;
			f.id = (uint16_t)i;
			add(packet_make(&d, &f, 1000, ACK));
		}
	}
	assert_int_equal(frames_of(true, true), 120);
	for (uint8_t number = 0; number < MERGE_OPEN; number++) {
		for (int i = 0; i < 3; i++) {
			struct flow f = plain(number & 1, number & 2);

			f.number = number;
			f.seq = 1000u * (uint32_t)i;
			f.id = (uint16_t)i;
			add(packet_make(&d, &f, 1000, ACK));
		}
	}
	assert_int_equal(frames_of(true, true), MERGE_OPEN);
}

static void a_refused_frame_is_taken_back(void **state)
{
	struct dice d = {13};
	struct iovec iov[MERGE_RUN];
	struct vnet_hdr h;

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct flow f = plain(kind & 1, kind & 2);

		for (int i = 0; i < 5; i++)
			add(packet_make(&d, &f, 1000, i == 4 ? ACK | PSH : ACK));
		begin(true, true);
		assert_int_equal(merge_frame(&merge, 0, &h, iov), 5);
		assert_int_equal(merge_apart(&merge, 0, iov), 5);
		for (int i = 0; i < 5; i++) {
			assert_int_equal(iov[i].iov_len, lot[i].len);
			assert_memory_equal(iov[i].iov_base, lot[i].data, lot[i].len);
		}
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(cut_again_they_are_the_same, after),
		cmocka_unit_test_teardown(whole_runs_are_one, after),
		cmocka_unit_test_teardown(what_is_off_stays_apart, after),
		cmocka_unit_test_teardown(what_differs_ends_a_run, after),
		cmocka_unit_test_teardown(fragments_of_a_flow_are_not_overtaken, after),
		cmocka_unit_test_teardown(bounds, after),
		cmocka_unit_test_teardown(many_flows, after),
		cmocka_unit_test_teardown(a_refused_frame_is_taken_back, after),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
