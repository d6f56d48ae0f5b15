/* Addresses: canonical text, mapped addresses, prefix arithmetic against a bit-by-bit model. */
#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(&a, text), 0);
	return a;
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p;

	assert_int_equal(ip_prefix_parse(&p, text), 0);
	return p;
}

static void test_addr_text(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"1.2.3.4", "1.2.3.4"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"::ffff:1.2.3.4", "1.2.3.4"},
		{"::ffff:102:304", "1.2.3.4"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};
	char buf[IP_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip_addr a = addr(rows[i].in);

		assert_string_equal(ip_addr_format(&a, buf), rows[i].out);
		assert_true(ip_addr_valid(&a));
	}
	assert_string_equal(ip_addr_format(&(struct ip_addr){0}, buf), "");
}

static void test_addr_refuses(void **state)
{
	static const char *const bad[] = {"", " ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
		"1.2.3.4 ", " 1.2.3.4", "1.2.3.4/32", "0x1.2.3.4", ":", ":::", "1::2::3",
		"12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "[::1]", "::1\n",
		"localhost"};
	struct ip_addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ip_addr_parse(&a, bad[i]), -EINVAL);
}

static void test_addr_valid(void **state)
{
	struct ip_addr none = {0};
	struct ip_addr v4 = addr("1.2.3.4");
	struct ip_addr v6 = {.family = IP_V6, .bytes = {[10] = 0xff, [11] = 0xff, [15] = 1}};

	(void)state;
	assert_true(ip_addr_valid(&none));
	none.bytes[15] = 1;
	assert_false(ip_addr_valid(&none));
	v4.bytes[4] = 1;
	assert_false(ip_addr_valid(&v4));
	assert_false(ip_addr_valid(&v6));
	v6.bytes[0] = 1;
	assert_true(ip_addr_valid(&v6));
	v6.family = 5;
	assert_false(ip_addr_valid(&v6));
}

static void test_prefix_text(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {{"10.77.0.9/16", "10.77.0.9/16"}, {"10.0.0.1", "10.0.0.1/32"},
		{"0.0.0.0/0", "0.0.0.0/0"}, {"fd00::/64", "fd00::/64"}, {"::1", "::1/128"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"}};
	static const char *const bad[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/+1", "10.0.0.0/08", "10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0.0/8/8",
		"::/129", "10.0.0.0/4294967304", "::ffff:10.0.0.0/104", "10.0.0.0/8x",
		"1111111111111111111111111111111111111111111111111111/8"};
	char buf[IP_PREFIX_TEXT];
	struct ip_prefix p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		p = prefix(rows[i].in);
		assert_string_equal(ip_prefix_format(&p, buf), rows[i].out);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ip_prefix_parse(&p, bad[i]), -EINVAL);
}

/* The stupid way: bit by bit. */
static bool model_contains(const struct ip_prefix *p, const struct ip_addr *a)
{
	if (p->addr.family != a->family)
		return false;
	for (unsigned bit = 0; bit < p->len; bit++) {
		if (((p->addr.bytes[bit / 8] ^ a->bytes[bit / 8]) >> (7 - bit % 8)) & 1)
			return false;
	}
	return true;
}

static void test_prefix_contains_is_the_model(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct ip_prefix p = {.addr.family = round % 2 ? IP_V4 : IP_V6};
		size_t size = ip_addr_size(&p.addr);
		struct ip_addr a;

		for (size_t i = 0; i < size; i++) {
			seed = seed * 1664525 + 1013904223;
			p.addr.bytes[i] = (uint8_t)(seed >> 24);
		}
		p.len = (uint8_t)((seed >> 8) % (size * 8 + 1));
		a = p.addr;
		a.bytes[(seed >> 4) % size] ^= (uint8_t)(1u << (seed >> 28 & 7));
		assert_int_equal(ip_prefix_contains(&p, &a), model_contains(&p, &a));
		assert_true(ip_prefix_contains(&p, &p.addr));
	}
}

static void test_prefix_families_do_not_mix(void **state)
{
	struct ip_prefix all4 = prefix("0.0.0.0/0");
	struct ip_prefix all6 = prefix("::/0");
	struct ip_addr a4 = addr("1.2.3.4");
	struct ip_addr a6 = addr("::1");

	(void)state;
	assert_true(ip_prefix_contains(&all4, &a4));
	assert_false(ip_prefix_contains(&all4, &a6));
	assert_false(ip_prefix_contains(&all6, &a4));
	assert_false(ip_prefix_contains(&(struct ip_prefix){0}, &(struct ip_addr){0}));
}

static void test_prefix_network_and_nth(void **state)
{
	struct ip_prefix p = prefix("10.77.3.9/23");
	struct ip_addr got = ip_prefix_network(&p);
	struct ip_addr want = addr("10.77.2.0");

	(void)state;
	assert_true(ip_addr_equal(&got, &want));
	got = ip_prefix_nth(&p, 511);
	want = addr("10.77.3.255");
	assert_true(ip_addr_equal(&got, &want));
	got = ip_prefix_nth(&p, 512);
	want = addr("10.77.4.0");
	assert_true(ip_addr_equal(&got, &want));
	p = prefix("fd00::ffff:ffff:ffff:1/64");
	got = ip_prefix_nth(&p, UINT64_MAX);
	want = addr("fd00::ffff:ffff:ffff:ffff");
	assert_true(ip_addr_equal(&got, &want));
	p = prefix("fd00::ffff:ffff:ffff:ffff/128");
	got = ip_prefix_nth(&p, 1);
	want = addr("fd00:0:0:1::");
	assert_true(ip_addr_equal(&got, &want));
	p = prefix("255.255.255.255/32");
	got = ip_prefix_nth(&p, 1);
	want = addr("0.0.0.0");
	assert_true(ip_addr_equal(&got, &want));
}

