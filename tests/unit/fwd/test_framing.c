/* Published frames both ways, and every length that is too short. */
#include "fwd/seal.h"
#include "ovpn_rig.h"

/* Reference A23: key2 = 00 01 .. ff, c->s key at 0, its implicit IV at 64; peer-id 7, key id 0,
 * packet id 1, a ping. */
static const uint8_t dv2_g[] = {0x48, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01, 0x9a, 0x04, 0xc7,
	0x92, 0x85, 0xf9, 0xef, 0xa5, 0xb6, 0x9e, 0x54, 0x1a, 0xbd, 0xb4, 0x95, 0xd7, 0xe1, 0xd3,
	0x00, 0x4e, 0x0f, 0xa8, 0x12, 0x02, 0x12, 0x53, 0x79, 0x7d, 0xec, 0x29, 0xcf, 0x6b};
static const uint8_t dv2_c[] = {0x48, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01, 0x98, 0xb1, 0x56,
	0xd8, 0xb2, 0x48, 0x36, 0x0b, 0x43, 0x17, 0x80, 0xac, 0x3d, 0x3a, 0xee, 0xb8, 0x24, 0x9c,
	0x49, 0x37, 0x97, 0xb2, 0xd7, 0xf5, 0x94, 0x5b, 0xca, 0xf9, 0xde, 0xd7, 0x3a, 0xa2};

/* The same, epoch 1, counter 1: E_1 of either direction is its half of key2. */
static const uint8_t dv2_e[] = {0x48, 0x00, 0x00, 0x07, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x01, 0xc2, 0xfe, 0x07, 0xb4, 0x54, 0x26, 0x87, 0xfb, 0x92, 0xa2, 0x65, 0x08, 0x9d, 0xa5,
	0x10, 0xf7, 0xcc, 0x59, 0xba, 0x3b, 0x5d, 0xdb, 0xad, 0xf7, 0x85, 0xcf, 0x4b, 0x33, 0x97,
	0xa3, 0x62, 0x36};

/* The first packets each way between 2.7.6 and itself (capture v27): what the exporter gave as E_1,
 * peer-id 0, key id 0. */
static const uint8_t v27_client_first[] = {0xe4, 0x25, 0x9f, 0x18, 0x48, 0xe9, 0x87, 0xf3, 0xd6,
	0xe5, 0xec, 0x6d, 0x70, 0x37, 0x1a, 0x83, 0x98, 0xae, 0x42, 0x39, 0x4f, 0xd4, 0x0a, 0xcd,
	0xfa, 0x16, 0xea, 0x8d, 0x42, 0x07, 0xa8, 0x65};
static const uint8_t v27_server_first[] = {0x43, 0x88, 0x8c, 0xa8, 0xc4, 0x06, 0xdb, 0xea, 0x1a,
	0x6d, 0xd5, 0x7f, 0x10, 0x07, 0x1b, 0x56, 0xa9, 0x84, 0x07, 0x6c, 0x93, 0x51, 0x03, 0x3a,
	0x5e, 0x00, 0x81, 0xb9, 0x14, 0xf4, 0xce, 0xba};
static const uint8_t v27_up[] = {0x48, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x01, 0x9e, 0x46, 0x30, 0xe5, 0xcd, 0x48, 0xb0, 0x46, 0xd3, 0xbd, 0x28, 0xbb, 0x7b, 0xd4,
	0xbb, 0xa0, 0x7f, 0x2b, 0x96, 0xcd, 0x76, 0xc4, 0xba, 0x80, 0x43, 0xfc, 0xcd, 0x21, 0x73,
	0x8c, 0xab, 0xdd, 0x62, 0xc6, 0x98, 0xd1, 0x0c, 0x1c, 0x43, 0xe3, 0xb9, 0x06, 0xc1, 0x75,
	0x6b, 0x0e, 0x85, 0x3e, 0xb0, 0x04, 0xec, 0x13, 0x0c, 0x20, 0x82, 0x0e, 0x03, 0x5f, 0x2e,
	0x2f, 0xdc, 0x43, 0x9b, 0x95};
