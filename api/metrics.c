/*
 * A metric is a row of the table: its name, type and help, and the function that writes its
 * samples. Labels are our own constants, names of verdicts and routes, and ids: nothing that a user
 * has typed, so nothing is to be escaped.
 */
#include "api/metrics.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/handlers/handlers.h"
#include "api/streams.h"
#include "api/text.h"
#include "base/settings.h"
#include "base/usage.h"
#include "uapi/uapi.h"

enum { CLASSES = 6 }; /* status / 100 */

/* Milliseconds, and the same in seconds as it is written. */
static const struct {
	uint64_t ms;
	const char *le;
} buckets[] = {
	{5, "0.005"},
	{25, "0.025"},
	{100, "0.1"},
	{250, "0.25"},
	{500, "0.5"},
	{1000, "1"},
	{2500, "2.5"},
	{5000, "5"},
	{15000, "15"},
};
enum { BUCKETS = ARRAY_SIZE(buckets) };

static const char *const lane_names[LANE_COUNT] = {
	[LANE_NOW] = "now",
	[LANE_READ] = "read",
	[LANE_WRITE] = "write",
	[LANE_LOGIN] = "login",
};

struct histogram {
	_Atomic uint64_t counts[BUCKETS + 1]; /* the last: longer than all */
	_Atomic uint64_t sum_ms;
};

struct metrics {
	struct metrics_sources from;
	struct histogram took[LANE_COUNT];
	_Atomic uint64_t unrouted[CLASSES];
	_Atomic uint64_t routed[][CLASSES]; /* by route */
};

/* What one look is made of. */
struct look {
	struct metrics *m;
	struct svc_figures f;
	struct streams_figures streams;
	struct usage usage;
	size_t conns, serving;
	int64_t now;
};

int metrics_new(struct metrics **out, const struct metrics_sources *from)
{
	struct metrics *m = calloc(1, sizeof(*m) + n_routes * sizeof(m->routed[0]));

	if (!m)
		return -ENOMEM;
	m->from = *from;
	*out = m;
	return 0;
}

void metrics_free(struct metrics *m)
{
	free(m);
}

void metrics_request(
	struct metrics *m, const struct route *route, unsigned status, uint64_t took_ms)
{
	const unsigned class = status / 100 < CLASSES ? status / 100 : 0;
	struct histogram *h = &m->took[route ? route->lane : LANE_NOW];
	size_t i = 0;

	atomic_fetch_add(route ? &m->routed[route - routes][class] : &m->unrouted[class], 1);
	while (i < BUCKETS && took_ms > buckets[i].ms)
		i++;
	atomic_fetch_add(&h->counts[i], 1);
	atomic_fetch_add(&h->sum_ms, took_ms);
}

/* ---- samples ---- */

static void plain(struct text *t, const char *name, uint64_t value)
{
	text_add(t, "%s %llu\n", name, (unsigned long long)value);
}

static void labelled(
	struct text *t, const char *name, const char *label, const char *is, uint64_t value)
{
	text_add(t, "%s{%s=\"%s\"} %llu\n", name, label, is, (unsigned long long)value);
}

static void build_info(struct text *t, const char *name, const struct look *l)
{
	(void)l;
	labelled(t, name, "version", ireko_version(), 1);
}

static void start_time(struct text *t, const char *name, const struct look *l)
{
	text_add(t, "%s %.3f\n", name, (double)l->f.started_at / 1000);
}

static void uptime(struct text *t, const char *name, const struct look *l)
{
	const int64_t ms = l->now - l->f.started_at;

	text_add(t, "%s %.3f\n", name, ms > 0 ? (double)ms / 1000 : 0.0);
}

static void sessions(struct text *t, const char *name, const struct look *l)
{
	static const char *const protocols[] = {"wireguard", "openvpn"}, *const transports[] = {
										 "udp", "tcp"};

	for (size_t p = 0; p < 2; p++)
		for (size_t i = 0; i < 2; i++)
			if (p == 1 || i == 0) /* WireGuard knows no TCP */
				text_add(t, "%s{protocol=\"%s\",transport=\"%s\"} %u\n", name,
					protocols[p], transports[i], l->f.sessions[p][i]);
}

