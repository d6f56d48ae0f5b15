/* What is pushed to whom, how it is split, and what clients may say. */
#include "ovpn/push.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ovpn/keys.h"
#include "tests/vectors/hex.h"

/* What stock clients announce: 2.5, 2.6, 2.7 (A9). */
enum { PROTO_25 = 6, PROTO_26 = 990, PROTO_27 = 8094 };

static char parts[PUSH_MESSAGES][PUSH_MESSAGE];

static struct push_conf conf(void)
{
	struct push_conf c = {
		.dns = "10.66.0.1",
		.mtu = 1500,
		.ping_s = 10,
		.restart_s = 60,
		.peer_id = 5,
		.cipher = AEAD_AES_256_GCM,
		.client_proto = PROTO_27,
		.udp = true,
		.dyn_tls_crypt = true,
		.epoch = true,
	};

	assert_int_equal(ip_prefix_parse(&c.net4, "10.66.0.0/22"), 0);
	assert_int_equal(ip_prefix_parse(&c.net6, "fd66::/64"), 0);
	assert_int_equal(ip_addr_parse(&c.address4, "10.66.0.2"), 0);
	assert_int_equal(ip_addr_parse(&c.address6, "fd66::2"), 0);
	return c;
}

static const char *single(const struct push_conf *c)
{
	memset(parts, 0x5a, sizeof(parts));
	assert_int_equal(push_reply(c, parts), 1);
	assert_true(strnlen(parts[0], PUSH_MESSAGE) < PUSH_MESSAGE);
	assert_null(strstr(parts[0], "push-continuation"));
	return parts[0];
}

/* How often an option stands in a message, as a whole. */
static int count(const char *message, const char *option)
{
	const size_t n = strlen(option);
	int found = 0;

	for (const char *at = strchr(message, ','); at; at = strchr(at + 1, ','))
		if (strncmp(at + 1, option, n) == 0 && (at[1 + n] == ',' || at[1 + n] == '\0'))
			found++;
	return found;
}

static void test_whole(void **state)
{
	const struct push_conf c = conf();

	(void)state;
	assert_string_equal(single(&c),
		"PUSH_REPLY,dhcp-option DNS 10.66.0.1,redirect-gateway def1 ipv6,"
		"route-gateway 10.66.0.1,topology subnet,ping 10,ping-restart 60,"
		"explicit-exit-notify 1,ifconfig-ipv6 fd66::2/64 fd66::1,"
		"ifconfig 10.66.0.2 255.255.252.0,peer-id 5,cipher AES-256-GCM,"
		"protocol-flags cc-exit tls-ekm dyn-tls-crypt aead-epoch,tun-mtu 1500");
}

static void test_client_25(void **state)
{
	struct push_conf c = conf();

	(void)state;
	c.client_proto = PROTO_25;
	c.mtu = 0;
	assert_string_equal(single(&c),
		"PUSH_REPLY,dhcp-option DNS 10.66.0.1,redirect-gateway def1 ipv6,"
		"route-gateway 10.66.0.1,topology subnet,ping 10,ping-restart 60,"
		"explicit-exit-notify 1,ifconfig-ipv6 fd66::2/64 fd66::1,"
		"ifconfig 10.66.0.2 255.255.252.0,peer-id 5,cipher AES-256-GCM");
}

/* Every combination of what a client announces and what we use. */
static void test_only_what_was_announced(void **state)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} words[] = {{IV_PROTO_CC_EXIT, " cc-exit"}, {IV_PROTO_TLS_EKM, " tls-ekm"},
		{IV_PROTO_DYN_TLS_CRYPT, " dyn-tls-crypt"}, {IV_PROTO_EPOCH, " aead-epoch"}};

	(void)state;
	for (uint32_t proto = 0; proto < 1 << 13; proto++)
		for (int ours = 0; ours < 4; ours++) {
			struct push_conf c = conf();
			const bool flags = proto & IV_PROTO_CC_EXIT;

			c.client_proto = proto;
			c.dyn_tls_crypt = ours & 1;
			c.epoch = ours & 2;
			const char *m = single(&c);

			for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
				const bool wanted = w < 2 || (w == 2 ? c.dyn_tls_crypt : c.epoch);
				const char *flag = strstr(m, ",protocol-flags");

				assert_int_equal(flag && strstr(flag, words[w].word),
					flags && wanted && proto & words[w].bit);
			}
			assert_int_equal(strstr(m, ",protocol-flags") != NULL, flags);
			assert_int_equal(count(m, "key-derivation tls-ekm"),
				!flags && proto & IV_PROTO_TLS_EKM ? 1 : 0);
			assert_int_equal(count(m, "peer-id 5"), proto & IV_PROTO_DATA_V2 ? 1 : 0);
			assert_int_equal(count(m, "cipher AES-256-GCM"), 1);
		}
}

