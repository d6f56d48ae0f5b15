#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "db/login_store.h"
#include "db/state_store.h"
#include "db/token_store.h"
#include "tests/unit/service/servicetest.h"

static uint64_t stored_bytes(struct servicetest *t, const struct ulid *device)
{
	struct device_state_row row = {0};
	struct db_conn *tx;
	int err;

	assert_int_equal(db_read(t->db, &tx), 0);
	err = device_state_get(tx, device, &row);
	db_end(&tx);
	assert_true(err == 0 || err == -ENOENT);
	return err ? 0 : row.total.rx_bytes;
}

static int64_t token_use(struct servicetest *t, const struct ulid *id)
{
	struct token_row row;
	struct db_conn *tx;

	assert_int_equal(db_read(t->db, &tx), 0);
	assert_int_equal(token_get(tx, id, &row), 0);
	db_end(&tx);
	return row.last_used_at;
}

static void latest_wins(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "a");
	struct device_state st[3] = {{.device_id = d, .rx_bytes = 1},
		{.device_id = d, .rx_bytes = 2}, {.device_id = {{9}}, .rx_bytes = 3}};

	service_on_device_state(t->s, st, 3); /* one of them is of nobody */
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_int_equal(stored_bytes(t, &d), 2);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
}

static void the_thread_does_it_by_itself(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "a");
	struct device_state st = {.device_id = d, .rx_bytes = 5};

	service_on_device_state(t->s, &st, 1);
	while (stored_bytes(t, &d) != 5)
		sched_yield();
}

static int count_call(void *arg)
{
	atomic_uint *calls = arg;

	/* One that fails is tried again. */
	return atomic_fetch_add(calls, 1) == 0 ? -EIO : 0;
}

static void the_thread_does_what_else_there_is(void **state)
{
	struct servicetest *t = *state;
	atomic_uint calls = 0;
	struct recorder *r;
	unsigned then;

	assert_int_equal(recorder_new(&r, t->db, &t->conf.clock, count_call, &calls), 0);
	while (atomic_load(&calls) < 2)
		sched_yield();
	recorder_stop(r);
	then = atomic_load(&calls);
	assert_int_equal(recorder_flush(r), 0);
	assert_int_equal(atomic_load(&calls), then);
	recorder_free(r);
}

static void stop_writes_what_is_left(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "a");
	struct device_state st = {.device_id = d, .rx_bytes = 6};

	service_on_device_state(t->s, &st, 1);
	service_stop(t->s);
	assert_int_equal(stored_bytes(t, &d), 6);
	service_stop(t->s);
}

static void a_failure_keeps_it(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "a"), c = new_credential(t, &d),
		    e = new_device(t, NULL, "b");
	struct device_state first = {.device_id = d, .rx_bytes = 1},
			    newer = {.device_id = d, .rx_bytes = 2},
			    other = {.device_id = e, .rx_bytes = 3};
	struct credential_state cs = {.credential_id = c, .wg_greatest = {0x40, 9}};
	struct rlimit old, full = {0, 0};
	struct db_conn *tx;
	uint8_t greatest[12];

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	full.rlim_max = old.rlim_max;
	service_stop(t->s); /* only we flush here */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	service_on_device_state(t->s, &first, 1);
	service_on_device_state(t->s, &other, 1);
	service_on_credential_state(t->s, &cs, 1);
	assert_int_equal(recorder_flush(t->s->recorder), -ENOSPC);
	assert_int_equal(recorder_flush(t->s->recorder), -ENOSPC);
	service_on_device_state(t->s, &newer, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_int_equal(stored_bytes(t, &d), 2);
	assert_int_equal(stored_bytes(t, &e), 3);
	assert_int_equal(db_read(t->db, &tx), 0);
	assert_int_equal(credential_state_get(tx, &c, greatest), 0);
	db_end(&tx);
	assert_memory_equal(greatest, cs.wg_greatest, 12);
}

static void use_is_written_once_a_minute(void **state)
{
	struct servicetest *t = *state;
	struct svc_token_request r = {.name = "ci"};
	int64_t start = t->clock.real_us / 1000;
	char secret[SVC_TOKEN_TEXT];
	struct svc_token tok;
	struct svc_actor a;

	service_stop(t->s);
	assert_int_equal(svc_token_create(t->s, &t->admin, &r, &tok, secret, &t->e), 0);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	assert_true(token_use(t, &tok.id) == 0); /* not by the request itself */
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_true(token_use(t, &tok.id) == start);
	fake_clock_advance(&t->clock, 30000);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_true(token_use(t, &tok.id) == start);
	fake_clock_advance(&t->clock, 30000);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_true(token_use(t, &tok.id) == start + 30000);
}

static void old_logins_are_cleared_away(void **state)
{
	struct servicetest *t = *state;
	int64_t now = t->clock.real_us / 1000;
	struct login_row l = {.id = id_of(1),
		.user_id = t->admin.user_id,
		.created_at = now,
		.last_used_at = now};
	struct db_conn *tx;

	service_stop(t->s);
	assert_int_equal(db_write(t->db, &tx), 0);
	assert_int_equal(login_insert(tx, &l, 64), 0);
	assert_int_equal(db_commit(&tx), 0);
	for (int minutes = 0; minutes <= 32; minutes++) {
		assert_int_equal(recorder_flush(t->s->recorder), 0);
		assert_int_equal(db_read(t->db, &tx), 0);
		assert_int_equal(login_get(tx, &l.id, &l), minutes < 32 ? 0 : -ENOENT);
		db_end(&tx);
		fake_clock_advance(&t->clock, 60000);
	}
}

static void *pour(void *arg)
{
	struct servicetest *t = arg;

	for (uint64_t i = 0; i < 2000; i++) {
		struct device_state st = {.device_id = t->c->devices[i % 3].id, .rx_bytes = i + 1};

		service_on_device_state(t->s, &st, 1);
	}
	return NULL;
}

static void pouring_while_it_is_written(void **state)
{
	struct servicetest *t = *state;
	pthread_t thread;
	struct ulid d[3] = {
		new_device(t, NULL, "a"), new_device(t, NULL, "b"), new_device(t, NULL, "c")};

	assert_int_equal(pthread_create(&thread, NULL, pour, t), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_int_equal(stored_bytes(t, &d[0]) + stored_bytes(t, &d[1]) + stored_bytes(t, &d[2]),
		1998 + 1999 + 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(latest_wins),
		T(the_thread_does_it_by_itself),
		T(the_thread_does_what_else_there_is),
		T(stop_writes_what_is_left),
		T(a_failure_keeps_it),
		T(use_is_written_once_a_minute),
		T(old_logins_are_cleared_away),
		T(pouring_while_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