static void handshakes(struct text *t, const char *name, const struct look *l)
{
	for (size_t i = 0; i < l->f.loop.n_handshakes; i++) {
		const struct handshake_count *h = &l->f.loop.handshakes[i];

		text_add(t, "%s{protocol=\"%s\",result=\"%s\"} %llu\n", name,
			h->protocol == UAPI_OPENVPN ? "openvpn" : "wireguard", h->result,
			(unsigned long long)h->count);
	}
}

static void control_packets(struct text *t, const char *name, const struct look *l)
{
	for (size_t i = 0; i < l->f.loop.n_control; i++)
		labelled(t, name, "verdict", l->f.loop.control[i].result,
			l->f.loop.control[i].count);
}

static void half_open(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->f.loop.half_open);
}

static void bytes(struct text *t, const char *name, const struct look *l)
{
	labelled(t, name, "direction", "rx", l->f.dataplane.rx_bytes);
	labelled(t, name, "direction", "tx", l->f.dataplane.tx_bytes);
}

static void packets(struct text *t, const char *name, const struct look *l)
{
	labelled(t, name, "direction", "rx", l->f.dataplane.rx_packets);
	labelled(t, name, "direction", "tx", l->f.dataplane.tx_packets);
}

static void drops(struct text *t, const char *name, const struct look *l)
{
	for (size_t i = 0; i < l->f.dataplane.n_verdicts; i++) {
		const struct verdict_count *v = &l->f.dataplane.verdicts[i];

		if (verdict_is_drop(v->name))
			labelled(t, name, "reason", v->name, v->count);
	}
}

static void queues(struct text *t, const char *name, const struct look *l)
{
	struct lanes *lanes = l->m->from.lanes;

	for (enum lane i = LANE_READ; i < LANE_COUNT; i++)
		text_add(t, "%s{queue=\"http_%s\"} %u\n", name, lane_names[i],
			lanes_depth(lanes, i));
	labelled(t, name, "queue", "mailbox", l->f.loop.mailbox);
	labelled(t, name, "queue", "door", l->f.loop.door);
	labelled(t, name, "queue", "revocations", l->f.loop.unconfirmed);
}

static void requests_of(struct text *t, const char *name, const char *route, const char *method,
	_Atomic uint64_t *counts)
{
	for (unsigned c = 1; c < CLASSES; c++) {
		const uint64_t n = atomic_load(&counts[c]);

		if (n > 0)
			text_add(t, "%s{route=\"%s\",method=\"%s\",status=\"%uxx\"} %llu\n", name,
				route, method, c, (unsigned long long)n);
	}
}

static void requests(struct text *t, const char *name, const struct look *l)
{
	for (size_t i = 0; i < n_routes; i++)
		requests_of(t, name, routes[i].pattern, http_method_name(routes[i].method),
			l->m->routed[i]);
	requests_of(t, name, "none", "any", l->m->unrouted);
}

static void durations(struct text *t, const char *name, const struct look *l)
{
	for (size_t lane = 0; lane < LANE_COUNT; lane++) {
		struct histogram *h = &l->m->took[lane];
		uint64_t n = 0;

		for (size_t i = 0; i < BUCKETS; i++) {
			n += atomic_load(&h->counts[i]);
			text_add(t, "%s_bucket{class=\"%s\",le=\"%s\"} %llu\n", name,
				lane_names[lane], buckets[i].le, (unsigned long long)n);
		}
		n += atomic_load(&h->counts[BUCKETS]);
		text_add(t, "%s_bucket{class=\"%s\",le=\"+Inf\"} %llu\n", name, lane_names[lane],
			(unsigned long long)n);
		text_add(t, "%s_sum{class=\"%s\"} %.3f\n", name, lane_names[lane],
			(double)atomic_load(&h->sum_ms) / 1000);
		text_add(t, "%s_count{class=\"%s\"} %llu\n", name, lane_names[lane],
			(unsigned long long)n);
	}
}

