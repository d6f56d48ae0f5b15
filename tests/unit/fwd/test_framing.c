/* Published frames both ways, and every length that is too short. */
#include "ovpn_rig.h"

/* Reference A23: key2 = 00 01 .. ff, c->s key at 0, its implicit IV at 64; peer-id 7, key id 0,
 * packet id 1, a ping. */
static const uint8_t dv2_g[] = {0x48, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01, 0x9a, 0x04, 0xc7,
	0x92, 0x85, 0xf9, 0xef, 0xa5, 0xb6, 0x9e, 0x54, 0x1a, 0xbd, 0xb4, 0x95, 0xd7, 0xe1, 0xd3,
	0x00, 0x4e, 0x0f, 0xa8, 0x12, 0x02, 0x12, 0x53, 0x79, 0x7d, 0xec, 0x29, 0xcf, 0x6b};
static const uint8_t dv2_c[] = {0x48, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01, 0x98, 0xb1, 0x56,
	0xd8, 0xb2, 0x48, 0x36, 0x0b, 0x43, 0x17, 0x80, 0xac, 0x3d, 0x3a, 0xee, 0xb8, 0x24, 0x9c,
	0x49, 0x37, 0x97, 0xb2, 0xd7, 0xf5, 0x94, 0x5b, 0xca, 0xf9, 0xde, 0xd7, 0x3a, 0xa2};

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
		cmocka_unit_test(test_frame_of),
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_lengths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
