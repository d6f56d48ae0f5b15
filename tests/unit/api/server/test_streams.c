/* Server-sent events: who is told what, where a stream goes on, and when it ends. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

/* A stream's connection: what came so far. */
struct ear {
	int fd;
	struct answer a;
};

static void listen_with(struct ear *ear, const char *target, const char *fields)
{
	char text[512];

	ear->fd = dial();
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "%s\r\n", target, fields);
	say(ear->fd, text, strlen(text));
	hear(ear->fd, &ear->a);
}

/* Waits until that stands in what came. Returns: where, NULL when the stream ended. */
static const char *hears(struct ear *ear, const char *what)
{
	struct answer *a = &ear->a;
	const char *at;

	while (!(at = strstr(a->text, what))) {
		const ssize_t n = recv(ear->fd, a->text + a->len, sizeof(a->text) - 1 - a->len, 0);

		if (n <= 0)
			return NULL;
		a->len += (size_t)n;
		a->text[a->len] = '\0';
	}
	return at;
}

static void device_changed(const struct ulid *user)
{
	events_add(events, &(struct event){.type = EVENT_DEVICE_CHANGED,
				   .at = 1700000000000,
				   .user_id = *user,
				   .device_id = some_id,
				   .how = DEVICE_UPDATED});
}

static void events_are_told_as_they_come(void **state)
{
	static struct ear ear, only;
	const struct ulid other = {{9}};
	const char *at;
	char want[64];

	(void)state;
	listen_with(&ear, "/v1/events", ADMIN);
	assert_int_equal(ear.a.status, 200);
	assert_non_null(strstr(ear.a.text, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(ear.a.text, "X-Accel-Buffering: no\r\n"));
	at = hears(&ear, "retry: 2000\nid: ");
	assert_non_null(at);
	assert_non_null(hears(&ear, "event: hello\ndata: {"));
	listen_with(
		&only, "/v1/events?types=session.ended,traffic", "Authorization: Bearer user\r\n");
	assert_non_null(hears(&only, "event: hello\n"));
	device_changed(&other);
	snprintf(want, sizeof(want), "id: %llu\nevent: device.changed\ndata: {\"at\":",
		(unsigned long long)events_newest(events));
	assert_non_null(hears(&ear, want));
	assert_non_null(hears(&ear, "\"change\":\"updated\"}\n\n"));
	events_add(events, &(struct event){.type = EVENT_SESSION_ENDED,
				   .user_id = some_id,
				   .news = {.why = SESSION_END_REVOKED}});
	assert_non_null(hears(&ear, "\"reason\":\"revoked\""));
	assert_non_null(hears(&only, "\"reason\":\"revoked\""));
	assert_null(strstr(only.a.text, "device.changed"));
	close(ear.fd);
	close(only.fd);
}

static void users_are_told_of_their_own_traffic(void **state)
{
	static struct ear all, own;
	struct moved *m = calloc(2, sizeof(*m));

	(void)state;
	m[0] = (struct moved){
		.device_id = some_id, .user_id = some_id, .rx_bytes = 100, .tx_bytes = 1};
	m[1] = (struct moved){
		.device_id = {{7}}, .user_id = {{7}}, .rx_bytes = 5000, .tx_bytes = 2};
	listen_with(&all, "/v1/events", ADMIN);
	listen_with(&own, "/v1/events", "Authorization: Bearer user\r\n");
	assert_non_null(hears(&own, "event: hello"));
	assert_non_null(hears(&all, "event: hello"));
	events_add(events,
		&(struct event){
			.type = EVENT_TRAFFIC, .interval_ms = 500, .moved = m, .n_moved = 2});
	assert_non_null(hears(&all, "\"rx_bps\":81600,"));
	assert_non_null(hears(&all, "\"totals\":{\"rx_bytes\":5100,\"tx_bytes\":3,\"devices\":2}"));
	assert_non_null(hears(&all, ",5000,2],[\"dev_" ID "\",100,1]]}\n\n"));
	assert_non_null(hears(&own, "\"totals\":{\"rx_bytes\":100,\"tx_bytes\":1,\"devices\":1}"));
	assert_non_null(hears(&own, "\"devices\":[[\"dev_" ID "\",100,1]]}\n\n"));
	close(all.fd);
	close(own.fd);
}

static void streams_go_on_where_they_were(void **state)
{
	static struct ear ear;
	const uint64_t seen = events_newest(events);
	char fields[128], want[64];

	(void)state;
	for (int i = 0; i < 3; i++)
		device_changed(&some_id);
	snprintf(fields, sizeof(fields), ADMIN "Last-Event-ID: %llu\r\n", (unsigned long long)seen);
	listen_with(&ear, "/v1/events", fields);
	for (int i = 1; i <= 3; i++) {
		snprintf(want, sizeof(want), "id: %llu\nevent: device.changed",
			(unsigned long long)seen + i);
		assert_non_null(hears(&ear, want));
	}
	assert_null(strstr(ear.a.text, "event: gap"));
	close(ear.fd);
	/* Of another process, of the future, of nobody. */
	static const char *const strange[] = {
		"1", "9007199254740993", "x", "-1", "", "99999999999999999999999999"};
	for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
		snprintf(fields, sizeof(fields), ADMIN "Last-Event-ID: %s\r\n", strange[i]);
		listen_with(&ear, "/v1/events", fields);
		assert_non_null(hears(&ear, "event: gap\ndata: {\"after\":"));
		close(ear.fd);
	}
}

