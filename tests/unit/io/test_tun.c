/*
 * The TUN device, in a network namespace of its own; it needs the right to make one.
 *
 *      packets --merge--> [in0] kernel forwards [out0] --segment--> the same packets
 *
 * The kernel is the judge of both: what it cuts super-packets into, and what it gives to be cut.
 */
#include "io/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "io/merge.h"
#include "io/segment.h"
#include "packets.h"
#include "uapi/uapi.h"

enum {
	GSO = UAPI_OFFLOAD_TUN_GSO,
	GRO = UAPI_OFFLOAD_TUN_GRO,
	LOT = 200,
	FLOWS = 12,
	SEEDS = 12,
	ACK = 0x10,
	PSH = 0x08,
};

static bool allowed;

/* Linux has it from 6.2 on. */
static bool kernel_cuts_udp(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	assert_int_equal(uname(&u), 0);
	assert_int_equal(sscanf(u.release, "%u.%u", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 2);
}

static void comes_and_goes(void **state)
{
	static const unsigned wanted[] = {0, GSO, GRO, GSO | GRO, UAPI_OFFLOAD_ALL};
	struct tun_mode mode;
	int fds[3], more[1];
	char packet[64];

	(void)state;
	if (!allowed)
		fail_msg("needs a network namespace of its own and /dev/net/tun");
	for (size_t w = 0; w < ARRAY_SIZE(wanted); w++) {
		assert_int_equal(tun_open("probe0", fds, 3, wanted[w], &mode), 0);
		assert_int_equal(mode.offloads, wanted[w] & (GSO | GRO));
		assert_int_equal(mode.vnet, wanted[w] != 0);
		assert_int_equal(mode.udp, wanted[w] & GRO && kernel_cuts_udp());
		assert_true(if_nametoindex("probe0") != 0);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(read(fds[i], packet, sizeof(packet)), -1);
			assert_int_equal(errno, EAGAIN);
		}
		/* Taken, also by one of the same kind. */
		assert_int_equal(tun_open("probe0", more, 1, wanted[w], &mode), -EBUSY);
		assert_int_equal(more[0], -1);
		for (int i = 0; i < 3; i++)
			close(fds[i]);
		assert_int_equal(if_nametoindex("probe0"), 0);
	}
	assert_int_equal(tun_open("probe0", more, 1, 0, &mode), 0);
	close(more[0]);
}

static void a_name_of_another_kind_is_taken(void **state)
{
	struct tun_mode mode;
	int fds[1];

	(void)state;
	if (!allowed)
		fail_msg("needs a network namespace of its own and /dev/net/tun");
	assert_int_equal(tun_open("lo", fds, 1, GSO | GRO, &mode), -EBUSY);
}

/* ---- the kernel as judge ---- */

struct road {
	int in, out;
	struct tun_mode in_mode, out_mode;
	struct merge merge;
	struct packet lot[LOT];
	bool came[LOT];
	uint32_t n, n_came, supers_written, supers_read;
	uint8_t room[16 + TUN_SUPER];
};

static void road_open(struct road *r, unsigned in, unsigned out)
{
	memset(r, 0, sizeof(*r));
	assert_int_equal(tun_open("in0", &r->in, 1, in, &r->in_mode), 0);
	assert_int_equal(tun_open("out0", &r->out, 1, out, &r->out_mode), 0);
	assert_int_equal(
		system("cd /proc/sys/net && echo 0 >ipv6/conf/default/router_solicitations && "
		       "for d in in0 out0; do ip link set $d mtu 9000 addrgenmode none && "
		       "ip link set $d multicast off up || exit 1; done; "
		       "ip route add 10.77.0.0/24 dev in0 && "
		       "ip route add 198.51.100.0/24 dev out0 && "
		       "ip -6 route add fd00::/64 dev in0 && ip -6 route add fd01::/64 dev out0 && "
		       "echo 1 >ipv4/ip_forward && echo 1 >ipv6/conf/all/forwarding && "
		       "echo 0 >ipv4/conf/all/rp_filter && echo 0 >ipv4/conf/in0/rp_filter"),
		0);
}

static void road_close(struct road *r)
{
	close(r->in);
	close(r->out);
}

static void lot_make(struct road *r, struct dice *d)
{
	struct flow flows[FLOWS];
	uint32_t burst = 1 + roll(d, 40);

	for (uint32_t i = 0; i < FLOWS; i++)
		flows[i] = flow_make(d, (uint8_t)(1 + i));
	while (r->n < LOT) {
		struct flow *f = &flows[roll(d, FLOWS)];

		for (uint32_t i = 0; i < burst && r->n < LOT; i++)
			r->lot[r->n++] =
				packet_make(d, f, roll(d, 15) ? f->size : 1 + roll(d, f->size),
					roll(d, 15) ? ACK : ACK | PSH);
	}
}

