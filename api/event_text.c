#include "api/event_text.h"

#include <stdlib.h>
#include <string.h>

#include "api/handlers/handlers.h"
#include "api/memory.h"
#include "api/streams.h"
#include "api/text.h"
#include "base/settings.h"

/* Takes data; JSON_COMPACT has no line ends. */
static char *frame(uint64_t id, const char *name, json_t *data, size_t *len)
{
	struct text t cleanup(text_free) = {.at = NULL};
	char *json = data ? json_dumps(data, JSON_COMPACT) : NULL;

	json_decref(data);
	if (!json)
		return NULL;
	text_add(&t, "id: %llu\nevent: %s\ndata: ", (unsigned long long)id, name);
	text_put(&t, json, strlen(json));
	text_put(&t, "\n\n", 2);
	memory_free(json);
	return text_take(&t, len);
}

/* ---- one function a kind ---- */

static json_t *session_data(const struct event *e)
{
	json_t *doc = json_pack("{s:o, s:o}", "at", json_time(e->at), "session",
		json_out(&object_session, &e->news.session));

	if (doc && e->type == EVENT_SESSION_ENDED)
		json_object_set_new(doc, "reason", json_string(session_end_name(e->news.why)));
	if (doc && e->type == EVENT_SESSION_ROAMED)
		json_object_set_new(doc, "previous_endpoint", json_endpoint(&e->news.before));
	return doc;
}

static json_t *device_data(const struct event *e)
{
	return json_pack("{s:o, s:o, s:o, s:s}", "at", json_time(e->at), "device_id",
		json_id("dev_", &e->device_id), "user_id", json_id("usr_", &e->user_id), "change",
		device_change_name(e->how));
}

static json_t *dataplane_data(const struct event *e)
{
	return json_pack("{s:o}", "at", json_time(e->at));
}

static json_t *moved_json(const struct moved_view *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n_top; i++) {
		const struct moved *m = &v->top[i];

		if (json_array_append_new(
			    list, json_pack("[o, o, o]", json_id("dev_", &m->device_id),
					  json_counter(m->rx_bytes), json_counter(m->tx_bytes)))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *bps(uint64_t bytes, uint32_t interval_ms)
{
	return json_counter(interval_ms ? (uint64_t)((double)bytes * 8000 / interval_ms) : 0);
}

static json_t *traffic_data(const struct event *e, const struct ulid *user)
{
	struct moved_view *v = malloc(sizeof(*v)); /* large for a stack */
	json_t *doc = NULL;

	if (!v)
		return NULL;
	moved_view(e->moved, e->n_moved, user, v);
	doc = json_pack("{s:o, s:i, s:o, s:o, s:{s:o, s:o, s:o}, s:o}", "at", json_time(e->at),
		"interval_ms", (int)e->interval_ms, "rx_bps", bps(v->rx_bytes, e->interval_ms),
		"tx_bps", bps(v->tx_bytes, e->interval_ms), "totals", "rx_bytes",
		json_counter(v->rx_bytes), "tx_bytes", json_counter(v->tx_bytes), "devices",
		json_counter(v->n_devices), "devices", moved_json(v));
	free(v);
	return doc;
}

static json_t *all_traffic_data(const struct event *e)
{
	return traffic_data(e, NULL);
}

char *event_encode(const struct event *e, size_t *len)
{
	static json_t *(*const data[])(const struct event *e) = {
		[EVENT_SESSION_STARTED] = session_data,
		[EVENT_SESSION_ENDED] = session_data,
		[EVENT_SESSION_ROAMED] = session_data,
		[EVENT_DEVICE_CHANGED] = device_data,
		[EVENT_TRAFFIC] = all_traffic_data,
		[EVENT_DATAPLANE_CONNECTED] = dataplane_data,
		[EVENT_DATAPLANE_LOST] = dataplane_data,
	};

	return frame(e->id, event_type_name(e->type), data[e->type](e), len);
}

char *event_encode_own(const struct event *e, const struct ulid *user, size_t *len)
{
	return frame(e->id, event_type_name(e->type), traffic_data(e, user), len);
}

char *event_encode_hello(uint64_t id, int64_t now, size_t *len)
{
	struct text t cleanup(text_free) = {.at = NULL};
	size_t n;
	char *hello = frame(id, "hello",
		json_pack("{s:o, s:I, s:s}", "at", json_time(now), "id", (json_int_t)id, "version",
			ireko_version()),
		&n);

	if (!hello)
		return NULL;
	text_add(&t, "retry: %d\n", STREAM_RETRY_MS);
	text_put(&t, hello, n);
	memory_free(hello);
	return text_take(&t, len);
}

char *event_encode_gap(uint64_t id, uint64_t after, size_t *len)
{
	return frame(id, "gap",
		json_pack("{s:I, s:I}", "after",
			(json_int_t)(after > INT64_MAX ? INT64_MAX : after), "id", (json_int_t)id),
		len);
}