static void streams_end_with_their_right(void **state)
{
	static struct ear ear;
	const struct clock clock = clock_system();
	uint64_t begun;

	(void)state;
	listen_with(&ear, "/v1/events", ADMIN);
	assert_non_null(hears(&ear, "event: hello"));
	begun = clock_mono_ms(&clock);
	atomic_store(&fake.stands, SVC_UNAUTHENTICATED);
	assert_null(hears(&ear, "what never comes"));
	assert_true(clock_mono_ms(&clock) - begun < 1500);
	assert_non_null(hears(&ear, "\r\n0\r\n\r\n")); /* as it should end */
	close(ear.fd);
}

static void there_are_only_so_many_streams(void **state)
{
	static struct ear ears[17];
	unsigned refused = 0;

	(void)state;
	/* Those of the tests before may still be on their way out. */
	for (int tries = 0; tries < 200; tries++) {
		refused = 0;
		for (int i = 0; i < 16; i++) {
			listen_with(&ears[i], "/v1/events", ADMIN);
			refused += ears[i].a.status != 200;
		}
		if (refused == 0)
			break;
		for (int i = 0; i < 16; i++)
			close(ears[i].fd);
		poll(NULL, 0, 20);
	}
	assert_int_equal(refused, 0);
	listen_with(&ears[16], "/v1/events", ADMIN);
	assert_int_equal(ears[16].a.status, 429);
	assert_non_null(strstr(ears[16].a.text, "Retry-After: 5\r\n"));
	close(ears[16].fd);
	/* HEAD takes no place. */
	assert_int_equal(request("HEAD /v1/events", ADMIN, NULL)->status, 200);
	for (int i = 0; i < 16; i++)
		close(ears[i].fd);
	/* Whoever goes makes room, though nobody writes to him. */
	for (int tries = 0; tries < 200; tries++) {
		listen_with(&ears[0], "/v1/events", ADMIN);
		close(ears[0].fd);
		if (ears[0].a.status == 200)
			return;
		poll(NULL, 0, 20);
	}
	fail_msg("streams whose clients are gone stay");
}

/* Who does not read is cut off; who reads has everything, at once. */
static void nobody_waits_for_a_slow_reader(void **state)
{
	static struct ear slow, quick;
	const uint64_t from = events_newest(events);
	const char *text = "GET /v1/events HTTP/1.1\r\n" HOST ADMIN "\r\n";
	char want[64];
	unsigned rounds = 0, tries = 0;
	struct pollfd gone;

	(void)state;
	/* Streams of the tests before may still count against the caller. */
	do {
		memset(&slow, 0, sizeof(slow));
		slow.fd = dial_with(4096, 2);
		say(slow.fd, text, strlen(text));
		if (hears(&slow, "event: hello"))
			break;
		close(slow.fd);
		poll(NULL, 0, 50);
	} while (tries++ < 100);
	assert_true(tries <= 100);
	listen_with(&quick, "/v1/events?types=device.changed", ADMIN);
	assert_non_null(hears(&quick, "event: hello"));
	gone = (struct pollfd){.fd = slow.fd, .events = POLLRDHUP};
	/* As many as the ring holds, again and again, at the pace of the one who reads. */
	while (poll(&gone, 1, 0) == 0 && rounds++ < 200) {
		for (unsigned i = 0; i < 64; i++)
			device_changed(&some_id);
		snprintf(want, sizeof(want), "id: %llu\n",
			(unsigned long long)events_newest(events));
		assert_non_null(hears(&quick, want));
		quick.a.len = 0;
		quick.a.text[0] = '\0';
	}
	assert_true(poll(&gone, 1, 2000) == 1);
	assert_true(events_newest(events) - from > EVENTS_KEPT);
	close(slow.fd);
	close(quick.fd);
}

static void a_stop_ends_streams_at_once(void **state)
{
	static struct ear ear;
	const struct clock clock = clock_system();
	uint64_t begun;

	(void)state;
	listen_with(&ear, "/v1/events", ADMIN);
	assert_non_null(hears(&ear, "event: hello"));
	begun = clock_mono_ms(&clock);
	api_stop(api);
	assert_true(clock_mono_ms(&clock) - begun < 1000);
	assert_non_null(hears(&ear, "\r\n0\r\n\r\n"));
	close(ear.fd);
	assert_int_equal(start(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(events_are_told_as_they_come, fresh),
		cmocka_unit_test_setup(users_are_told_of_their_own_traffic, fresh),
		cmocka_unit_test_setup(streams_go_on_where_they_were, fresh),
		cmocka_unit_test_setup(streams_end_with_their_right, fresh),
		cmocka_unit_test_setup(there_are_only_so_many_streams, fresh),
		cmocka_unit_test_setup(nobody_waits_for_a_slow_reader, fresh),
		cmocka_unit_test_setup(a_stop_ends_streams_at_once, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
