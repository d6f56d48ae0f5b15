/* Whose request it is: what proxies of ours say, and what clients would like us to believe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/proxies.h"

static struct ip_prefix list[] = {
	{{IP_V4, {10, 0, 0, 2}}, 32},
	{{IP_V4, {192, 0, 2, 0}}, 24},
	{{IP_V6, {0xfd, 0, 0, 1}}, 64},
};
static const struct proxies ours = {list, ARRAY_SIZE(list)};
static const struct proxies nobody = {NULL, 0};

static struct head with(const char *const *lines, size_t n)
{
	struct head h = {.n_fields = 0};

	h.fields[h.n_fields++] = (struct head_field){"Host", "198.51.100.1", 4, 12};
	for (size_t i = 0; i < n; i++)
		h.fields[h.n_fields++] =
			(struct head_field){i % 2 ? "x-forwarded-for" : "X-Forwarded-For", lines[i],
				15, strlen(lines[i])};
	h.fields[h.n_fields++] = (struct head_field){"X-Real-IP", "198.51.100.2", 9, 12};
	h.fields[h.n_fields++] = (struct head_field){"Forwarded", "for=198.51.100.3", 9, 16};
	return h;
}

static const char *client(const struct proxies *p, const char *peer, const struct head *h)
{
	static char text[IP_ADDR_TEXT];
	struct ip_addr from, a;

	assert_int_equal(ip_addr_parse(&from, peer), 0);
	a = proxies_client(p, &from, h);
	assert_true(ip_addr_valid(&a));
	return ip_addr_format(&a, text);
}

static void expect(const char *peer, const char *line, const char *want)
{
	const struct head h = with(&line, 1);
	const char *got = client(&ours, peer, &h);

	if (strcmp(got, want) != 0)
		fail_msg("%s says \"%s\": %s, not %s", peer, line, got, want);
}

static void nobody_else_is_believed(void **state)
{
	const char *line = "203.0.113.9";
	struct head h = with(&line, 1);

	(void)state;
	expect("10.0.0.1", line, "10.0.0.1");
	expect("10.0.0.3", line, "10.0.0.3");
	expect("192.0.3.1", line, "192.0.3.1");
	expect("127.0.0.1", line, "127.0.0.1");
	expect("::1", line, "::1");
	expect("fd00:2::1", line, "fd00:2::1");
	expect("10.0.0.1", "10.0.0.2", "10.0.0.1");
	assert_string_equal(client(&nobody, "10.0.0.2", &h), "10.0.0.2");
	assert_string_equal(client(&nobody, "127.0.0.1", &h), "127.0.0.1");
	h.n_fields = 0;
	assert_string_equal(client(&ours, "10.0.0.2", &h), "10.0.0.2");
}

static void a_proxy_is(void **state)
{
	static const struct {
		const char *peer, *line, *want;
	} cases[] = {
		{"10.0.0.2", "203.0.113.9", "203.0.113.9"},
		{"192.0.2.77", "203.0.113.9", "203.0.113.9"},
		{"fd00:1::5", "203.0.113.9", "203.0.113.9"},
		{"::ffff:10.0.0.2", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.2", "\t 203.0.113.9 ", "203.0.113.9"},
		{"10.0.0.2", "203.0.113.9:1234", "203.0.113.9"},
		{"10.0.0.2", "2001:db8::9", "2001:db8::9"},
		{"10.0.0.2", "[2001:db8::9]:65535", "2001:db8::9"},
		{"10.0.0.2", "::ffff:203.0.113.9", "203.0.113.9"},
		{"10.0.0.2", "[::ffff:203.0.113.9]:80", "203.0.113.9"},
		/* What they say of an address that means something here is no more than that. */
		{"10.0.0.2", "127.0.0.1", "127.0.0.1"},
		/* Through one and another. */
		{"10.0.0.2", "203.0.113.9, 192.0.2.4", "203.0.113.9"},
		{"10.0.0.2", "203.0.113.9,192.0.2.4 ,[fd00:1::1]:5,::ffff:10.0.0.2", "203.0.113.9"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].peer, cases[i].line, cases[i].want);
}

/* Whatever a client sends stands to the left of what the first proxy appended. */
static void what_a_client_wrote_is_worth_nothing(void **state)
{
	static const char *const wrote[] = {"127.0.0.1", "10.0.0.2", "10.0.0.2, 10.0.0.2", "", ",",
		",,,,,,,,,,,,,,,,,,,,,,,,,,,,", "unknown", "_hidden", "\"", "[", "[::1", "::1]:5",
		"%s%n", "203.0.113.9\xff", "0x7f.1", "198.51.100.7, for=198.51.100.8",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaa"};
	char line[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrote); i++) {
		const char *const lines[] = {wrote[i], "203.0.113.9", "10.0.0.2"};
		struct head h = with(lines, 2);

		snprintf(line, sizeof(line), "%s, 203.0.113.9", wrote[i]);
		expect("10.0.0.2", line, "203.0.113.9");
		snprintf(line, sizeof(line), "%s, 203.0.113.9, 192.0.2.1", wrote[i]);
		expect("10.0.0.2", line, "203.0.113.9");
		/* A proxy that appends a line of its own. */
		assert_string_equal(client(&ours, "10.0.0.2", &h), "203.0.113.9");
		h = with(lines, 3);
		assert_string_equal(client(&ours, "192.0.2.1", &h), "203.0.113.9");
	}
}

