/* Sessions found by where a packet came from: each part of the origin counts, buckets are bounded,
 * and a random walk gives what a list would. */
#include "ovpn_rig.h"

static struct session *make(const struct path *path, uint8_t key_id)
{
	struct session *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);

	assert_non_null(s);
	memset(s, 0, sizeof(*s));
	s->path = *path;
	s->key_id = key_id;
	return s;
}

static void test_parts(void **state)
{
	struct origins o;
	struct path udp = rig_path(1, 1000), tcp = udp, p;

	(void)state;
	tcp.connection = 77;
	assert_int_equal(origins_init(&o, 16), 0);
	struct session *a = make(&udp, 1), *b = make(&tcp, 1);
	assert_null(origins_lookup(&o, &udp, 1));
	origins_add(&o, a);
	origins_add(&o, b);
	assert_ptr_equal(origins_lookup(&o, &udp, 1), a);
	assert_ptr_equal(origins_lookup(&o, &tcp, 1), b);
	assert_null(origins_lookup(&o, &udp, 0));
	assert_null(origins_lookup(&o, &tcp, 2));
	p = udp;
	p.remote.port++;
	assert_null(origins_lookup(&o, &p, 1));
	p = udp;
	p.remote.addr.bytes[3] ^= 1;
	assert_null(origins_lookup(&o, &p, 1));
	p = udp;
	p.listener++;
	assert_null(origins_lookup(&o, &p, 1));
	p = udp;
	p.remote.scope_id++;
	assert_null(origins_lookup(&o, &p, 1));
	p = udp;
	p.local.bytes[0] ^= 1; /* which of our addresses it was sent to says nothing */
	assert_ptr_equal(origins_lookup(&o, &p, 1), a);
	p = tcp;
	p.remote.port++; /* the connection says it all */
	assert_ptr_equal(origins_lookup(&o, &p, 1), b);
	p.connection++;
	assert_null(origins_lookup(&o, &p, 1));
	origins_remove(&o, a);
	origins_remove(&o, a);
	assert_null(origins_lookup(&o, &udp, 1));
	free(a);
	free(b);
	origins_fini(&o);
}

/* A client that starts again from the same port: the newer is found, and taking the older out does
 * not take the newer. */
static void test_replaced(void **state)
{
	struct origins o;
	struct path udp = rig_path(1, 1000);

	(void)state;
	assert_int_equal(origins_init(&o, 16), 0);
	struct session *a = make(&udp, 0), *b = make(&udp, 0);
	origins_add(&o, a);
	assert_true(origins_room(&o, b));
	origins_add(&o, b);
	assert_ptr_equal(origins_lookup(&o, &udp, 0), b);
	origins_remove(&o, a);
	assert_ptr_equal(origins_lookup(&o, &udp, 0), b);
	origins_remove(&o, b);
	assert_null(origins_lookup(&o, &udp, 0));
	free(a);
	free(b);
	origins_fini(&o);
}

static void test_against_list(void **state)
{
	enum { N = 400, STEPS = 40000 };
	static struct session *s[N];
	static bool in[N];
	struct origins o;
	uint32_t seed = 1, refused = 0;

	(void)state;
	assert_int_equal(origins_init(&o, 64), 0); /* far too small: buckets overflow */
	for (uint32_t i = 0; i < N; i++) {
		struct path p = rig_path((uint8_t)(i / 8), (uint16_t)(1000 + i % 8));
		p.connection = i % 3 ? 0 : i + 1;
		s[i] = make(&p, i % 8);
	}
	for (int step = 0; step < STEPS; step++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t i = seed >> 8 & 0xffff;
		i %= N;
		if (in[i]) {
			origins_remove(&o, s[i]);
			in[i] = false;
		} else if (origins_room(&o, s[i])) {
			origins_add(&o, s[i]);
			in[i] = true;
		} else {
			origins_add(&o, s[i]); /* does no harm */
			refused++;
		}
		uint32_t k = (i + 7) % N;
		assert_ptr_equal(
			origins_lookup(&o, &s[k]->path, s[k]->key_id), in[k] ? s[k] : NULL);
		assert_ptr_equal(
			origins_lookup(&o, &s[i]->path, s[i]->key_id), in[i] ? s[i] : NULL);
	}
	assert_true(refused > 0);
	for (int i = 0; i < N; i++)
		free(s[i]);
	origins_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_against_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