static void connections(struct text *t, const char *name, const struct look *l)
{
	labelled(t, name, "state", "serving", l->serving);
	labelled(t, name, "state", "streaming", l->streams.open);
	labelled(t, name, "state", "other",
		l->conns > l->serving + l->streams.open ? l->conns - l->serving - l->streams.open
							: 0);
}

static void streams_opened(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->streams.opened);
}

static void streams_cut(struct text *t, const char *name, const struct look *l)
{
	labelled(t, name, "reason", "slow", l->streams.slow);
	labelled(t, name, "reason", "credentials", l->streams.ended);
}

static void ready(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->f.ready);
}

static void writable(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->f.db_writable);
}

static void resident_bytes(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->usage.resident_bytes);
}

static void cpu_seconds(struct text *t, const char *name, const struct look *l)
{
	text_add(t, "%s %.3f\n", name, (double)l->usage.cpu_ms / 1000);
}

static void schema_version(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->f.schema_version);
}

static void database_bytes(struct text *t, const char *name, const struct look *l)
{
	labelled(t, name, "file", "database", l->f.db_bytes);
	labelled(t, name, "file", "wal", l->f.wal_bytes);
}

static void database_writes(struct text *t, const char *name, const struct look *l)
{
	labelled(t, name, "result", "ok", l->f.db_writes);
	labelled(t, name, "result", "failed", l->f.db_failures);
}

static void dataplane_connected(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->f.dataplane.connected);
}

static void dataplane_uptime(struct text *t, const char *name, const struct look *l)
{
	text_add(t, "%s %.3f\n", name, (double)l->f.dataplane.uptime_ms / 1000);
}

static void dataplane_sync(struct text *t, const char *name, const struct look *l)
{
	text_add(t, "%s %.3f\n", name, (double)l->f.dataplane.last_sync_ms / 1000);
}

static void dataplane_workers(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->f.dataplane.workers);
}

static void dataplane_peers(struct text *t, const char *name, const struct look *l)
{
	plain(t, name, l->f.dataplane.peers);
}

static void dataplane_resident(struct text *t, const char *name, const struct look *l)
{
	if (l->f.dataplane.usage_known && l->f.dataplane.usage.resident_bytes)
		plain(t, name, l->f.dataplane.usage.resident_bytes);
}

static void dataplane_cpu(struct text *t, const char *name, const struct look *l)
{
	if (l->f.dataplane.usage_known)
		text_add(t, "%s %.3f\n", name, (double)l->f.dataplane.usage.cpu_ms / 1000);
}

static void device_bytes(struct text *t, const char *name, const struct look *l)
{
	char id[REPLY_ID_TEXT];

	for (size_t i = 0; i < l->f.n_devices; i++) {
		const struct device_total *d = &l->f.devices[i];

		id_format("dev_", &d->device_id, id);
		text_add(t, "%s{device=\"%s\",direction=\"rx\"} %llu\n", name, id,
			(unsigned long long)d->rx_bytes);
		text_add(t, "%s{device=\"%s\",direction=\"tx\"} %llu\n", name, id,
			(unsigned long long)d->tx_bytes);
	}
}

static void device_connected(struct text *t, const char *name, const struct look *l)
{
	char id[REPLY_ID_TEXT];

	for (size_t i = 0; i < l->f.n_devices; i++)
		labelled(t, name, "device", id_format("dev_", &l->f.devices[i].device_id, id),
			l->f.devices[i].connected);
}

