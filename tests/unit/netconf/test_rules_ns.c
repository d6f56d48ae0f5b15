/* The rules at work: real packets through a real kernel, in a namespace of the test. */
#include "netns.h"

#include <sys/socket.h>

#define DEVICE	"10.77.0.5"
#define DEVICE6 "fd00:77::5"
#define OTHER	"10.77.0.6"
#define OTHER6	"fd00:77::6"
#define SERVER	"10.77.0.1"
#define SERVER6 "fd00:77::1"
#define SITE	"198.51.100.9"
#define SITE6	"2001:db8:1::9"
#define WAN	"198.51.100.1"
#define WAN6	"2001:db8:1::1"

struct net {
	int tun, wan;
	struct netconf *netconf;
	struct netconf_static conf;
};

static int group_setup(void **state)
{
	struct net *n = calloc(1, sizeof(*n));

	*state = n;
	n->wan = netns_enter();
	n->tun = tun_open(TUN);
	if (n->wan < 0 || n->tun < 0)
		return -1;
	n->conf = netns_static();
	const struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");
	return netconf_start(&n->netconf, &n->conf) != 0 || netconf_apply(n->netconf, &w) != 0;
}

static int group_teardown(void **state)
{
	struct net *n = *state;

	netconf_stop(n->netconf);
	close(n->tun);
	close(n->wan);
	netns_static_fini(&n->conf);
	free(n);
	return 0;
}

/* Neither side has anything to read, and exactly this counter went up by one. */
static void expect_drop(struct net *n, int in, const struct packet *p, const char *counter)
{
	uint64_t before = drops(counter);

	packet_send(in, p);
	if (drops(counter) != before + 1)
		fail_msg("%s went up by %d", counter, (int)(drops(counter) - before));
	expect_silence(n->tun);
	expect_silence(n->wan);
}

/* First of all tests: nothing came by itself while the device went up. */
static void device_is_silent(void **state)
{
	struct net *n = *state;

	expect_silence(n->tun);
}

static void server_answers_ping(void **state)
{
	struct net *n = *state;
	struct packet p = packet_ping(DEVICE, SERVER);

	for (int i = 0; i < 3; i++) {
		packet_send(n->tun, &p);
		struct packet answer = packet_read(n->tun);
		expect_from(&answer, SERVER);
		expect_to(&answer, DEVICE);
		assert_int_equal(packet_l4(&answer)[0], ICMP_ECHOREPLY);
	}
	p = packet_ping(DEVICE6, SERVER6);
	packet_send(n->tun, &p);
	struct packet answer = packet_read(n->tun);
	expect_from(&answer, SERVER6);
	assert_int_equal(packet_l4(&answer)[0], ICMP6_ECHO_REPLY);
}

static void host_is_closed(void **state)
{
	struct net *n = *state;
	static const char *const addresses[] = {SERVER, WAN, "192.168.7.1", "10.77.255.255"};
	static const char *const addresses6[] = {SERVER6, WAN6, "fd00:77::"};
	static const uint16_t ports[] = {22, 53, 8080, UDP_PORT_A, UDP_PORT_B};

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(addresses); j++) {
			struct packet p = packet_udp(DEVICE, 4000, addresses[j], ports[i]);
			expect_drop(n, n->tun, &p, "drop_to_host");
			p = packet_syn(DEVICE, 4000, addresses[j], ports[i], TH_SYN, 1460, 0);
			expect_drop(n, n->tun, &p, "drop_to_host");
		}
		for (size_t j = 0; j < ARRAY_SIZE(addresses6); j++) {
			struct packet p = packet_udp(DEVICE6, 4000, addresses6[j], ports[i]);
			expect_drop(n, n->tun, &p, "drop_to_host");
		}
	}
	/* Ping is for the tunnel addresses alone. */
	struct packet p = packet_ping(DEVICE, WAN);
	expect_drop(n, n->tun, &p, "drop_to_host");
	p = packet_ping(DEVICE6, WAN6);
	expect_drop(n, n->tun, &p, "drop_to_host");
	p = packet_udp(DEVICE, 4000, "224.0.0.251", 5353);
	packet_send(n->tun, &p);
	expect_silence(n->tun);
	expect_silence(n->wan);
}

