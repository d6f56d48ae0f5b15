/* What has moved when: the use-case over traffic.h, which has the last minute and the seconds, and
 * the database, which has the rest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "service/inside.h"

#define FAR_S INT64_C(253402300800) /* year 10000 */

/* ---- range and step ---- */

/* The smallest step that still has rows of the range's begin, and not too many. */
static uint32_t step_for(
	const struct traffic_retention *keep, int64_t from, int64_t to, int64_t now)
{
	const int64_t range = to - from;

	if (range <= TRAFFIC_SECONDS && from >= now - TRAFFIC_SECONDS)
		return 1;
	if (range <= (int64_t)TRAFFIC_MINUTE * 1440 && from >= now - keep->minutes)
		return TRAFFIC_MINUTE;
	if (range < (int64_t)TRAFFIC_HOUR * SVC_TRAFFIC_POINTS && from >= now - keep->hours)
		return TRAFFIC_HOUR;
	return TRAFFIC_DAY;
}

/* What is shown of a step when no begin is asked for; 0: no such step. */
static int64_t range_of(uint32_t step)
{
	static const struct {
		uint32_t step;
		int64_t range;
	} ranges[] = {
		{0, TRAFFIC_HOUR},
		{1, TRAFFIC_SECONDS},
		{TRAFFIC_MINUTE, TRAFFIC_HOUR},
		{TRAFFIC_HOUR, TRAFFIC_DAY},
		{TRAFFIC_DAY, 31 * TRAFFIC_DAY},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (ranges[i].step == step)
			return ranges[i].range;
	}
	return 0;
}

static int take_range(struct service *s, const struct svc_traffic_request *r,
	struct svc_traffic *out, struct svc_error *e)
{
	const int64_t now = service_now(s) / 1000;
	int64_t to = r->to ? (r->to + 999) / 1000 : now + 1;
	int64_t from = r->from ? r->from / 1000 : to - range_of(r->step);
	struct traffic_retention keep;

	if (range_of(r->step) == 0)
		return refuse(e, SVC_INVALID, "step", "is not 1, 60, 3600 or 86400");
	if (from < 0)
		from = 0;
	if (to > FAR_S)
		return refuse(e, SVC_INVALID, "to", "is not before the year 10000");
	if (from >= to)
		return refuse(e, SVC_INVALID, r->from ? "from" : "to",
			r->from ? "is not before to" : "is before anything was counted");
	traffic_kept(s->traffic, &keep);
	out->step = r->step ? r->step : step_for(&keep, from, to, now);
	from -= from % out->step;
	to += (out->step - to % out->step) % out->step;
	if ((to - from) / out->step > SVC_TRAFFIC_POINTS)
		return refuse(e, SVC_INVALID, r->step ? "step" : "from",
			"would give more than %d points; take a greater step or a shorter range",
			SVC_TRAFFIC_POINTS);
	out->from = from * 1000;
	out->to = to * 1000;
	return 0;
}

/* ---- whose ---- */

static int one_device(struct db_conn *tx, const struct svc_actor *a,
	const struct svc_traffic_request *r, struct svc_traffic *out, struct svc_error *e)
{
	struct device_row d;
	int err = device_get(tx, &r->device_id, &d);

	if (err == -ENOENT)
		return refuse_not_found(e);
	if (!err)
		err = access_see(a, &d.user_id, e);
	if (!err && r->has_user_id && !ulid_equal(&r->user_id, &d.user_id))
		err = refuse_not_found(e);
	if (!err)
		out->series[out->n++].device_id = d.id;
	return err;
}

static int devices_of(struct db_conn *tx, const struct svc_actor *a, const struct ulid *user,
	struct svc_traffic *out, struct svc_error *e)
{
	const struct ulid start = {{0}};
	struct device_row *rows;
	struct user_row u;
	int n, err = access_see(a, user, e);