static const uint8_t v27_down[] = {0x48, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x01, 0x8c, 0x78, 0x8b, 0xe6, 0xc6, 0xd0, 0x25, 0x72, 0x2e, 0xf8, 0x57, 0x05, 0xb1, 0xb3,
	0xf9, 0x8c, 0xdc, 0x77, 0xd6, 0xd7, 0xdd, 0x47, 0x6e, 0xae, 0x35, 0x33, 0x69, 0xb2, 0xec,
	0x3b, 0x59, 0x23, 0x65, 0x0a, 0x41, 0xfd, 0xc8, 0xad, 0xa3, 0xa9, 0xa9, 0x19, 0xab, 0xf0,
	0x81, 0xf2, 0xc4, 0x54, 0x24, 0x6c, 0x98, 0x72, 0x15, 0x38, 0x7c, 0x9a, 0x21, 0x20, 0x1e,
	0x3c, 0x24, 0xa4, 0x00, 0x34};
/* A router solicitation. */
static const uint8_t v27_up_text[] = {0x60, 0x00, 0x00, 0x00, 0x00, 0x08, 0x3a, 0xff, 0xfe, 0x80,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x11, 0xdf, 0xd0, 0xd7, 0xa0, 0x9d, 0x02, 0xbf, 0xff,
	0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0x85, 0x00, 0xf7, 0x23, 0x00, 0x00, 0x00, 0x00};
static const uint8_t v27_down_text[] = {0x60, 0x00, 0x00, 0x00, 0x00, 0x08, 0x3a, 0xff, 0xfe, 0x80,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xbe, 0x3f, 0x76, 0xb3, 0x0d, 0x5b, 0x34, 0xd8, 0xff,
	0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0x85, 0x00, 0x06, 0x11, 0x00, 0x00, 0x00, 0x00};

static void count_up(uint8_t *p, size_t n, uint8_t from)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(from + i);
}

static struct fwd_session vector_keys(struct rig *r, uint8_t cipher)
{
	struct fwd_session s = ovpn_keys(r, 1, 7, 0, 1);

	s.cipher = cipher;
	s.ping_s = 1;
	return s;
}

static void check_open(const uint8_t *frame, size_t len, uint8_t cipher)
{
	struct rig r;
	struct buffer b;

	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct fwd_session s = vector_keys(&r, cipher);
	count_up(s.open, 32, 0);
	count_up(s.open_iv, 8, 64);
	assert_int_equal(fwd_session_set(r.f, &s, r.now), 0);
	b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM, .len = (uint32_t)len};
	memcpy(b.p.data, frame, len);
	b.p.path = s.path;
	assert_int_equal(rig_rx(&r, 0, &b), FWD_KEEPALIVE);
	assert_memory_equal(b.bytes + FWD_HEADROOM + 24, ovpn_ping, sizeof(ovpn_ping));
	assert_memory_equal(b.bytes + FWD_HEADROOM, frame, 24); /* untouched */
	rig_close(&r);
}

/* Only the server's own pings come out as pings, so the keys are turned round. */
static void check_seal(const uint8_t *frame, size_t len, uint8_t cipher)
{
	struct rig r;

	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct fwd_session s = vector_keys(&r, cipher);
	count_up(s.seal, 32, 0);
	count_up(s.seal_iv, 8, 64);
	assert_int_equal(fwd_session_set(r.f, &s, r.now), 0);
	assert_int_equal(fwd_session_use(r.f, 1, s.seq), 0);
	rig_run(&r, 1000);
	assert_int_equal(r.n_sent, 1);
	assert_int_equal(r.sent_len[0], len);
	assert_memory_equal(r.sent[0], frame, len);
	rig_close(&r);
}

/* A session of the epoch format as the vector has it; the same E_1 both ways. */
static struct fwd_session epoch_keys_of(
	struct rig *r, uint32_t peer_id, const uint8_t open[32], const uint8_t seal[32])
{
	struct fwd_session s = ovpn_keys(r, 1, peer_id, 0, 1);

