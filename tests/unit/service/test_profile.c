/* What wg-quick and openvpn read, and nothing that they would read otherwise. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/profile.h"

static const uint8_t private_key[32] = {1}, psk[32] = {2}, server[32] = {3};

static struct wg_profile a_profile(void)
{
	return (struct wg_profile){
		.address4 = {IP_V4, {10, 77, 0, 2}},
		.address6 = {IP_V6, {0xfd, 0x77, [15] = 2}},
		.private_key = private_key,
		.psk = psk,
		.server_public = server,
		.endpoint_host = "vpn.example.org",
		.endpoint_port = 51820,
		.mtu = 1420,
		.keepalive_s = 25,
		.dns = "10.77.0.1, fd77::1",
	};
}

static void whole_text(void **state)
{
	struct wg_profile p = a_profile();
	char out[2048];

	(void)state;
	assert_int_equal(profile_wireguard(&p, out, sizeof(out)), 0);
	assert_string_equal(out, "[Interface]\n"
				 "PrivateKey = AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
				 "Address = 10.77.0.2/32, fd77::2/128\n"
				 "DNS = 10.77.0.1, fd77::1\n"
				 "MTU = 1420\n"
				 "\n"
				 "[Peer]\n"
				 "PublicKey = AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
				 "PresharedKey = AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
				 "Endpoint = vpn.example.org:51820\n"
				 "AllowedIPs = 0.0.0.0/0, ::/0\n"
				 "PersistentKeepalive = 25\n");
}

static void what_may_be_left_out(void **state)
{
	struct wg_profile p = a_profile();
	char out[2048];

	(void)state;
	p.private_key = NULL;
	p.dns = "";
	p.mtu = p.keepalive_s = 0;
	assert_int_equal(profile_wireguard(&p, out, sizeof(out)), 0);
	assert_null(strstr(out, "\nPrivateKey"));
	assert_non_null(strstr(out, "\n# PrivateKey"));
	assert_null(strstr(out, "DNS"));
	assert_null(strstr(out, "MTU"));
	assert_null(strstr(out, "Persistent"));
}

static void ipv6_endpoint_has_brackets(void **state)
{
	struct wg_profile p = a_profile();
	char out[2048];

	(void)state;
	p.endpoint_host = "2001:db8::1";
	assert_int_equal(profile_wireguard(&p, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "Endpoint = [2001:db8::1]:51820\n"));
	p.endpoint_host = "[2001:db8::1]";
	assert_int_equal(profile_wireguard(&p, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "Endpoint = [2001:db8::1]:51820\n"));
	p.endpoint_host = "192.0.2.1";
	assert_int_equal(profile_wireguard(&p, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "Endpoint = 192.0.2.1:51820\n"));
}

static struct ovpn_profile an_openvpn_profile(void)
{
	return (struct ovpn_profile){
		.endpoint_host = "vpn.example.org",
		.udp_port = 1194,
		.tcp_port = 443,
		.server_name = "ireko-0011223344556677",
		.ca_pem = "CA\n",
		.cert_pem = "CERT\n",
		.key_pem = "KEY\n",
		.tls_crypt_v2_pem = "V2", /* the newline is added */
	};
}

static void whole_openvpn_text(void **state)
{
	struct ovpn_profile p = an_openvpn_profile();
	char out[2048];

	(void)state;
	assert_int_equal(profile_openvpn(&p, out, sizeof(out)), 0);
	assert_string_equal(out, "client\n"
				 "dev tun\n"
				 "nobind\n"
				 "persist-tun\n"
				 "remote vpn.example.org 1194 udp\n"
				 "remote vpn.example.org 443 tcp\n"
				 "server-poll-timeout 10\n"
				 "connect-retry 1 10\n"
				 "resolv-retry infinite\n"
				 "remote-cert-tls server\n"
				 "verify-x509-name ireko-0011223344556677 name\n"
				 "data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\n"
				 "auth-nocache\n"
				 "verb 3\n"
				 "<ca>\nCA\n</ca>\n"
				 "<cert>\nCERT\n</cert>\n"
				 "<key>\nKEY\n</key>\n"
				 "<tls-crypt-v2>\nV2\n</tls-crypt-v2>\n");
}