static void lot_clear(struct road *r)
{
	while (r->n > 0)
		free(r->lot[--r->n].data);
	memset(r->came, 0, sizeof(r->came));
	r->n_came = 0;
}

/* As it is one hop further. */
static void hop(struct packet *k)
{
	if (k->data[0] >> 4 == 6) {
		k->data[7]--;
		return;
	}
	k->data[8]--;
	put16(k->data + 10, 0);
	put16(k->data + 10, (uint16_t)~slow_sum(k->data, 20, 0));
}

static uint8_t flow_of(const uint8_t *p)
{
	return p[p[0] >> 4 == 6 ? 23 : 15];
}

/* The kernel says things of its own: who listens, where routers are. */
static bool is_ours(const uint8_t *p)
{
	return p[0] >> 4 == 6 ? p[8] == 0xfd : p[12] == 10;
}

static void arrived(struct road *r, const uint8_t *p, uint32_t len)
{
	if (!is_ours(p))
		return;
	for (uint32_t i = 0; i < r->n; i++) {
		if (r->came[i] || flow_of(r->lot[i].data) != flow_of(p))
			continue;
		if (!packet_equal(&r->lot[i], p, len))
			fail_msg("packet %u of flow %u is another one", i, flow_of(p));
		r->came[i] = true;
		r->n_came++;
		return;
	}
	fail_msg("a packet too many of flow %u", flow_of(p));
}

static void read_one(struct road *r)
{
	struct pollfd fd = {.fd = r->out, .events = POLLIN};
	uint8_t *p = r->room + 16, one[PACKETS_MAX + 100];
	struct segments s;
	struct vnet_hdr h;
	ssize_t len;

	if (poll(&fd, 1, 2000) != 1)
		fail_msg("%u of %u came", r->n_came, r->n);
	len = tun_read(r->out, r->out_mode.vnet, p, TUN_SUPER, &h);
	assert_true(len > 0);
	switch (segment_begin(&s, &h, p, (uint32_t)len)) {
	case SEGMENT_WHOLE:
		arrived(r, p, (uint32_t)len);
		break;
	case SEGMENT_SUPER:
		r->supers_read++;
		while (segment_left(&s) > 0)
			arrived(r, one, segment_next(&s, one));
		break;
	case SEGMENT_BAD:
		fail_msg("the kernel contradicts itself");
	}
}

static void drive(struct road *r, struct dice *d)
{
	bool gro = r->in_mode.offloads & GRO;
	struct iovec iov[1 + MERGE_RUN];
	struct vnet_hdr h;

	lot_make(r, d);
	merge_begin(&r->merge, gro, gro && r->in_mode.udp);
	for (uint32_t i = 0; i < r->n; i++) {
		uint8_t *copy = malloc(r->lot[i].len);

		memcpy(copy, r->lot[i].data, r->lot[i].len);
		assert_true(merge_add(&r->merge, copy, r->lot[i].len));
		hop(&r->lot[i]);
	}
	for (uint32_t i = 0; i < r->merge.n_runs; i++) {
		size_t n = merge_frame(&r->merge, i, &h, iov + 1);

		r->supers_written += n > 1;
		assert_int_equal(tun_write(r->in, r->in_mode.vnet, &h, iov, n), 0);
	}
	while (r->n_came < r->n)
		read_one(r);
	for (uint32_t i = 0; i < r->merge.n_packets; i++)
		free(r->merge.packets[i].data);
	lot_clear(r);
}

static void the_kernel_agrees(void **state)
{
	static const unsigned ways[][2] = {
		{0, 0}, {GRO, 0}, {GRO, GRO}, {GSO | GRO, GSO}, {GSO | GRO, GSO | GRO}, {0, GSO}};
	static struct road r;

	(void)state;
	if (!allowed)
		fail_msg("needs a network namespace of its own and /dev/net/tun");
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		road_open(&r, ways[w][0], ways[w][1]);
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct dice d = {seed * 0x9e3779b97f4a7c15ull};

			drive(&r, &d);
		}
		/* And it was not for want of them. */
		assert_int_equal(r.supers_written > 50, (ways[w][0] & GRO) != 0);
		assert_int_equal(r.supers_read > 50, ways[w][0] & GRO && ways[w][1] & GSO);
		road_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_and_goes),
		cmocka_unit_test(a_name_of_another_kind_is_taken),
		cmocka_unit_test(the_kernel_agrees),
	};

	allowed = unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
	return cmocka_run_group_tests_name("tun", tests, NULL, NULL);
}
