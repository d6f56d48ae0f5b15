/* The text of the table: what it must say, and what never gets into it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "netconf/ruleset.h"

static const struct netconf_static defaults = {
	.tun = "ireko0",
	.nat = true,
	.ports = {51820, 1194},
	.n_ports = 2,
};

static struct netconf_networks networks(const char *net4, const char *net6, uint16_t mtu)
{
	struct netconf_networks w = {.mtu = mtu};

	if (net4 != NULL)
		assert_int_equal(ip_prefix_parse(&w.net4, net4), 0);
	if (net6 != NULL)
		assert_int_equal(ip_prefix_parse(&w.net6, net6), 0);
	return w;
}

static struct netconf_networks usual(void)
{
	return networks("10.77.0.0/16", "fd00:1:2:3::/64", 1420);
}

static const char *text_of(
	const struct netconf_static *conf, const struct netconf_networks *w, unsigned flags)
{
	static char buf[RULESET_TEXT];

	assert_int_equal(ruleset_text(buf, sizeof(buf), conf, w, flags), 0);
	return buf;
}

static void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("not in the table: %s", part);
}

static void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("in the table: %s", part);
}

static void says_what_it_must(void **state)
{
	(void)state;
	const struct netconf_networks w = usual();
	const char *text = text_of(&defaults, &w, RULESET_OWNER | RULESET_FLOW_CAP);
	static const char *const parts[] = {
		"add table inet ireko0\ndelete table inet ireko0\ntable inet ireko0 {\n",
		"flags owner",
		"ip saddr 10.77.0.0/16 ip saddr != 10.77.0.1 accept",
		"ip6 saddr fd00:1:2:3::/64 ip6 saddr != fd00:1:2:3::1 accept",
		"udp dport { 51820, 1194 } fib daddr type local notrack",
		"tcp sport { 51820, 1194 } notrack",
		"masquerade to :1195-51819 random,fully-random",
		"ct count over 4096",
		"size set rt mtu",
	};
	static const char *const counters[] = {"drop_spoofed", "drop_to_host",
		"drop_device_to_device", "drop_private", "drop_invalid", "drop_too_many_flows",
		"drop_from_outside"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		assert_has(text, parts[i]);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		char part[64];

		snprintf(part, sizeof(part), "counter %s { }", counters[i]);
		assert_has(text, part);
		snprintf(part, sizeof(part), "counter name %s drop", counters[i]);
		assert_has(text, part);
	}
}

static void does_as_flags_say(void **state)
{
	(void)state;
	const struct netconf_networks w = usual();
	struct netconf_static no_nat = defaults;
	const char *text = text_of(&defaults, &w, RULESET_REPLACE);

	assert_int_equal(strncmp(text, "delete table inet ireko0\n", 25), 0);
	assert_lacks(text, "owner");
	assert_lacks(text, "ct count");
	assert_lacks(text, "flows4");

	no_nat.nat = false;
	assert_lacks(text_of(&no_nat, &w, 0), "masquerade");

	struct netconf_static no_ports = defaults;
	no_ports.n_ports = 0;
	text = text_of(&no_ports, &w, 0);
	assert_lacks(text, "notrack");
	assert_has(text, "masquerade to :1024-65535");
}

static void one_family_alone(void **state)
{
	(void)state;
	struct netconf_networks w = networks("10.0.0.0/24", NULL, 576);
	const char *text = text_of(&defaults, &w, RULESET_FLOW_CAP);

	assert_lacks(text, "ip6 saddr");
	assert_lacks(text, "flows6");
	w = networks(NULL, "fd00::/64", 1280);
	assert_lacks(text_of(&defaults, &w, RULESET_FLOW_CAP), "ip saddr");
	w = networks(NULL, NULL, 1280);
	assert_int_equal(ruleset_check_networks(&w), -EINVAL);
}

static void host_bits_are_cleared(void **state)
{
	(void)state;
	const struct netconf_networks w = networks("10.77.5.9/16", "fd00::7/64", 1420);
	const char *text = text_of(&defaults, &w, 0);

	assert_has(text, "ip saddr 10.77.0.0/16 ip saddr != 10.77.0.1");
	assert_has(text, "ip6 saddr fd00::/64 ip6 saddr != fd00::1");
}

static void documentation_ranges_stay_open(void **state)
{
	(void)state;
	const struct netconf_networks w = usual();
	const char *text = text_of(&defaults, &w, 0);

	assert_lacks(text, "198.51.100");
	assert_lacks(text, "203.0.113");
	assert_lacks(text, "192.0.2");
	assert_lacks(text, "2001:db8");
}

static void hostile_names_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "a b", "x;flush", "x\nflush", "x\"", "x{", "x}", "$x",
		"x\\", "../x", "x/y", "1x", "-x", "_x", ".", "*", "x*", "x%", "x#", "x@",
		"\xc3\xa4", "x:y", "x,y"};
	struct netconf_static conf = defaults;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(conf.tun, 0, sizeof(conf.tun));
		strncpy(conf.tun, bad[i], sizeof(conf.tun) - 1);
		if (ruleset_check_static(&conf) != -EINVAL)
			fail_msg("accepted: \"%s\"", bad[i]);
	}
	memset(conf.tun, 'x', sizeof(conf.tun)); /* no end */
	assert_int_equal(ruleset_check_static(&conf), -EINVAL);
	conf.tun[sizeof(conf.tun) - 1] = '\0';
	assert_int_equal(ruleset_check_static(&conf), 0);
	snprintf(conf.tun, sizeof(conf.tun), "Ir_e-k.0");
	assert_int_equal(ruleset_check_static(&conf), 0);
}