static void spoofed_sources_are_dropped(void **state)
{
	struct net *n = *state;
	static const char *const sources[] = {SERVER, WAN, SITE, "0.0.0.0", "127.0.0.1",
		"10.78.0.5", "192.168.7.1", "255.255.255.255", "224.0.0.1"};
	static const char *const refused6[] = {"::1", "ff02::1"}; /* by the kernel, before rules */
	static const char *const sources6[] = {
		SERVER6, WAN6, SITE6, "::", "fe80::5", "fd00:78::5", "::ffff:10.77.0.5"};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		struct packet p = packet_udp(sources[i], 4000, "203.0.113.1", 53);
		expect_drop(n, n->tun, &p, "drop_spoofed");
		p = packet_ping(sources[i], SERVER);
		expect_drop(n, n->tun, &p, "drop_spoofed");
	}
	for (size_t i = 0; i < ARRAY_SIZE(sources6); i++) {
		struct packet p = packet_udp(sources6[i], 4000, SITE6, 53);
		expect_drop(n, n->tun, &p, "drop_spoofed");
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused6); i++) {
		struct packet p = packet_udp(refused6[i], 4000, SITE6, 53);
		packet_send(n->tun, &p);
		expect_silence(n->wan);
	}
}

static void devices_do_not_meet(void **state)
{
	struct net *n = *state;

	for (int i = 0; i < 3; i++) { /* a redirect would come here */
		struct packet p = packet_ping(DEVICE, OTHER);
		expect_drop(n, n->tun, &p, "drop_device_to_device");
		p = packet_ping(DEVICE6, OTHER6);
		expect_drop(n, n->tun, &p, "drop_device_to_device");
		p = packet_udp(DEVICE, 4000, OTHER, 53);
		expect_drop(n, n->tun, &p, "drop_device_to_device");
	}
}

static void private_networks_are_closed(void **state)
{
	struct net *n = *state;
	static const char *const closed[] = {"10.0.0.1", "10.78.0.1", "100.64.0.1",
		"100.127.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
		"192.168.0.1", "198.18.0.1", "198.19.255.255"};
	static const char *const closed6[] = {"fc00::1", "fd00:78::1", "::2", "::ffff:192.168.0.1",
		"::10.0.0.1", "64:ff9b::a00:1", "64:ff9b::c0a8:1", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::1", "2002:a00:1::1", "fec0::1", "100::1"};

	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		struct packet p = packet_udp(DEVICE, 4000, closed[i], 80);
		expect_drop(n, n->tun, &p, "drop_private");
	}
	for (size_t i = 0; i < ARRAY_SIZE(closed6); i++) {
		struct packet p = packet_udp(DEVICE6, 4000, closed6[i], 80);
		expect_drop(n, n->tun, &p, "drop_private");
	}
	/* The kernel refuses to route these; what matters is that nothing leaves. */
	struct packet p = packet_udp(DEVICE, 4000, "127.0.0.1", 80);
	packet_send(n->tun, &p);
	p = packet_udp(DEVICE, 4000, "240.0.0.1", 80);
	packet_send(n->tun, &p);
	p = packet_udp(DEVICE6, 4000, "fe80::1", 80);
	packet_send(n->tun, &p);
	expect_silence(n->wan);
	drain(n->tun); /* it may say that they are unreachable */
}

/* There and back through NAT; returns the port it left with. */
static uint16_t round_trip(struct net *n, const char *device, uint16_t sport, const char *site)
{
	bool v6 = strchr(site, ':') != NULL;
	const char *wan = v6 ? WAN6 : WAN;
	struct packet p = packet_udp(device, sport, site, 53);

	packet_send(n->tun, &p);
	struct packet out = packet_read(n->wan);
	expect_from(&out, wan);
	expect_to(&out, site);
	uint16_t port = port_at(&out, 0);

	p = packet_udp(site, 53, wan, port);
	packet_send(n->wan, &p);
	struct packet back = packet_read(n->tun);
	expect_from(&back, site);
	expect_to(&back, device);
	assert_int_equal(port_at(&back, 2), sport);
	return port;
}