	if (!err)
		err = user_get(tx, user, &u);
	if (err)
		return err == -ENOENT ? refuse_not_found(e) : err;
	rows = calloc(SVC_TRAFFIC_SERIES + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	n = device_list(tx, user, &start, rows, SVC_TRAFFIC_SERIES + 1);
	for (int i = 0; i < n && i < SVC_TRAFFIC_SERIES; i++)
		out->series[out->n++].device_id = rows[i].id;
	free(rows);
	if (n > SVC_TRAFFIC_SERIES)
		return refuse(e, SVC_INVALID, "user_id",
			"has more than %d devices; ask for one with device_id", SVC_TRAFFIC_SERIES);
	return n < 0 ? n : 0;
}

static int take_series(struct service *s, const struct svc_actor *a,
	const struct svc_traffic_request *r, struct svc_traffic *out, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err;

	out->series = calloc(SVC_TRAFFIC_SERIES, sizeof(*out->series));
	err = out->series ? db_read(s->db, &tx) : -ENOMEM;
	if (err)
		return err;
	if (r->has_device_id)
		return one_device(tx, a, r, out, e);
	if (r->has_user_id || !access_reads_all(a))
		return devices_of(tx, a, r->has_user_id ? &r->user_id : &a->user_id, out, e);
	out->n = 1; /* of all: no device */
	return 0;
}

/* ---- points ---- */

static int keep_points(struct svc_traffic_series *series, const struct traffic_sum *sums, size_t n)
{
	if (n == 0)
		return 0;
	series->points = calloc(n, sizeof(*series->points));
	if (!series->points)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		series->points[series->n++] = (struct svc_traffic_point){
			sums[i].at * 1000, sums[i].rx_bytes, sums[i].tx_bytes};
	return 0;
}

/* Into the step that holds its minute, which may not have a row yet. */
static size_t add_pending(struct traffic_sum *sums, size_t n, const struct traffic_sum *pending,
	const struct svc_traffic *out)
{
	const int64_t at = pending->at - pending->at % out->step;
	size_t i = n;

	if (!pending->rx_bytes && !pending->tx_bytes)
		return n;
	if (at * 1000 < out->from || at * 1000 >= out->to)
		return n;
	while (i > 0 && sums[i - 1].at > at)
		i--;
	if (i == 0 || sums[i - 1].at != at) {
		memmove(&sums[i + 1], &sums[i], (n - i) * sizeof(*sums));
		sums[i] = *pending;
		sums[i].at = at;
		return n + 1;
	}
	sums[i - 1].rx_bytes += pending->rx_bytes;
	sums[i - 1].tx_bytes += pending->tx_bytes;
	return n;
}

static int read_series(struct db_conn *tx, const struct traffic_pending *pending,
	const struct svc_traffic *out, struct svc_traffic_series *series, struct traffic_sum *sums)
{
	int64_t number = TRAFFIC_ALL;
	int n = 0, err = 0;

	if (!ulid_is_zero(&series->device_id))
		err = traffic_number(tx, &series->device_id, &number);
	if (!err)
		n = traffic_sums(tx, out->step, number, out->from / 1000, out->to / 1000, sums,
			SVC_TRAFFIC_POINTS);
	if (err && err != -ENOENT)
		return err;
	if (n < 0)
		return n;
	return keep_points(series, sums, add_pending(sums, (size_t)n, &pending->sum, out));
}

static int read_stored(struct service *s, struct svc_traffic *out, struct traffic_sum *sums)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct traffic_pending *pending = calloc(out->n + 1, sizeof(*pending));
	int err = pending ? 0 : -ENOMEM;

	for (size_t i = 0; i < out->n && !err; i++)
		pending[i].device_id = out->series[i].device_id;
	if (!err)
		err = traffic_read(s->traffic, pending, out->n, &tx);
	for (size_t i = 0; i < out->n && !err; i++)
		err = read_series(tx, &pending[i], out, &out->series[i], sums);
	free(pending);
	return err;
}

static int read_seconds(struct service *s, struct svc_traffic *out, struct traffic_sum *sums)
{
	int err = 0;

	for (size_t i = 0; i < out->n && !err; i++)
		err = keep_points(&out->series[i], sums,
			traffic_seconds(s->traffic, &out->series[i].device_id, out->from / 1000,
				out->to / 1000, sums, SVC_TRAFFIC_POINTS));
	return err;
}

int svc_traffic(struct service *s, const struct svc_actor *a, const struct svc_traffic_request *r,
	struct svc_traffic *out, struct svc_error *e)
{
	struct traffic_sum *sums = NULL;
	int err;

	memset(out, 0, sizeof(*out));
	err = take_range(s, r, out, e);
	if (!err)
		err = take_series(s, a, r, out, e);
	if (!err) {
		sums = calloc(SVC_TRAFFIC_POINTS + 1, sizeof(*sums));
		err = sums ? 0 : -ENOMEM;
	}
	if (!err)
		err = out->step == 1 ? read_seconds(s, out, sums) : read_stored(s, out, sums);
	free(sums);
	if (err)
		svc_traffic_fini(out);
	return answer(err, e);
}

void svc_traffic_fini(struct svc_traffic *t)
{
	for (size_t i = 0; t->series && i < t->n; i++)
		free(t->series[i].points);
	free(t->series);
	memset(t, 0, sizeof(*t));
}