static void what_is_no_address_is_the_peers(void **state)
{
	static const char *const bad[] = {"", " ", "unknown", "localhost", "203.0.113",
		"203.0.113.9.1", "203.0.113.256", "0203.0.113.9",
		"203.0.113.9:", "203.0.113.9:65536", "203.0.113.9:-1", "203.0.113.9:1 2",
		"203.0.113.9/32", "203.0.113.9;x", "2001:db8::9:::", "[2001:db8::9]",
		"[2001:db8::9]:", "[2001:db8::9", "2001:db8::9]:80", "[203.0.113.9]:80",
		"[[::1]]:80", "fe80::1%eth0", "\"203.0.113.9\"", "for=203.0.113.9",
		"203.0.113.9 10.0.0.2", "203.0.113.9\x01",
		"00000000000000000000000000000000000000000000000000000000000000000203.0.113.9"};
	char line[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		expect("10.0.0.2", bad[i], "10.0.0.2");
		/* Never what stands further left: nobody of ours has vouched for it. */
		snprintf(line, sizeof(line), "203.0.113.9, %s", bad[i]);
		expect("10.0.0.2", line, "10.0.0.2");
		snprintf(line, sizeof(line), "203.0.113.9, %s, 192.0.2.4", bad[i]);
		expect("10.0.0.2", line, "10.0.0.2");
	}
	expect("10.0.0.2", "192.0.2.4, 10.0.0.2", "10.0.0.2"); /* nobody but proxies */
	expect("10.0.0.2", "203.0.113.9,", "10.0.0.2");
}

static void only_so_many_proxies(void **state)
{
	char line[512] = "203.0.113.9";

	(void)state;
	for (int i = 1; i < PROXIES_HOPS_MAX; i++)
		strcat(line, ", 192.0.2.4");
	expect("10.0.0.2", line, "203.0.113.9");
	strcat(line, ", 192.0.2.4");
	expect("10.0.0.2", line, "10.0.0.2");
}

/* ---- the same, the stupid way ---- */

static struct ip_addr stupid(const struct ip_addr *peer, const struct head *h)
{
	char all[POLICE_HEAD_MAX] = "", *entries[1024] = {NULL}, *rest = all, *one;
	size_t n = 0;
	bool some = false;

	for (size_t i = 0; i < h->n_fields; i++) {
		if (strcasecmp(h->fields[i].name, "x-forwarded-for") != 0)
			continue;
		if (some)
			strcat(all, ",");
		strcat(all, h->fields[i].value);
		some = true;
	}
	while (some && (one = strsep(&rest, ",")))
		entries[n++] = one;
	if (!proxies_has(&ours, peer))
		return *peer;
	for (size_t hops = 0; n-- > 0 && hops < PROXIES_HOPS_MAX; hops++) {
		char *e = entries[n] + strspn(entries[n], " ");
		struct endpoint at;
		struct ip_addr a;

		e[strcspn(e, " ")] = '\0';
		if (ip_addr_parse(&a, e)) {
			if (endpoint_parse(&at, e))
				return *peer;
			a = at.addr;
		}
		if (!proxies_has(&ours, &a))
			return a;
	}
	return *peer;
}

static void random_lists_are_read_as_joined(void **state)
{
	static const char *const pieces[] = {"203.0.113.9", "198.51.100.4:80", "10.0.0.2",
		"192.0.2.9:1", "[fd00:1::1]:5", "2001:db8::1", "[2001:db8::2]:2", "192.0.2.1", "",
		"junk", "10.0.0.2", "192.0.2.200"};
	static char lines[6][600];
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		const char *at[6];
		const size_t n = (size_t)rand_r(&seed) % 7;
		const struct ip_addr peer = list[0].addr;
		struct ip_addr want, got;
		struct head h;

		for (size_t i = 0; i < n; i++) {
			const int entries = rand_r(&seed) % 8;

			lines[i][0] = '\0';
			for (int k = 0; k < entries; k++) {
				strcat(lines[i], k ? (rand_r(&seed) % 2 ? "," : " , ") : "");
				strcat(lines[i],
					pieces[(size_t)rand_r(&seed) % ARRAY_SIZE(pieces)]);
			}
			at[i] = lines[i];
		}
		h = with(at, n);
		want = stupid(&peer, &h);
		got = proxies_client(&ours, &peer, &h);
		assert_true(ip_addr_equal(&want, &got));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_else_is_believed),
		cmocka_unit_test(a_proxy_is),
		cmocka_unit_test(what_a_client_wrote_is_worth_nothing),
		cmocka_unit_test(what_is_no_address_is_the_peers),
		cmocka_unit_test(only_so_many_proxies),
		cmocka_unit_test(random_lists_are_read_as_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
