/* Traffic history. Written as text: as a tree, 100 series of 2,000 points would take 40 MB. */
#include "api/handlers/handlers.h"
#include "api/text.h"
#include "base/clock.h"

static const char *when(int64_t unix_ms, char buf[CLOCK_TEXT])
{
	return clock_format_ms(unix_ms, buf);
}

static void add_points(struct text *t, const struct svc_traffic_series *s)
{
	char at[CLOCK_TEXT];

	for (size_t i = 0; i < s->n; i++)
		text_add(t, "%s[\"%s\",%llu,%llu]", i ? "," : "", when(s->points[i].at, at),
			(unsigned long long)s->points[i].rx_bytes,
			(unsigned long long)s->points[i].tx_bytes);
}

static void add_series(struct text *t, const struct svc_traffic_series *s)
{
	char id[REPLY_ID_TEXT];

	if (ulid_is_zero(&s->device_id))
		text_add(t, "{\"device_id\":null,\"points\":[");
	else
		text_add(t, "{\"device_id\":\"%s\",\"points\":[",
			id_format("dev_", &s->device_id, id));
	add_points(t, s);
	text_add(t, "]}");
}

static char *traffic_text(const struct svc_traffic *h, size_t *len)
{
	struct text t cleanup(text_free) = {.at = NULL};
	char from[CLOCK_TEXT], to[CLOCK_TEXT];

	text_add(&t, "{\"from\":\"%s\",\"to\":\"%s\",\"step\":%u,\"series\":[", when(h->from, from),
		when(h->to, to), h->step);
	for (size_t i = 0; i < h->n; i++) {
		text_add(&t, "%s", i ? "," : "");
		add_series(&t, &h->series[i]);
	}
	text_add(&t, "]}");
	return text_take(&t, len);
}

void handle_traffic(struct request *rq)
{
	const struct query *q = &rq->query;
	const struct svc_traffic_request r = {
		.has_device_id = q->has_device_id,
		.has_user_id = q->has_user_id,
		.device_id = q->device_id,
		.user_id = q->user_id,
		.from = q->from,
		.to = q->to,
		.step = q->step,
	};
	struct svc_error e = {.field = ""};
	struct svc_traffic history;
	const int rc = svc_traffic(rq->service, &rq->actor, &r, &history, &e);
	size_t len = 0;
	char *text;

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	text = traffic_text(&history, &len);
	svc_traffic_fini(&history);
	reply_bytes(&rq->reply, 200, "application/json", text, len);
}