static void test_choices(void **state)
{
	struct push_conf c = conf();

	(void)state;
	c.udp = false;
	assert_null(strstr(single(&c), "explicit-exit-notify"));
	c.mtu = 0;
	assert_null(strstr(single(&c), "tun-mtu"));
	c.dns = "";
	assert_null(strstr(single(&c), "dhcp-option"));
	c.dns = "10.66.0.1,fd66::1, 2001:DB8::5 ,";
	const char *m = single(&c);

	assert_int_equal(count(m, "dhcp-option DNS 10.66.0.1"), 1);
	assert_int_equal(count(m, "dhcp-option DNS fd66::1"), 1);
	assert_int_equal(count(m, "dhcp-option DNS 2001:db8::5"), 1);
	c.peer_id = OVPN_NO_PEER_ID;
	assert_null(strstr(single(&c), "peer-id"));
	c.peer_id = OVPN_NO_PEER_ID - 1;
	assert_int_equal(count(single(&c), "peer-id 16777214"), 1);
	c.peer_id = UINT32_MAX;
	assert_null(strstr(single(&c), "peer-id"));
	c.cipher = AEAD_CHACHA20_POLY1305;
	assert_int_equal(count(single(&c), "cipher CHACHA20-POLY1305"), 1);
	c.address6 = (struct ip_addr){0};
	m = single(&c);
	assert_null(strstr(m, "ipv6"));
	assert_int_equal(count(m, "redirect-gateway def1"), 1);
}

/* Settings that are no addresses can't become options. */
static void test_hostile_dns(void **state)
{
	struct push_conf c = conf();

	(void)state;
	c.dns = "nonsense,1.2.3.4;rm,1.2.3,1.2.3.4\nroute 0.0.0.0,::1%lo,9.9.9.9 "
		"8.8.8.8,\"\\,,,,10.0.0.1";
	const char *m = single(&c);
	const char *dns = strstr(m, "dhcp-option");

	assert_int_equal(count(m, "dhcp-option DNS 10.0.0.1"), 1);
	assert_null(strstr(dns + 1, "dhcp-option"));
	assert_null(strchr(m, '\n'));
	assert_null(strstr(m, "route 0"));
}

/* n resolvers, all different. */
static char *many_resolvers(size_t n)
{
	char *list = malloc(n * 24 + 1);
	size_t at = 0;

	list[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)sprintf(list + at, "%s10.7.%zu.%zu", i ? "," : "", i / 200, i % 200);
	return list;
}

static void check_split(const struct push_conf *c, int n, size_t resolvers)
{
	size_t found = 0;

	for (int i = 0; i < n; i++) {
		const size_t len = strnlen(parts[i], PUSH_MESSAGE);
		const bool last = i == n - 1;

		assert_true(len < PUSH_MESSAGE);
		assert_ptr_equal(strstr(parts[i], "PUSH_REPLY,"), parts[i]);
		assert_int_equal(count(parts[i], "push-continuation 2"), !last);
		assert_int_equal(count(parts[i], "push-continuation 1"), last && n > 1);
		if (n > 1) {
			const size_t end = strlen(",push-continuation 1");

			assert_true(len - end <= PUSH_SPLIT);
			assert_ptr_equal(
				strstr(parts[i], ",push-continuation"), parts[i] + len - end);
		} else {
			assert_true(len <= PUSH_SPLIT);
		}
		/* They decide about the data channel together. */
		assert_int_equal(count(parts[i], "peer-id 5"), last);
		assert_int_equal(count(parts[i], "cipher AES-256-GCM"), last);
		assert_int_equal(strstr(parts[i], ",protocol-flags ") != NULL, last);
		assert_int_equal(count(parts[i], "tun-mtu 1500"), last);
		for (size_t r = 0; r < resolvers; r++) {
			char option[64];

			snprintf(option, sizeof(option), "dhcp-option DNS 10.7.%zu.%zu", r / 200,
				r % 200);
			found += (size_t)count(parts[i], option);
		}
	}
	assert_int_equal(found, resolvers);
	(void)c;
}

