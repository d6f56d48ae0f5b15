/* The use-case of traffic history: whose, of when, in which steps; what is refused, and by name. */
#include <errno.h>
#include <poll.h>

#include "tests/unit/service/servicetest.h"

#define MS(s) ((int64_t)(s)*1000)

struct lab {
	struct servicetest *t;
	struct svc_actor ann, bob, auditor;
	struct svc_device phone, laptop, foreign;
	struct ulid boot;
	int64_t now; /* Unix seconds */
};

static struct svc_device device_of(
	struct servicetest *t, const struct svc_actor *a, const char *name)
{
	const struct svc_device_change c = {
		.set_name = true, .name = name, .set_user_id = true, .user_id = a->user_id};
	struct svc_device d;

	assert_int_equal(svc_device_create(t->s, &t->admin, &c, &d, &t->e), 0);
	svc_device_fini(&d);
	return d;
}

static struct lab lab_of(struct servicetest *t)
{
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_USER),
			bob = new_user(t, "bob", SVC_ROLE_USER),
			aud = new_user(t, "aud", SVC_ROLE_AUDITOR);
	struct lab l = {.t = t,
		.ann = actor_of(&ann),
		.bob = actor_of(&bob),
		.auditor = actor_of(&aud),
		.boot = id_of(400)};

	l.phone = device_of(t, &l.ann, "phone");
	l.laptop = device_of(t, &l.ann, "laptop");
	l.foreign = device_of(t, &l.bob, "foreign");
	l.now = t->clock.real_us / 1000000;
	return l;
}

static void counted(struct lab *l, const struct svc_device *d, uint64_t rx)
{
	const struct device_counters c = {.device_id = d->id,
		.user_id = d->user_id,
		.epoch = 1,
		.rx_bytes = rx,
		.tx_bytes = 3 * rx};

	fake_clock_advance(&l->t->clock, 1000);
	service_on_counters(l->t->s, &l->boot, &c, 1);
	l->now++;
}

static void minutes_pass(struct lab *l, unsigned n)
{
	fake_clock_advance(&l->t->clock, n * 60000);
	l->now += n * 60;
	assert_int_equal(traffic_flush(l->t->s->traffic, false), 0);
}

static struct svc_traffic ask(
	struct lab *l, const struct svc_actor *a, const struct svc_traffic_request *r)
{
	struct svc_traffic out;

	assert_int_equal(svc_traffic(l->t->s, a, r, &out, &l->t->e), 0);
	return out;
}

static uint64_t rx_of(const struct svc_traffic_series *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++) {
		assert_int_equal(s->points[i].tx_bytes, 3 * s->points[i].rx_bytes);
		assert_true(i == 0 || s->points[i].at > s->points[i - 1].at);
		sum += s->points[i].rx_bytes;
	}
	return sum;
}

static void what_is_stored_and_what_is_pending_are_one(void **state)
{
	struct lab l = lab_of(*state);
	static const uint32_t steps[] = {0, 60, 3600, 86400};

	counted(&l, &l.phone, 10);
	minutes_pass(&l, 1);
	counted(&l, &l.phone, 110);
	minutes_pass(&l, 2);
	counted(&l, &l.phone, 1110);
	for (size_t i = 0; i < 4; i++) {
		struct svc_traffic h = ask(&l, &l.ann,
			&(struct svc_traffic_request){
				.has_device_id = true, .device_id = l.phone.id, .step = steps[i]});

		assert_int_equal(h.n, 1);
		assert_true(ulid_equal(&h.series[0].device_id, &l.phone.id));
		assert_int_equal(rx_of(&h.series[0]), 1110);
		assert_int_equal(h.series[0].n, i < 2 ? 3 : 1);
		assert_int_equal(h.step, steps[i] ? steps[i] : 60);
		assert_int_equal(h.from % MS(h.step), 0);
		assert_int_equal(h.to % MS(h.step), 0);
		assert_true(h.from <= h.series[0].points[0].at);
		assert_true(h.to > MS(l.now));
		svc_traffic_fini(&h);
	}
}

