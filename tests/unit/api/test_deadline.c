/* Time on a clock that is moved by hand: how long what may take. The reaper itself looks in real
 * time, four times a second. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/deadline.h"

static _Atomic uint64_t now_ms;

static uint64_t mono(void *arg)
{
	(void)arg;
	return now_ms;
}

static int64_t real_us(void *arg)
{
	(void)arg;
	return (int64_t)now_ms * 1000;
}

struct lab {
	struct conn_table *t;
	struct conn *c;
	int near, far;
	struct ip_addr from;
};

/* The two ends of a TCP connection: the kernel counts bytes on those only. */
static void connect_ends(struct lab *l)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	const int listener = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	l->far = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(l->far, (struct sockaddr *)&at, sizeof(at)), 0);
	l->near = accept(listener, NULL, NULL);
	assert_true(l->near >= 0);
	close(listener);
}

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	const struct clock clock = {mono, real_us, NULL};
	const struct conn_limits limits = {.max = 2,
		.per_prefix = 2,
		.request_ms = 15000,
		.idle_ms = 60000,
		.stream_ms = 30000,
		.handshake_ms = 5000};

	now_ms = 1000;
	connect_ends(l);
	l->from = (struct ip_addr){.family = IP_V4, .bytes = {192, 0, 2, 1}};
	assert_int_equal(conn_table_new(&l->t, &limits, clock, NULL), 0);
	l->c = conn_open(l->t, l->near, &l->from, false);
	assert_non_null(l->c);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	conn_close(l->t, l->c);
	conn_table_free(l->t);
	close(l->near);
	close(l->far);
	free(l);
	return 0;
}

/* Within two of its looks. */
static bool is_reaped(struct lab *l)
{
	for (int i = 0; i < 60 && !conn_is_late(l->t, l->c); i++)
		poll(NULL, 0, 10);
	return conn_is_late(l->t, l->c);
}

static void begin_stream(struct lab *l)
{
	conn_on_request_begun(l->t, l->c);
	conn_on_request_received(l->t, l->c, false);
	conn_on_stream(l->t, l->c);
}

static void a_request_has_a_total(void **state)
{
	struct lab *l = *state;

	conn_on_request_begun(l->t, l->c);
	conn_on_request_received(l->t, l->c, false);
	now_ms += 14999;
	assert_false(is_reaped(l));
	now_ms += 1;
	assert_true(is_reaped(l));
}

static void a_stream_has_none_but_has_to_go_on(void **state)
{
	struct lab *l = *state;

	begin_stream(l);
	for (int i = 0; i < 20; i++) {
		now_ms += 15000; /* a heartbeat */
		conn_on_stream_progress(l->t, l->c);
	}
	assert_false(is_reaped(l));
	now_ms += 29999;
	assert_false(is_reaped(l));
	now_ms += 1;
	assert_true(is_reaped(l));
}

static void a_stream_gives_no_place_away(void **state)
{
	struct lab *l = *state;
	struct conn *other;

	begin_stream(l);
	other = conn_open(l->t, l->near, &l->from, false);
	assert_non_null(other);
	conn_on_request_begun(l->t, other);
	conn_on_request_received(l->t, other, false);
	/* Both are busy: whoever comes now has to wait. */
	assert_false(conn_admit(l->t, &(struct ip_addr){.family = IP_V4, .bytes = {127}}, true));
	assert_false(conn_is_late(l->t, l->c));
	conn_close(l->t, other);
}

static void a_proxy_may_bring_more_than_one_network(void **state)
{
	struct lab *l = *state;
	struct conn *other = conn_open(l->t, l->near, &l->from, false);

	assert_non_null(other);
	assert_false(conn_admit(l->t, &l->from, false));
	assert_false(conn_is_late(l->t, l->c));
	/* The total holds for it as for everybody: one of the two goes. */
	assert_true(conn_admit(l->t, &l->from, true));
	assert_true(conn_is_late(l->t, l->c) != conn_is_late(l->t, other));
	conn_close(l->t, other);
}

static void hears_that_a_client_has_gone(void **state)
{
	struct lab *l = *state;

	begin_stream(l);
	assert_false(conn_hung_up(l->t, l->c));
	shutdown(l->far, SHUT_WR);
	for (int i = 0; i < 100 && !conn_hung_up(l->t, l->c); i++)
		poll(NULL, 0, 10);
	assert_true(conn_hung_up(l->t, l->c));
}

static void who_is_doomed_is_cut_off(void **state)
{
	struct lab *l = *state;
	char c;

	begin_stream(l);
	conn_doom(l->t, l->c, "a test");
	assert_true(conn_is_late(l->t, l->c));
	assert_true(conn_hung_up(l->t, l->c));
	assert_true(recv(l->far, &c, 1, 0) <= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_has_a_total, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_stream_has_none_but_has_to_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stream_gives_no_place_away, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_proxy_may_bring_more_than_one_network, setup, teardown),
		cmocka_unit_test_setup_teardown(hears_that_a_client_has_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_doomed_is_cut_off, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
