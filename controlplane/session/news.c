/*
 * News for whoever plugged into the coordinator: what became of sessions and of the dataplane, what
 * the peers have counted, and the figures of the loop itself.
 *
 * A round of statistics may take several answers of the dataplane; its counters are told together
 * when it is complete, so that one second's figures belong together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "session/loop.h"

struct counters {
	struct device_counters *all;
	size_t n, cap;
	bool short_of_memory; /* said once */
};

static void tell(struct coordinator *c, struct coordinator_event *e)
{
	if (!c->hooks.on_event)
		return;
	e->at = clock_real_ms(&c->conf.clock);
	c->hooks.on_event(c->hooks.arg, e);
}

static void on_session(void *arg, const struct session_change *change)
{
	static const enum coordinator_news what[] = {
		[SESSION_STARTED] = NEWS_SESSION_STARTED,
		[SESSION_ENDED] = NEWS_SESSION_ENDED,
		[SESSION_ROAMED] = NEWS_SESSION_ROAMED,
	};
	struct coordinator_event e = {
		.what = what[change->what], .session = *change->info, .why = change->why};
	if (change->before)
		e.before = *change->before;
	tell(arg, &e);
}

int news_init(struct coordinator *c)
{
	c->counters = calloc(1, sizeof(*c->counters));
	session_table_watch(c->table, on_session, c);
	return c->counters ? 0 : -ENOMEM;
}

void news_fini(struct coordinator *c)
{
	if (c->counters)
		free(c->counters->all);
	free(c->counters);
}

void news_dataplane(struct coordinator *c, bool connected)
{
	if (c->told_connected == connected)
		return;
	c->told_connected = connected;
	tell(c, &(struct coordinator_event){
			.what = connected ? NEWS_DATAPLANE_CONNECTED : NEWS_DATAPLANE_LOST});
}

void news_round_begin(struct coordinator *c)
{
	c->counters->n = 0;
}

void news_counted(
	struct coordinator *c, const struct dir_device *dev, const struct uapi_peer_stats *st)
{
	struct counters *k = c->counters;
	if (!c->hooks.on_counters)
		return;
	if (k->n == k->cap) {
		const size_t cap = k->cap ? 2 * k->cap : 64;
		struct device_counters *grown = realloc(k->all, cap * sizeof(*grown));
		if (!grown) {
			/* Its counters go on; a later round catches up. */
			if (!k->short_of_memory)
				log_error("session", "no memory for the counters of all devices");
			k->short_of_memory = true;
			return;
		}
		k->all = grown;
		k->cap = cap;
	}
	k->all[k->n++] = (struct device_counters){.device_id = dev->conf.id,
		.user_id = dev->conf.user_id,
		.epoch = st->epoch,
		.rx_bytes = st->rx_bytes,
		.tx_bytes = st->tx_bytes};
}

void news_round_end(struct coordinator *c)
{
	if (c->hooks.on_counters)
		c->hooks.on_counters(c->hooks.arg, &c->boot_id, c->counters->all, c->counters->n);
}

void news_figures(struct coordinator *c)
{
	struct coordinator_figures f = {.door = (uint32_t)dp_client_pending(c->dp),
		.unconfirmed = (uint32_t)c->unconfirmed};
	for (size_t i = 0; i < WG_VERDICT_COUNT; i++)
		f.handshakes[f.n_handshakes++] = (struct handshake_count){
			UAPI_WIREGUARD, wg_verdict_name((enum wg_verdict)i), c->handshakes[i]};
	channels_figures(c, &f);
	pthread_mutex_lock(&c->status_lock);
	c->figures = f;
	pthread_mutex_unlock(&c->status_lock);
}