	s.format = UAPI_DATA_EPOCH;
	s.ping_s = 1;
	memcpy(s.open, open, 32);
	memcpy(s.seal, seal, 32);
	memset(s.open_iv, 0, sizeof(s.open_iv));
	memset(s.seal_iv, 0, sizeof(s.seal_iv));
	return s;
}

static void test_epoch_vector(void **state)
{
	uint8_t first[32];
	struct rig r;
	struct buffer b;

	(void)state;
	count_up(first, sizeof(first), 0);
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct fwd_session s = epoch_keys_of(&r, 7, first, first);
	assert_int_equal(fwd_session_set(r.f, &s, r.now), 0);
	b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM, .len = sizeof(dv2_e)};
	memcpy(b.p.data, dv2_e, sizeof(dv2_e));
	b.p.path = s.path;
	assert_int_equal(rig_rx(&r, 0, &b), FWD_KEEPALIVE);
	assert_memory_equal(b.bytes + FWD_HEADROOM + 12, ovpn_ping, sizeof(ovpn_ping));
	assert_memory_equal(b.bytes + FWD_HEADROOM, dv2_e, 12); /* untouched */
	rig_run(&r, 1000); /* and our own first ping is the same packet */
	assert_int_equal(r.n_sent, 1);
	assert_int_equal(r.sent_len[0], sizeof(dv2_e));
	assert_memory_equal(r.sent[0], dv2_e, sizeof(dv2_e));
	rig_close(&r);
}

/* 2.7's packets in a row through the parts that the engine is made of, either side's keys. */
static void check_captured(const uint8_t *frame, size_t len, const uint8_t *text, size_t text_len,
	const uint8_t first[32])
{
	struct rig r;
	uint8_t bytes[256];
	struct fwd_packet p = {.data = bytes, .len = (uint32_t)len}, *one = &p;
	uint64_t counter;
	struct aead_op op;

	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct fwd_session keys = epoch_keys_of(&r, 0, first, first);
	assert_int_equal(fwd_session_set(r.f, &keys, r.now), 0);
	struct session *s = atomic_load(engine_ovpn(r.f, 0, 0));
	memcpy(bytes, frame, len);
	assert_true(frame_counter(FRAME_OVPN_EPOCH, bytes, (uint32_t)len, &counter));
	assert_true(counter == ovpn_epoch_first(1));
	struct opening *o = opening_find(&s->rx, counter);
	assert_non_null(o);
	frame_open(FRAME_OVPN_EPOCH, o->iv, &op, &one, &counter, 1);
	aead_open_batch(o->key, &op, 1);
	assert_true(op.ok);
	assert_int_equal(op.len, text_len);
	assert_memory_equal(op.text, text, text_len);

	uint8_t out[FWD_HEADROOM + 256];
	p = (struct fwd_packet){.data = out + FWD_HEADROOM, .len = (uint32_t)text_len};
	memcpy(p.data, text, text_len);
	assert_int_equal(seal_run(s, 0, &one, 1, 1420), 1);
	assert_int_equal(p.len, len);
	assert_memory_equal(p.data, frame, len);
	rig_close(&r);
}

static void test_captured(void **state)
{
	(void)state;
	check_captured(v27_up, sizeof(v27_up), v27_up_text, sizeof(v27_up_text), v27_client_first);
	check_captured(
		v27_down, sizeof(v27_down), v27_down_text, sizeof(v27_down_text), v27_server_first);
}

static void test_vectors(void **state)
{
	(void)state;
	check_open(dv2_g, sizeof(dv2_g), AEAD_AES_256_GCM);
	check_open(dv2_c, sizeof(dv2_c), AEAD_CHACHA20_POLY1305);
	check_seal(dv2_g, sizeof(dv2_g), AEAD_AES_256_GCM);
	check_seal(dv2_c, sizeof(dv2_c), AEAD_CHACHA20_POLY1305);
}