static void seconds_come_from_memory(void **state)
{
	struct lab l = lab_of(*state);

	counted(&l, &l.phone, 10);
	counted(&l, &l.phone, 15);
	counted(&l, &l.phone, 22);
	struct svc_traffic h = ask(&l, &l.ann,
		&(struct svc_traffic_request){
			.has_device_id = true, .device_id = l.phone.id, .step = 1});
	assert_int_equal(h.series[0].n, 2); /* the first round is of no second */
	assert_int_equal(h.series[0].points[1].at, MS(l.now));
	assert_int_equal(h.series[0].points[1].rx_bytes, 7);
	svc_traffic_fini(&h);
	/* And a short range of now is shown in seconds by itself. */
	h = ask(&l, &l.ann,
		&(struct svc_traffic_request){
			.has_device_id = true, .device_id = l.phone.id, .from = MS(l.now - 60)});
	assert_int_equal(h.step, 1);
	svc_traffic_fini(&h);
}

static void the_step_suits_the_range(void **state)
{
	struct lab l = lab_of(*state);
	static const struct {
		int64_t from, range;
		uint32_t step;
	} cases[] = {
		{100, 60, 1},
		{1000, 60, 60},
		{86000, 86000, 60},
		{86400 * 3, 3600, 3600},
		{86400 * 3, 86400 * 3, 3600},
		{86400 * 62 - 60, 86400 * 62 - 60, 3600},
		{86400 * 100, 3600, 86400},
		{86400 * 100, 86400 * 100, 86400},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct svc_traffic h = ask(&l, &l.auditor,
			&(struct svc_traffic_request){.from = MS(l.now - cases[i].from),
				.to = MS(l.now - cases[i].from + cases[i].range)});

		assert_int_equal(h.step, cases[i].step);
		assert_true(h.from <= MS(l.now - cases[i].from));
		assert_true(h.to >= MS(l.now - cases[i].from + cases[i].range));
		svc_traffic_fini(&h);
	}
}

