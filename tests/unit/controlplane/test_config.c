/* The control plane's settings: what is taken, what is refused, what wins. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/settings.h"
#include "controlplane/config.h"

static int load(struct config *c, char *flag, char *value)
{
	char program[] = "ireko-controlplane";
	char *argv[] = {program, flag, value, NULL};

	return config_load(c, flag ? 3 : 1, argv);
}

static void defaults(void **state)
{
	struct config c;
	char text[ENDPOINT_TEXT];
	(void)state;
	assert_int_equal(load(&c, NULL, NULL), SETTINGS_OK);
	assert_string_equal(c.run_dir, "/run/ireko");
	assert_string_equal(c.data_dir, "/var/lib/ireko");
	assert_string_equal(c.master_key_file, "/var/lib/ireko/master.key");
	assert_string_equal(endpoint_format(&c.http_listen, text), "127.0.0.1:8080");
	assert_false(c.http_insecure);
	assert_false(c.metrics_devices);
	assert_int_equal(c.network4.addr.family, IP_NONE);
	assert_string_equal(c.admin_password, "");
}

static void the_flag_wins(void **state)
{
	struct config c;
	char flag[] = "--data-dir", value[] = "/from/flag";
	(void)state;
	setenv("IREKO_DATA_DIR", "/from/environment", 1);
	assert_int_equal(load(&c, NULL, NULL), SETTINGS_OK);
	assert_string_equal(c.data_dir, "/from/environment");
	assert_string_equal(c.master_key_file, "/from/environment/master.key");
	assert_int_equal(load(&c, flag, value), SETTINGS_OK);
	assert_string_equal(c.data_dir, "/from/flag");
	unsetenv("IREKO_DATA_DIR");
}

static void refusals(void **state)
{
	static const char *const bad[][2] = {
		{"--http-listen", "8080"},
		{"--http-listen", "localhost:8080"},
		{"--http-listen", "127.0.0.1:65536"},
		{"--http-insecure", "perhaps"},
		{"--endpoint", "vpn.example.net:51820"},
		{"--endpoint", "a b"},
		{"--public-url", "vpn.example.net"},
		{"--public-url", "https://"},
		{"--public-url", "https://vpn.example.net/"},
		{"--public-url", "https://vpn.example.net/path"},
		{"--public-url", "javascript:alert(1)"},
		{"--public-url", "https://a\"><b"},
		{"--endpoint", "x\nPostUp = reboot"},
		{"--network4", "10.77.0.1/16"},
		{"--network4", "10.77.0.0/30"},
		{"--network4", "10.0.0.0/7"},
		{"--network4", "fd00::/64"},
		{"--network6", "fd00::/121"},
		{"--network6", "fd00::1/64"},
		{"--network6", "10.77.0.0/16"},
		{"--dns", "resolver.example"},
		{"--dns", "1.1.1.1,,9.9.9.9"},
		{"--dns", "1.1.1.1\nPostUp = reboot"},
		{"--dns", "1.1.1.1 9.9.9.9"},
		{"--trusted-proxies", "proxy.example"},
		{"--trusted-proxies", "10.0.0.2,"},
		{"--trusted-proxies", ",10.0.0.2"},
		{"--trusted-proxies", "10.0.0.2 10.0.0.3"},
		{"--trusted-proxies", "10.0.0.2;10.0.0.3"},
		{"--trusted-proxies", "10.0.0.2/16"},
		{"--trusted-proxies", "10.0.0.0/33"},
		{"--trusted-proxies", "10.0.0.0/"},
		{"--trusted-proxies", "10.0.0.2:80"},
		{"--trusted-proxies", "fd00::/129"},
		{"--trusted-proxies", "fd00::1/64"},
		{"--trusted-proxies", "::ffff:10.0.0.0/104"},
		{"--trusted-proxies", "0.0.0.0/0"},
		{"--trusted-proxies", "10.0.0.2, ::/0"},
		{"--trusted-proxies", "*"},
		{"--admin-password", "short"},
		{"--metrics-devices", "some"},
		{"--log-level", "loud"},
		{"--log-format", "xml"},
		{"--tls-cert", "/only/one/of/two"},
		{"--no-such-flag", "x"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct config c;
		char flag[64], value[64];
		strcpy(flag, bad[i][0]);
		strcpy(value, bad[i][1]);
		if (load(&c, flag, value) != -EINVAL)
			fail_msg("%s %s was taken", bad[i][0], bad[i][1]);
	}
}

static void taken(void **state)
{
	struct config c;
	char dns[] = "--dns", list[] = "1.1.1.1, 2606:4700:4700::1111";
	char public_url[] = "--public-url", url[] = "https://[2001:db8::1]:8443";
	char endpoint[] = "--endpoint", literal[] = "2001:db8::1", name[] = "vpn.example.net";
	char devices[] = "--metrics-devices", on[] = "1";
	(void)state;
	assert_int_equal(load(&c, devices, on), SETTINGS_OK);
	assert_true(c.metrics_devices);
	assert_int_equal(load(&c, dns, list), SETTINGS_OK);
	assert_string_equal(c.dns, "1.1.1.1, 2606:4700:4700::1111");
	assert_int_equal(load(&c, endpoint, literal), SETTINGS_OK);
	assert_string_equal(c.endpoint, "2001:db8::1");
	assert_string_equal(c.public_url, "");
	assert_int_equal(load(&c, public_url, url), SETTINGS_OK);
	assert_string_equal(c.public_url, "https://[2001:db8::1]:8443");
	assert_int_equal(load(&c, endpoint, name), SETTINGS_OK);
	assert_string_equal(c.endpoint, "vpn.example.net");
}

static void proxies_are_addresses_and_networks(void **state)
{
	static const char *const want[] = {
		"10.0.0.2/32", "192.0.2.0/24", "fd00:1::/64", "2001:db8::1/128", "10.0.0.3/32"};
	struct config c;
	char flag[] = "--trusted-proxies",
	     list[] = " 10.0.0.2,192.0.2.0/24 , fd00:1::/64,2001:db8::1, ::ffff:10.0.0.3";
	char text[IP_PREFIX_TEXT];
	(void)state;
	assert_int_equal(load(&c, NULL, NULL), SETTINGS_OK);
	assert_int_equal(c.n_trusted_proxies, 0);
	assert_int_equal(load(&c, flag, list), SETTINGS_OK);
	assert_int_equal(c.n_trusted_proxies, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_string_equal(ip_prefix_format(&c.trusted_proxies[i], text), want[i]);
}

static void so_many_proxies_and_no_more(void **state)
{
	struct config c;
	char flag[] = "--trusted-proxies", list[CONFIG_PROXIES_MAX * 8 + 16] = "10.0.0.1";
	(void)state;
	for (size_t i = 1; i < CONFIG_PROXIES_MAX; i++)
		strcat(list, ",fd00::1");
	assert_int_equal(load(&c, flag, list), SETTINGS_OK);
	assert_int_equal(c.n_trusted_proxies, CONFIG_PROXIES_MAX);
	strcat(list, ",fd00::1");
	assert_int_equal(load(&c, flag, list), -EINVAL);
}

static void the_password_is_wiped(void **state)
{
	struct config c;
	char flag[] = "--admin-password", value[] = "correct horse";
	(void)state;
	assert_int_equal(load(&c, flag, value), SETTINGS_OK);
	assert_string_equal(c.admin_password, "correct horse");
	config_wipe(&c);
	for (size_t i = 0; i < sizeof(c.admin_password); i++)
		assert_int_equal(c.admin_password[i], 0);
}

static void some_address_is_found(void **state)
{
	char text[IP_ADDR_TEXT];
	struct ip_addr a;
	(void)state;
	config_first_global_address(text);
	assert_int_equal(ip_addr_parse(&a, text), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(the_flag_wins),
		cmocka_unit_test(refusals),
		cmocka_unit_test(taken),
		cmocka_unit_test(proxies_are_addresses_and_networks),
		cmocka_unit_test(so_many_proxies_and_no_more),
		cmocka_unit_test(the_password_is_wiped),
		cmocka_unit_test(some_address_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