static void test_frame_of(void **state)
{
	(void)state;
	assert_int_equal(frame_of(UAPI_WIREGUARD, 0), FRAME_WG);
	assert_int_equal(frame_of(UAPI_WIREGUARD, 77), FRAME_WG); /* means nothing there */
	assert_int_equal(frame_of(UAPI_OPENVPN, UAPI_DATA_V2), FRAME_OVPN_V2);
	assert_int_equal(frame_of(UAPI_OPENVPN, UAPI_DATA_V1), FRAME_OVPN_V1);
	assert_int_equal(frame_of(UAPI_OPENVPN, UAPI_DATA_EPOCH), FRAME_OVPN_EPOCH);
	assert_int_equal(frame_of(UAPI_OPENVPN, 3), FRAME_COUNT);
	assert_int_equal(frame_of(0, 0), FRAME_COUNT);
	assert_int_equal(frame_of(3, 0), FRAME_COUNT);
}

static void test_counter(void **state)
{
	static const struct {
		enum frame frame;
		uint32_t shortest;
		uint64_t counter;
	} rows[] = {
		{FRAME_WG, 32, 0x0f0e0d0c0b0a0908ull},
		{FRAME_OVPN_V2, 25, 0x04050607},
		{FRAME_OVPN_V1, 22, 0x01020304},
		{FRAME_OVPN_EPOCH, 29, 0x0405060708090a0bull},
	};
	uint8_t data[64];
	uint64_t counter;

	(void)state;
	count_up(data, sizeof(data), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (uint32_t len = 0; len < rows[i].shortest; len++)
			assert_false(frame_counter(rows[i].frame, data, len, &counter));
		assert_true(frame_counter(rows[i].frame, data, rows[i].shortest, &counter));
		assert_true(counter == rows[i].counter);
	}
	memset(data, 0, sizeof(data));
	assert_true(frame_counter(FRAME_WG, data, 32, &counter)); /* WireGuard begins at 0 */
	assert_false(frame_counter(FRAME_OVPN_V2, data, 40, &counter));
	assert_false(frame_counter(FRAME_OVPN_V1, data, 40, &counter));
	assert_false(frame_counter(FRAME_OVPN_EPOCH, data, 40, &counter));
	data[5] = 1; /* an epoch and no counter */
	assert_false(frame_counter(FRAME_OVPN_EPOCH, data, 40, &counter));
	data[11] = 1;
	assert_true(frame_counter(FRAME_OVPN_EPOCH, data, 40, &counter));
	data[5] = 0; /* a counter and no epoch */
	assert_false(frame_counter(FRAME_OVPN_EPOCH, data, 40, &counter));
}

/* All three ciphers, both formats, every length: what the engine seals the client opens, and the
 * reverse. */
static void test_lengths(void **state)
{
	static const uint8_t ciphers[] = {
		AEAD_CHACHA20_POLY1305, AEAD_AES_256_GCM, AEAD_AES_128_GCM};
	struct ip_addr a4 = rig_addr4(1), internet = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ciphers) * 2; i++) {
		struct rig r;
		struct buffer b, same;
		uint32_t id;
		rig_open(&r, 1);
		rig_peer(&r, 1);
		struct fwd_session s = ovpn_keys(&r, 1, 9, 3, 1);
		s.cipher = ciphers[i / 2];
		s.format = i & 1 ? UAPI_DATA_V1 : UAPI_DATA_V2;
		struct client c = rig_install(&r, &s);
		for (uint32_t len = 20; len < 1500; len += len < 70 ? 1 : 61) {
			inner4(&b, &a4, &internet, len);
			memcpy(same.bytes, b.p.data, len);
			client_seal(&c, &b);
			assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
			assert_int_equal(b.p.len, len);
			assert_memory_equal(b.p.data, same.bytes, len);
			inner4(&b, &internet, &a4, len);
			memcpy(same.bytes, b.p.data, len);
			assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
			assert_int_equal(b.p.len, len + (i & 1 ? 21 : 24)); /* no padding */
			uint8_t *text = client_unwrap(&c, b.p.data, b.p.len, &id);
			assert_memory_equal(text, same.bytes, len);
			assert_int_equal(id, c.id - 1); /* from 1, each once */
		}
		client_close(&c);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_epoch_vector),
		cmocka_unit_test(test_captured),
		cmocka_unit_test(test_frame_of),
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_lengths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