static void openvpn_without_key_or_port(void **state)
{
	struct ovpn_profile p = an_openvpn_profile();
	char out[2048];

	(void)state;
	p.key_pem = NULL;
	p.tcp_port = 0;
	assert_int_equal(profile_openvpn(&p, out, sizeof(out)), 0);
	assert_null(strstr(out, "\n<key>"));
	assert_non_null(strstr(out, "</cert>\n# Your private key never left your device"));
	assert_null(strstr(out, "tcp\n"));
	p.tcp_port = p.udp_port;
	p.udp_port = 0;
	assert_int_equal(profile_openvpn(&p, out, sizeof(out)), 0);
	assert_null(strstr(out, "udp\n"));
	assert_non_null(strstr(out, "remote vpn.example.org 1194 tcp\n"));
}

static void openvpn_hosts_have_no_brackets(void **state)
{
	static const char *const hosts[][2] = {{"2001:db8::1", "remote 2001:db8::1 1194 udp\n"},
		{"[2001:db8::1]", "remote 2001:db8::1 1194 udp\n"},
		{"192.0.2.1", "remote 192.0.2.1 1194 udp\n"}};
	struct ovpn_profile p = an_openvpn_profile();
	char out[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		p.endpoint_host = hosts[i][0];
		assert_int_equal(profile_openvpn(&p, out, sizeof(out)), 0);
		assert_non_null(strstr(out, hosts[i][1]));
	}
}

static void every_openvpn_length_that_is_too_short(void **state)
{
	struct ovpn_profile p = an_openvpn_profile();
	char out[2048], zero[2048] = {0};
	size_t whole;

	(void)state;
	assert_int_equal(profile_openvpn(&p, out, sizeof(out)), 0);
	whole = strlen(out);
	for (size_t cap = 1; cap <= whole; cap++) {
		assert_int_equal(profile_openvpn(&p, out, cap), -EMSGSIZE);
		assert_memory_equal(out, zero, cap);
	}
	assert_int_equal(profile_openvpn(&p, out, whole + 1), 0);
}

static void every_length_that_is_too_short(void **state)
{
	struct wg_profile p = a_profile();
	char out[2048], zero[2048] = {0};
	size_t whole;

	(void)state;
	assert_int_equal(profile_wireguard(&p, out, sizeof(out)), 0);
	whole = strlen(out);
	for (size_t cap = 1; cap <= whole; cap++) {
		assert_int_equal(profile_wireguard(&p, out, cap), -EMSGSIZE);
		assert_memory_equal(out, zero, cap);
	}
	assert_int_equal(profile_wireguard(&p, out, whole + 1), 0);
}

static void filenames(void **state)
{
	static const char *const cases[][2] = {
		{"laptop", "laptop.conf"},
		{"Ann's phone", "Ann-s-phone.conf"},
		{"a very long name indeed", "a-very-long-nam.conf"},
		{"fifteen-chars-x", "fifteen-chars-x.conf"},
		{"sixteen-chars-xx", "sixteen-chars-x.conf"},
		{"../../etc/passwd", "etc-passwd.conf"},
		{"..", "ireko.conf"},
		{"", "ireko.conf"},
		{"-", "ireko.conf"},
		{"--help", "help.conf"},
		{"\xe5\x85\xa5\xe3\x82\x8c\xe5\xad\x90", "ireko.conf"},
		{"x\xe5\x85\xa5", "x.conf"},
		{"$(id);`x`|&", "id-x.conf"},
		{"a\nb", "a-b.conf"},
		{"trailing dash --", "trailing-dash.conf"},
	};
	char out[80];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		profile_filename(cases[i][0], "conf", out, sizeof(out));
		assert_string_equal(out, cases[i][1]);
		profile_filename(cases[i][0], "ovpn", out, sizeof(out));
		assert_int_equal(strlen(out), strlen(cases[i][1]));
		assert_string_equal(strrchr(out, '.'), ".ovpn");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_text),
		cmocka_unit_test(what_may_be_left_out),
		cmocka_unit_test(ipv6_endpoint_has_brackets),
		cmocka_unit_test(every_length_that_is_too_short),
		cmocka_unit_test(whole_openvpn_text),
		cmocka_unit_test(openvpn_without_key_or_port),
		cmocka_unit_test(openvpn_hosts_have_no_brackets),
		cmocka_unit_test(every_openvpn_length_that_is_too_short),
		cmocka_unit_test(filenames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