static void internet_is_reached(void **state)
{
	struct net *n = *state;
	static const char *const open4[] = {SITE, "203.0.113.7", "192.0.2.1", "8.8.8.8",
		"100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "198.17.0.1",
		"198.20.0.1", "223.255.255.255", "11.0.0.1"};
	static const char *const open6[] = {
		SITE6, "2001:db8:ffff::1", "2606:4700::1111", "64:ff9b::808:808"};

	for (size_t i = 0; i < ARRAY_SIZE(open4); i++)
		round_trip(n, DEVICE, 4001, open4[i]);
	for (size_t i = 0; i < ARRAY_SIZE(open6); i++)
		round_trip(n, DEVICE6, 4001, open6[i]);

	struct packet p = packet_ping(DEVICE, SITE);
	packet_send(n->tun, &p);
	struct packet out = packet_read(n->wan);
	expect_from(&out, WAN);
	assert_int_equal(packet_l4(&out)[0], ICMP_ECHO);
}

static unsigned long tracked(void)
{
	char value[32];

	netns_sysctl("netfilter/nf_conntrack_count", value, sizeof(value));
	return strtoul(value, NULL, 10);
}

/* The host's own socket gets the payload of packet_udp. */
static void expect_datagram(int s)
{
	struct pollfd wait = {.fd = s, .events = POLLIN};
	char got[64];

	if (poll(&wait, 1, WAIT_MS) != 1)
		fail_msg("the host got nothing");
	assert_int_equal(recv(s, got, sizeof(got), 0), 8);
}

/* CVE-2021-3773: a device sends from our port; a stranger's packets to that port stay ours. */
static void ports_are_not_shadowed(void **state)
{
	struct net *n = *state;
	int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(UDP_PORT_A)};
	static const char *const pairs[][3] = {{DEVICE, SITE, WAN}, {DEVICE6, SITE6, WAN6}};
	assert_true(s >= 0);
	assert_int_equal(bind(s, (struct sockaddr *)&any, sizeof(any)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		for (uint16_t k = 0; k < 50; k++) {
			struct packet p = packet_udp(
				pairs[i][0], UDP_PORT_A, pairs[i][1], (uint16_t)(40000 + k));
			packet_send(n->tun, &p);
			struct packet out = packet_read(n->wan);
			assert_in_range(port_at(&out, 0), UDP_PORT_B + 1, UDP_PORT_A - 1);

			unsigned long before = tracked();
			p = packet_udp(pairs[i][1], (uint16_t)(40000 + k), pairs[i][2], UDP_PORT_A);
			packet_send(n->wan, &p);
			expect_datagram(s);
			assert_true(tracked() <= before);
			expect_silence(n->tun);
		}
	}
	close(s);
}

/* Our own answers are not tracked either. */
static void own_answers_are_not_tracked(void **state)
{
	struct net *n = *state;
	int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_port = htons(UDP_PORT_B)};

	assert_true(s >= 0);
	assert_int_equal(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	addr.sin6_port = htons(7777);
	assert_int_equal(inet_pton(AF_INET6, SITE6, &addr.sin6_addr), 1);
	unsigned long before = tracked();
	assert_int_equal(sendto(s, "x", 1, 0, (struct sockaddr *)&addr, sizeof(addr)), 1);
	struct packet out = packet_read(n->wan);
	assert_int_equal(port_at(&out, 0), UDP_PORT_B);
	assert_true(tracked() <= before);
	close(s);
}

/* CVE-2019-14899: tunnel addresses are no addresses for anybody outside. */
static void outside_does_not_reach_in(void **state)
{
	struct net *n = *state;
	static const char *const targets[] = {DEVICE, OTHER, SERVER};
	static const char *const targets6[] = {DEVICE6, OTHER6, SERVER6};

	round_trip(n, DEVICE, 4002, SITE);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		/* As if it belonged to the flow that stands. */
		struct packet p = packet_udp(SITE, 53, targets[i], 4002);
		expect_drop(n, n->wan, &p, "drop_from_outside");
		p = packet_ping(SITE, targets[i]);
		expect_drop(n, n->wan, &p, "drop_from_outside");
		p = packet_syn(SITE, 443, targets[i], 4002, TH_SYN | TH_ACK, 1460, 1);
		packet_send(n->wan, &p);
		expect_silence(n->tun);
		p = packet_udp(SITE6, 53, targets6[i], 4002);
		expect_drop(n, n->wan, &p, "drop_from_outside");
	}
}