static void everybody_sees_his_own(void **state)
{
	struct lab l = lab_of(*state);
	struct svc_traffic h;

	counted(&l, &l.phone, 10);
	counted(&l, &l.laptop, 200);
	counted(&l, &l.foreign, 3000);
	/* A user without a choice: all of his, each for itself. */
	h = ask(&l, &l.ann, &(struct svc_traffic_request){.step = 60});
	assert_int_equal(h.n, 2);
	assert_int_equal(rx_of(&h.series[0]) + rx_of(&h.series[1]), 210);
	svc_traffic_fini(&h);
	/* Who reads all: one sum of all. */
	h = ask(&l, &l.auditor, &(struct svc_traffic_request){.step = 60});
	assert_int_equal(h.n, 1);
	assert_true(ulid_is_zero(&h.series[0].device_id));
	assert_int_equal(rx_of(&h.series[0]), 3210);
	svc_traffic_fini(&h);
	h = ask(&l, &l.auditor,
		&(struct svc_traffic_request){
			.step = 60, .has_user_id = true, .user_id = l.bob.user_id});
	assert_int_equal(h.n, 1);
	assert_int_equal(rx_of(&h.series[0]), 3000);
	svc_traffic_fini(&h);
	/* What is another's is not there. */
	const struct svc_traffic_request foreign[] = {
		{.has_device_id = true, .device_id = l.foreign.id},
		{.has_user_id = true, .user_id = l.bob.user_id},
		{.has_user_id = true,
			.user_id = l.ann.user_id,
			.has_device_id = true,
			.device_id = l.foreign.id},
		{.has_device_id = true, .device_id = id_of(4000)},
		{.has_user_id = true, .user_id = id_of(4000)},
	};
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		assert_int_equal(
			svc_traffic(l.t->s, &l.ann, &foreign[i], &h, &l.t->e), SVC_NOT_FOUND);
	for (size_t i = 2; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		assert_int_equal(
			svc_traffic(l.t->s, &l.auditor, &foreign[i], &h, &l.t->e), SVC_NOT_FOUND);
}

static void what_is_deleted_stays_in_the_sum(void **state)
{
	struct lab l = lab_of(*state);
	struct svc_traffic h;

	counted(&l, &l.phone, 10);
	minutes_pass(&l, 1);
	counted(&l, &l.phone, 30);
	assert_int_equal(svc_device_delete(l.t->s, &l.ann, &l.phone.id, 0, &l.t->e), 0);
	minutes_pass(&l, 1);
	h = ask(&l, &l.auditor, &(struct svc_traffic_request){.step = 60});
	assert_int_equal(rx_of(&h.series[0]), 30);
	svc_traffic_fini(&h);
	assert_int_equal(svc_traffic(l.t->s, &l.ann,
				 &(struct svc_traffic_request){
					 .has_device_id = true, .device_id = l.phone.id},
				 &h, &l.t->e),
		SVC_NOT_FOUND);
}

/* A setting holds within a second or so, for what is kept and for what is chosen. */
static void rows_are_kept_as_the_setting_says(void **state)
{
	struct lab l = lab_of(*state);
	struct svc_settings_change *c = calloc(1, sizeof(*c));
	struct svc_settings_state *out = calloc(1, sizeof(*out));
	struct traffic_retention keep = {0};
	struct svc_traffic h;

	assert_true(c && out);
	c->set_number[SVC_TRAFFIC_MINUTES] = true;
	c->number[SVC_TRAFFIC_MINUTES] = (struct svc_number){true, 7};
	assert_int_equal(svc_settings_patch(l.t->s, &l.t->admin, 0, c, out, &l.t->e), 0);
	for (int i = 0; i < 500 && keep.minutes != 7 * TRAFFIC_DAY; i++) {
		poll(NULL, 0, 10);
		traffic_kept(l.t->s->traffic, &keep);
	}
	assert_int_equal(keep.minutes, 7 * TRAFFIC_DAY);
	assert_int_equal(keep.hours, 62 * TRAFFIC_DAY);
	h = ask(&l, &l.auditor,
		&(struct svc_traffic_request){.from = MS(l.now - 5 * TRAFFIC_DAY),
			.to = MS(l.now - 5 * TRAFFIC_DAY + 3600)});
	assert_int_equal(h.step, 60);
	svc_traffic_fini(&h);
	free(c);
	free(out);
}

static void refuses_by_name(void **state)
{
	struct lab l = lab_of(*state);
	const struct {
		struct svc_traffic_request r;
		const char *field;
	} cases[] = {
		{{.step = 7}, "step"},
		{{.from = MS(l.now - 4000), .step = 1}, "step"},
		{{.from = MS(l.now - 60 * 2001), .step = 60}, "step"},
		{{.from = MS(86400)}, "from"},
		{{.from = MS(l.now + 100)}, "from"},
		{{.from = MS(l.now), .to = MS(l.now)}, "from"},
		{{.from = MS(l.now), .to = MS(l.now - 5)}, "from"},
		{{.to = INT64_MAX}, "to"},
		{{.to = MS(253402300801)}, "to"},
	};
	struct svc_traffic h;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
			svc_traffic(l.t->s, &l.auditor, &cases[i].r, &h, &l.t->e), SVC_INVALID);
		assert_string_equal(l.t->e.field, cases[i].field);
		assert_null(h.series);
	}
	/* As many as there may be. */
	h = ask(&l, &l.auditor,
		&(struct svc_traffic_request){.from = MS((l.now / 60 - 1999) * 60),
			.to = MS((l.now / 60 + 1) * 60),
			.step = 60});
	assert_int_equal(h.to - h.from, MS(60 * SVC_TRAFFIC_POINTS));
	svc_traffic_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_stored_and_what_is_pending_are_one),
		T(seconds_come_from_memory),
		T(the_step_suits_the_range),
		T(everybody_sees_his_own),
		T(what_is_deleted_stays_in_the_sum),
		T(rows_are_kept_as_the_setting_says),
		T(refuses_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