static void test_splitting(void **state)
{
	int seen = 0;

	(void)state;
	for (size_t resolvers = 0; resolvers < 400; resolvers++) {
		struct push_conf c = conf();
		char *dns = many_resolvers(resolvers);

		c.dns = dns;
		memset(parts, 0x5a, sizeof(parts));
		int n = push_reply(&c, parts);

		free(dns);
		if (n < 0) {
			assert_int_equal(n, -EMSGSIZE);
			assert_int_equal(seen, PUSH_MESSAGES);
			return;
		}
		assert_true(n == seen || n == seen + 1);
		seen = n;
		check_split(&c, n, resolvers);
	}
	fail();
}

static void test_splitting_is_needed_late(void **state)
{
	struct push_conf c = conf();
	char *dns = many_resolvers(20);

	(void)state;
	c.dns = dns;
	single(&c);
	free(dns);
}

/* ---- requests ---- */

static enum push_request parse(const char *text, size_t n)
{
	char *exact = malloc(n ? n : 1);

	memcpy(exact, text, n);
	enum push_request r = push_parse(exact, n);

	free(exact);
	return r;
}

static void test_requests(void **state)
{
	static const struct {
		const char *text;
		enum push_request want;
	} cases[] = {
		{"PUSH_REQUEST", PUSH_REQUEST},
		{"PUSH_REQUEST\r\n", PUSH_REQUEST},
		{"EXIT", PUSH_EXIT},
		{"EXIT\n\n", PUSH_EXIT},
		{"", PUSH_UNKNOWN},
		{"\r\n", PUSH_UNKNOWN},
		{"PUSH_REQUES", PUSH_UNKNOWN},
		{"PUSH_REQUESTS", PUSH_UNKNOWN},
		{" PUSH_REQUEST", PUSH_UNKNOWN},
		{"push_request", PUSH_UNKNOWN},
		{"PUSH_\nREQUEST", PUSH_UNKNOWN},
		{"\nEXIT", PUSH_UNKNOWN},
		{"EXIT ", PUSH_UNKNOWN},
		{"EXIT,now", PUSH_UNKNOWN},
		{"CR_RESPONSE,Zm9v", PUSH_UNKNOWN},
		{"INFO,hello", PUSH_UNKNOWN},
		{"ACC,x", PUSH_UNKNOWN},
		{"%s%n\x1b[0m\xff", PUSH_UNKNOWN},
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++)
		assert_int_equal(parse(cases[c].text, strlen(cases[c].text)), cases[c].want);
	assert_int_equal(parse("EXIT\0", 5), PUSH_UNKNOWN);
	assert_int_equal(parse("\0EXIT", 5), PUSH_UNKNOWN);
}

/* ---- farewells ---- */

static void test_farewell(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(push_farewell("AUTH_FAILED", "revoked", out, sizeof(out)), 19);
	assert_string_equal(out, "AUTH_FAILED,revoked");
	assert_int_equal(push_farewell("RESTART", "", out, sizeof(out)), 7);
	assert_string_equal(out, "RESTART");
	assert_int_equal(push_farewell("HALT", NULL, out, sizeof(out)), 4);
	assert_string_equal(out, "HALT");
	push_farewell("AUTH_FAILED", "a,b\r\n\x1b\x7f\xff c%s", out, sizeof(out));
	assert_string_equal(out, "AUTH_FAILED,ab c%s");
	push_farewell("AUTH_FAILED", ",\n", out, sizeof(out));
	assert_string_equal(out, "AUTH_FAILED");
}

static void test_farewell_room(void **state)
{
	const char whole[] = "AUTH_FAILED,the reason";

	(void)state;
	for (size_t cap = 0; cap < sizeof(whole) + 3; cap++) {
		char *out = malloc(cap ? cap : 1);
		const size_t n = push_farewell("AUTH_FAILED", "the reason", out, cap);
		const size_t want = cap < sizeof(whole) ? (cap ? cap - 1 : 0) : sizeof(whole) - 1;

		/* A comma with nothing behind it does not stay. */
		assert_int_equal(n, want == 12 ? 11 : want);
		if (cap) {
			assert_int_equal(out[n], 0);
			assert_memory_equal(out, whole, n);
		}
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_client_25),
		cmocka_unit_test(test_only_what_was_announced),
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_hostile_dns),
		cmocka_unit_test(test_splitting),
		cmocka_unit_test(test_splitting_is_needed_late),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_farewell),
		cmocka_unit_test(test_farewell_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