static void test_endpoint_text(void **state)
{
	static const char *const good[] = {"1.2.3.4:5", "[::1]:65535", "[::]:0", "[fe80::1%12]:5",
		"[fe80::1%4294967295]:51820", "[2001:db8::1]:51820"};
	static const char *const bad[] = {"", ":", ":5", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536",
		"1.2.3.4:05", "1.2.3.4:-5", "1.2.3.4: 5", "::1:5", "[::1]", "[::1]5", "[::1:5",
		"::1]:5", "[1.2.3.4]:5", "[]:5", "[:5", "[2001:db8::1%1]:5", "[fe80::1%]:5",
		"[fe80::1%01]:5", "[fe80::1%x]:5", "[::1%lo]:5", "host:5", "1.2.3.4:5\n",
		"[fe80::1%4294967296]:5"};
	char buf[ENDPOINT_TEXT];
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(endpoint_parse(&e, good[i]), 0);
		assert_string_equal(endpoint_format(&e, buf), good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(endpoint_parse(&e, bad[i]), -EINVAL);
	assert_int_equal(endpoint_parse(&e, "[::ffff:1.2.3.4]:5"), 0);
	assert_string_equal(endpoint_format(&e, buf), "1.2.3.4:5");
	assert_string_equal(endpoint_format(&(struct endpoint){.port = 5}, buf), "");
}

static void test_equality_sees_every_field(void **state)
{
	struct path a, b;

	(void)state;
	memset(&a, 0, sizeof(a));
	assert_int_equal(endpoint_parse(&a.remote, "[fe80::1%2]:5"), 0);
	a.local = addr("1.2.3.4");
	b = a;
	assert_true(path_equal(&a, &b));
	b.remote.port ^= 1;
	assert_false(path_equal(&a, &b));
	b = a;
	b.remote.scope_id ^= 1;
	assert_false(path_equal(&a, &b));
	b = a;
	b.remote.addr.bytes[15] ^= 1;
	assert_false(path_equal(&a, &b));
	b = a;
	b.local.bytes[3] ^= 1;
	assert_false(path_equal(&a, &b));
	b = a;
	b.local.family = IP_NONE;
	assert_false(path_equal(&a, &b));
	b = a;
	b.listener ^= 1;
	assert_false(path_equal(&a, &b));
	b = a;
	b.connection ^= 1u << 31;
	assert_false(path_equal(&a, &b));
}

static void test_sockaddr_both_ways(void **state)
{
	static const char *const texts[] = {"1.2.3.4:5", "[2001:db8::1]:6", "[fe80::1%7]:8"};
	struct sockaddr_storage ss;
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(5)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = 3};
	struct sockaddr unix_sa = {.sa_family = AF_UNIX};
	char buf[ENDPOINT_TEXT];
	struct endpoint e, back;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(endpoint_parse(&e, texts[i]), 0);
		assert_int_equal(endpoint_to_sockaddr6(&e, &ss), sizeof(struct sockaddr_in6));
		assert_int_equal(ss.ss_family, AF_INET6);
		assert_int_equal(endpoint_from_sockaddr(&back, (struct sockaddr *)&ss), 0);
		assert_true(endpoint_equal(&e, &back));
	}
	inet_pton(AF_INET, "1.2.3.4", &in4.sin_addr);
	assert_int_equal(endpoint_from_sockaddr(&e, (struct sockaddr *)&in4), 0);
	assert_string_equal(endpoint_format(&e, buf), "1.2.3.4:5");
	inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
	assert_int_equal(endpoint_from_sockaddr(&e, (struct sockaddr *)&in6), 0);
	assert_int_equal(e.scope_id, 0);
	assert_int_equal(endpoint_from_sockaddr(&e, &unix_sa), -EAFNOSUPPORT);
}

static void test_loopback(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {{"127.0.0.1", true}, {"127.255.1.2", true}, {"::1", true},
		{"126.0.0.1", false}, {"::", false}, {"::2", false}, {"1::1", false},
		{"0.0.0.0", false}};
	const struct ip_addr none = {.family = IP_NONE, .bytes = {127}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_addr a;

		assert_int_equal(ip_addr_parse(&a, cases[i].text), 0);
		assert_int_equal(ip_addr_is_loopback(&a), cases[i].is);
	}
	assert_false(ip_addr_is_loopback(&none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr_text),
		cmocka_unit_test(test_addr_refuses),
		cmocka_unit_test(test_addr_valid),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_prefix_text),
		cmocka_unit_test(test_prefix_contains_is_the_model),
		cmocka_unit_test(test_prefix_families_do_not_mix),
		cmocka_unit_test(test_prefix_network_and_nth),
		cmocka_unit_test(test_endpoint_text),
		cmocka_unit_test(test_equality_sees_every_field),
		cmocka_unit_test(test_sockaddr_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