static const struct metric {
	const char *name, *type, *help;
	void (*samples)(struct text *t, const char *name, const struct look *l);
	bool of_devices; /* only when they are asked for */
} table[] = {
	{"ireko_build_info", "gauge", "Version of the control plane.", build_info, false},
	{"ireko_start_time_seconds", "gauge", "Unix time of the control plane's start.", start_time,
		false},
	{"ireko_uptime_seconds", "gauge", "Time since the control plane's start.", uptime, false},
	{"ireko_process_resident_bytes", "gauge", "Memory of the control plane.", resident_bytes,
		false},
	{"ireko_process_cpu_seconds_total", "counter", "Processor time of the control plane.",
		cpu_seconds, false},
	{"ireko_ready", "gauge", "Database and dataplane answer (as /readyz).", ready, false},
	{"ireko_sessions", "gauge", "Live tunnels.", sessions, false},
	{"ireko_handshakes_total", "counter", "Handshakes by how they ended.", handshakes, false},
	{"ireko_openvpn_control_packets_total", "counter",
		"OpenVPN control packets by how they ended.", control_packets, false},
	{"ireko_openvpn_half_open", "gauge", "OpenVPN handshakes under way.", half_open, false},
	{"ireko_bytes_total", "counter",
		"Inner bytes since the dataplane's start; rx came from devices.", bytes, false},
	{"ireko_packets_total", "counter",
		"Inner packets since the dataplane's start; rx came from devices.", packets, false},
	{"ireko_drops_total", "counter", "Packets dropped since the dataplane's start.", drops,
		false},
	{"ireko_queue_depth", "gauge", "What waits, by queue.", queues, false},
	{"ireko_http_requests_total", "counter", "Requests answered.", requests, false},
	{"ireko_http_request_duration_seconds", "histogram",
		"From the request line to the end of the answer.", durations, false},
	{"ireko_http_connections", "gauge", "Connections to the API.", connections, false},
	{"ireko_event_streams_opened_total", "counter", "Event streams that were begun.",
		streams_opened, false},
	{"ireko_event_streams_cut_total", "counter", "Event streams that we ended, by reason.",
		streams_cut, false},
	{"ireko_database_schema_version", "gauge", "Version of the database's schema.",
		schema_version, false},
	{"ireko_database_writable", "gauge",
		"The database's files are there, and the last write worked.", writable, false},
	{"ireko_database_bytes", "gauge", "Size of the database's files.", database_bytes, false},
	{"ireko_database_writes_total", "counter", "Write transactions by outcome.",
		database_writes, false},
	{"ireko_dataplane_connected", "gauge", "The dataplane is connected and synchronised.",
		dataplane_connected, false},
	{"ireko_dataplane_uptime_seconds", "gauge", "Time since the dataplane's start.",
		dataplane_uptime, false},
	{"ireko_dataplane_last_sync_seconds", "gauge",
		"How long the last full synchronisation took.", dataplane_sync, false},
	{"ireko_dataplane_workers", "gauge", "Forwarding threads.", dataplane_workers, false},
	{"ireko_dataplane_peers", "gauge", "Devices that the dataplane knows.", dataplane_peers,
		false},
	{"ireko_dataplane_process_resident_bytes", "gauge", "Memory of the dataplane.",
		dataplane_resident, false},
	{"ireko_dataplane_process_cpu_seconds_total", "counter",
		"Processor time of the dataplane, all threads.", dataplane_cpu, false},
	{"ireko_device_bytes_total", "counter",
		"Inner bytes of a device since it was created; rx came from it.", device_bytes,
		true},
	{"ireko_device_connected", "gauge", "The device has a live tunnel.", device_connected,
		true},
};

static void usage_of_us(struct usage *out)
{
	const int fd = usage_open();

	usage_now(fd, out);
	if (fd >= 0)
		close(fd);
}

static void look_end(struct look *l)
{
	svc_figures_fini(&l->f);
}

char *metrics_text(struct metrics *m, size_t *len)
{
	struct look l cleanup(look_end) = {.m = m, .now = clock_real_ms(&m->from.clock)};
	struct text t cleanup(text_free) = {.at = NULL};

	if (svc_figures(m->from.service, m->from.devices, &l.f))
		return NULL;
	streams_figures(m->from.streams, &l.streams);
	usage_of_us(&l.usage);
	l.conns = conn_count(m->from.conns, &l.serving);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct metric *row = &table[i];

		if (row->of_devices && !m->from.devices)
			continue;
		text_add(&t, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
			row->type);
		row->samples(&t, row->name, &l);
	}
	return text_take(&t, len);
}