static void mss_is_clamped_both_ways(void **state)
{
	struct net *n = *state;
	static const char *const rows[][3] = {{DEVICE, SITE, WAN}, {DEVICE6, SITE6, WAN6}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint16_t fits = i == 0 ? 1380 : 1360;
		struct packet p = packet_syn(rows[i][0], 4003, rows[i][1], 80, TH_SYN, 1460, 0);
		packet_send(n->tun, &p);
		struct packet out = packet_read(n->wan);
		assert_int_equal(port_at(&out, 22), fits);

		p = packet_syn(
			rows[i][1], 80, rows[i][2], port_at(&out, 0), TH_SYN | TH_ACK, 1460, 0x101);
		packet_send(n->wan, &p);
		struct packet back = packet_read(n->tun);
		expect_to(&back, rows[i][0]);
		assert_int_equal(port_at(&back, 22), fits);
	}
	/* A smaller one stays. */
	struct packet p = packet_syn(DEVICE, 4004, SITE, 80, TH_SYN, 900, 0);
	packet_send(n->tun, &p);
	struct packet out = packet_read(n->wan);
	assert_int_equal(port_at(&out, 22), 900);
}

static void invalid_packets_do_not_leak(void **state)
{
	struct net *n = *state;
	struct packet p = packet_syn(DEVICE, 4005, SITE, 80, TH_SYN | TH_FIN, 1460, 0);

	expect_drop(n, n->tun, &p, "drop_invalid");
}

/* One device's flows don't use up the table; another device has its own share. */
static void flows_are_capped(void **state)
{
	struct net *n = *state;
	enum { CAP = 4096, OVER = 20 };
	uint64_t before = drops("drop_too_many_flows");

	for (int i = 0; i < CAP + OVER; i++) {
		struct packet p = packet_udp("10.77.9.9", (uint16_t)(10000 + i), SITE, 53);
		packet_send(n->tun, &p);
		if (i < CAP)
			packet_read(n->wan);
	}
	expect_silence(n->wan);
	assert_int_equal(drops("drop_too_many_flows") - before, OVER);
	round_trip(n, DEVICE, 4006, SITE);
}

/* A firewall's reload begins so. */
static void foreign_flush_leaves_it(void **state)
{
	(void)state;
	char *text = nft_says("flush ruleset");

	free(text);
	assert_true(table_stands(TUN));
	text = nft_says("delete table inet " TUN);
	assert_null(text);
}

/* Other traffic of the host goes its way, tracked and untouched. */
static void others_are_left_alone(void **state)
{
	struct net *n = *state;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(7777)};
	assert_true(s >= 0);
	assert_int_equal(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	/* Not from port 53: a flow of the test before may have got our port by chance. */
	struct packet p = packet_udp(SITE, 54, WAN, 7777);
	packet_send(n->wan, &p);
	expect_datagram(s);

	/* Forwarded for a network behind another interface, on our port number: neither NAT nor
	 * notrack. */
	int lan = tun_open("lan");
	assert_true(lan >= 0);
	assert_int_equal(netns_run("ip link set lan addrgenmode none multicast off up && "
				   "ip addr add 192.168.9.1/24 dev lan"),
		0);
	unsigned long before = tracked();
	p = packet_udp("192.168.9.2", 5000, SITE, UDP_PORT_A);
	packet_send(lan, &p);
	struct packet out = packet_read(n->wan);
	expect_from(&out, "192.168.9.2");
	assert_int_equal(port_at(&out, 0), 5000);
	assert_true(tracked() > before);
	close(lan);
	close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_is_silent),
		cmocka_unit_test(server_answers_ping),
		cmocka_unit_test(host_is_closed),
		cmocka_unit_test(spoofed_sources_are_dropped),
		cmocka_unit_test(devices_do_not_meet),
		cmocka_unit_test(private_networks_are_closed),
		cmocka_unit_test(internet_is_reached),
		cmocka_unit_test(ports_are_not_shadowed),
		cmocka_unit_test(own_answers_are_not_tracked),
		cmocka_unit_test(outside_does_not_reach_in),
		cmocka_unit_test(mss_is_clamped_both_ways),
		cmocka_unit_test(invalid_packets_do_not_leak),
		cmocka_unit_test(flows_are_capped),
		cmocka_unit_test(others_are_left_alone),
		cmocka_unit_test(foreign_flush_leaves_it),
	};

	return cmocka_run_group_tests_name("netconf/rules", tests, group_setup, group_teardown);
}