static void ports_have_bounds(void **state)
{
	(void)state;
	struct netconf_static conf = defaults;

	conf.n_ports = NETCONF_PORTS + 1;
	assert_int_equal(ruleset_check_static(&conf), -EINVAL);
	conf.n_ports = NETCONF_PORTS; /* the others are zero */
	assert_int_equal(ruleset_check_static(&conf), -EINVAL);
	for (size_t i = 0; i < NETCONF_PORTS; i++)
		conf.ports[i] = (uint16_t)(65535 - i);
	assert_int_equal(ruleset_check_static(&conf), 0);
	const struct netconf_networks w = usual();
	assert_has(text_of(&conf, &w, 0), "65521, 65520 }");
}

static void networks_have_bounds(void **state)
{
	(void)state;
	static const struct {
		const char *net4, *net6;
		uint16_t mtu;
		int result;
	} rows[] = {
		{"10.0.0.0/8", "fd00::/16", 1280, 0},
		{"10.0.0.0/30", "fd00::/126", 65500, 0},
		{"10.0.0.0/7", NULL, 1420, -EINVAL},
		{"0.0.0.0/0", NULL, 1420, -EINVAL},
		{"10.0.0.0/31", NULL, 1420, -EINVAL},
		{"10.0.0.0/32", NULL, 1420, -EINVAL},
		{NULL, "fd00::/15", 1420, -EINVAL},
		{NULL, "::/0", 1420, -EINVAL},
		{NULL, "fd00::/127", 1420, -EINVAL},
		{"10.0.0.0/8", "fd00::/64", 1279, -EINVAL},
		{"10.0.0.0/8", NULL, 576, 0},
		{"10.0.0.0/8", NULL, 575, -EINVAL},
		{"10.0.0.0/8", NULL, 0, -EINVAL},
		{"10.0.0.0/8", NULL, 65501, -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct netconf_networks w = networks(rows[i].net4, rows[i].net6, rows[i].mtu);
		if (ruleset_check_networks(&w) != rows[i].result)
			fail_msg("row %zu", i);
	}

	struct netconf_networks w = usual();
	w.net4.addr.family = 7;
	assert_int_equal(ruleset_check_networks(&w), -EINVAL);
	w = usual();
	w.net6 = w.net4;
	assert_int_equal(ruleset_check_networks(&w), -EINVAL);
	w = usual();
	w.net4.len = 255;
	assert_int_equal(ruleset_check_networks(&w), -EINVAL);
}

/* The longest gap, found the stupid way. */
static uint32_t longest_gap(const struct netconf_static *conf)
{
	uint32_t longest = 0, run = 0;

	for (uint32_t port = 1024; port <= 65535; port++) {
		run++;
		for (uint32_t i = 0; i < conf->n_ports; i++) {
			if (conf->ports[i] == port)
				run = 0;
		}
		if (run > longest)
			longest = run;
	}
	return longest;
}

static void nat_ports_never_shadow_ours(void **state)
{
	(void)state;
	const char *text = getenv("SEED");
	unsigned seed = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 1;
	struct netconf_static conf = defaults;

	print_message("# SEED=%u\n", seed);
	for (int round = 0; round < 100; round++) {
		conf.n_ports = (uint32_t)rand_r(&seed) % (NETCONF_PORTS + 1);
		for (uint32_t i = 0; i < conf.n_ports; i++)
			conf.ports[i] = (uint16_t)(1 + (uint32_t)rand_r(&seed) % 65535);

		struct port_range r = ruleset_nat_ports(&conf);
		assert_in_range(r.first, 1024, r.last);
		assert_int_equal(r.last - r.first + 1, longest_gap(&conf));
		for (uint32_t i = 0; i < conf.n_ports; i++)
			assert_not_in_range(conf.ports[i], r.first, r.last);
	}
	conf.n_ports = 1;
	conf.ports[0] = 65535;
	assert_int_equal(ruleset_nat_ports(&conf).last, 65534);
	conf.ports[0] = 1024;
	assert_int_equal(ruleset_nat_ports(&conf).first, 1025);
	conf.ports[0] = 53;
	assert_int_equal(ruleset_nat_ports(&conf).first, 1024);
	assert_int_equal(ruleset_nat_ports(&conf).last, 65535);
}

static void short_buffers_are_refused(void **state)
{
	(void)state;
	const struct netconf_networks w = usual();
	const unsigned flags = RULESET_OWNER | RULESET_FLOW_CAP;
	size_t need = strlen(text_of(&defaults, &w, flags)) + 1;

	for (size_t cap = 1; cap < need; cap++) {
		char *buf = malloc(cap); /* exact, for the sanitizer */
		assert_non_null(buf);
		assert_int_equal(ruleset_text(buf, cap, &defaults, &w, flags), -ENOSPC);
		free(buf);
	}
	char *buf = malloc(need);
	assert_non_null(buf);
	assert_int_equal(ruleset_text(buf, need, &defaults, &w, flags), 0);
	free(buf);
}

static void largest_text_fits(void **state)
{
	(void)state;
	struct netconf_static conf = defaults;
	const struct netconf_networks w =
		networks("255.255.255.0/30", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/126", 65500);

	memset(conf.tun, 'x', sizeof(conf.tun) - 1);
	conf.n_ports = NETCONF_PORTS;
	for (size_t i = 0; i < NETCONF_PORTS; i++)
		conf.ports[i] = (uint16_t)(65535 - i);
	assert_in_range(
		strlen(text_of(&conf, &w, RULESET_OWNER | RULESET_FLOW_CAP)), 1, RULESET_TEXT / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_it_must),
		cmocka_unit_test(does_as_flags_say),
		cmocka_unit_test(one_family_alone),
		cmocka_unit_test(host_bits_are_cleared),
		cmocka_unit_test(documentation_ranges_stay_open),
		cmocka_unit_test(hostile_names_are_refused),
		cmocka_unit_test(ports_have_bounds),
		cmocka_unit_test(networks_have_bounds),
		cmocka_unit_test(nat_ports_never_shadow_ours),
		cmocka_unit_test(short_buffers_are_refused),
		cmocka_unit_test(largest_text_fits),
	};

	return cmocka_run_group_tests_name("netconf/ruleset", tests, NULL, NULL);
}
