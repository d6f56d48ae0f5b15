/* The loop thread's life, its two clocks, and what other threads may read. */
#include "session/coordinator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "session/loop.h"

enum { QUICK_MS = 50, SECOND_MS = 1000, HAND_OVER = 256 };

static void hand_over(struct coordinator *c)
{
	struct device_state states[HAND_OVER];
	size_t n;
	while ((n = session_table_dirty(c->table, states, HAND_OVER, loop_now(c))))
		c->hooks.on_device_state(c->hooks.arg, states, n);
	if (c->n_greatest)
		c->hooks.on_credential_state(c->hooks.arg, c->greatest, c->n_greatest);
	c->n_greatest = 0;
}

static void on_second(uv_timer_t *t)
{
	struct coordinator *c = t->data;
	if (c->link == LINK_REFUSED && dp_client_up(c->dp))
		link_sync(c);
	link_poll(c);
	hand_over(c);
	news_figures(c);
}

static void on_quick(uv_timer_t *t)
{
	struct coordinator *c = t->data;
	expiry_tick(c);
	handshake_tick(c);
	channels_tick(c);
	if (dp_client_absent(c->dp))
		link_absent(c);
}

static void on_closed(uv_handle_t *h)
{
	(void)h;
}

static void on_wake(uv_async_t *a)
{
	struct coordinator *c = a->data;
	jobs_run(c);
	if (!atomic_load(&c->stopping))
		return;
	/* What was under way is answered by the closing, and then nobody waits any more. */
	dp_client_close(c->dp);
	jobs_fail_all(c);
	session_table_mark_all(c->table);
	hand_over(c);
	uv_close((uv_handle_t *)&c->second, on_closed);
	uv_close((uv_handle_t *)&c->quick, on_closed);
	uv_close((uv_handle_t *)&c->wake, on_closed);
}

static void *run(void *arg)
{
	struct coordinator *c = arg;
	uv_run(&c->loop, UV_RUN_DEFAULT);
	return NULL;
}

static int engine_start(struct coordinator *c)
{
	const struct wg_ops ops = {
		.index_alloc = handshake_index_alloc, .index_free = handshake_index_free, .arg = c};
	int r = directory_new(&c->dir);
	if (r == 0)
		r = session_table_new(&c->table);
	if (r == 0)
		r = wg_engine_new(&c->wg, c->conf.ks, &ops);
	if (r == 0)
		r = channels_init(c);
	if (r == 0)
		r = news_init(c);
	return r;
}

static int loop_start(struct coordinator *c)
{
	const struct dp_hooks hooks = {.on_up = link_on_up,
		.on_down = link_on_down,
		.on_event = link_on_event,
		.on_punt = handshake_on_punt,
		.arg = c};
	int r = uv_loop_init(&c->loop);
	if (r == 0)
		r = uv_async_init(&c->loop, &c->wake, on_wake);
	if (r == 0)
		r = uv_timer_init(&c->loop, &c->second);
	if (r == 0)
		r = uv_timer_init(&c->loop, &c->quick);
	c->wake.data = c->second.data = c->quick.data = c;
	if (r == 0)
		r = dp_client_new(&c->dp, &c->loop, c->run_dir, &hooks);
	return r;
}

int coordinator_new(struct coordinator **out, const struct coordinator_conf *conf,
	const struct coordinator_hooks *hooks)
{
	struct coordinator *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->conf = *conf;
	c->hooks = *hooks;
	c->next_expiry = INT64_MAX;
	STAILQ_INIT(&c->mailbox);
	STAILQ_INIT(&c->parked);
	pthread_mutex_init(&c->mailbox_lock, NULL);
	pthread_mutex_init(&c->status_lock, NULL);
	c->run_dir = strdup(conf->run_dir);
	int r = c->run_dir ? engine_start(c) : -ENOMEM;
	if (r == 0)
		r = loop_start(c);
	if (r < 0) {
		/* The program ends; a half-made loop has nothing that could be freed in order. */
		log_error("session", "not started: %s", strerror(-r));
		return r;
	}
	*out = c;
	return 0;
}

int coordinator_load_state(struct coordinator *c, const struct device_state *state)
{
	return session_table_load(c->table, state);
}

int coordinator_load_device(
	struct coordinator *c, const struct dir_device_conf *d, const struct device_state *state)
{
	int r = directory_device_put(c->dir, d);
	if (r == 0 && state)
		r = session_table_load(c->table, state);
	if (r == 0 && !session_table_get(c->table, &d->id))
		r = -ENOMEM;
	expiry_note(c, d->expires_at);
	return r;
}

int coordinator_load_credential(
	struct coordinator *c, const struct dir_credential_conf *cr, const uint8_t *wg_greatest)
{
	int r = directory_credential_put(c->dir, cr);
	if (r == 0 && cr->protocol == DIR_WIREGUARD)
		r = wg_engine_peer_set(c->wg, &cr->id, cr->wg_public, cr->wg_psk, wg_greatest);
	expiry_note(c, cr->expires_at);
	return r;
}

int coordinator_start(struct coordinator *c)
{
	uv_timer_start(&c->second, on_second, SECOND_MS, SECOND_MS);
	uv_timer_start(&c->quick, on_quick, QUICK_MS, QUICK_MS);
	dp_client_start(c->dp);
	news_figures(c); /* so that there are some from the start */
	int r = pthread_create(&c->thread, NULL, run, c);
	if (r)
		return -r;
	c->started = true;
	return 0;
}

void coordinator_stop(struct coordinator *c)
{
	if (!c->started) {
		jobs_fail_all(c); /* posted before the loop began */
		return;
	}
	atomic_store(&c->stopping, true);
	uv_async_send(&c->wake);
	pthread_join(c->thread, NULL);
	c->started = false;
}

void coordinator_free(struct coordinator *c)
{
	if (!c)
		return;
	uv_loop_close(&c->loop);
	wg_engine_free(c->wg);
	channels_fini(c);
	news_fini(c);
	directory_free(c->dir);
	session_table_free(c->table);
	index_pool_free(c->indices);
	free(c->recalls);
	free(c->again);
	free(c->greatest);
	free(c->run_dir);
	pthread_mutex_destroy(&c->mailbox_lock);
	pthread_mutex_destroy(&c->status_lock);
	free(c);
}

int coordinator_sessions(struct coordinator *c, struct session_info **out, size_t *n)
{
	return session_table_sessions(c->table, out, n);
}

int coordinator_device_live(
	struct coordinator *c, const struct ulid *device, struct device_live *out)
{
	return session_table_live(c->table, device, out);
}

int coordinator_totals(struct coordinator *c, struct device_total **out, size_t *n)
{
	return session_table_totals(c->table, out, n);
}

void coordinator_figures(struct coordinator *c, struct coordinator_figures *out)
{
	pthread_mutex_lock(&c->status_lock);
	*out = c->figures;
	pthread_mutex_unlock(&c->status_lock);
	pthread_mutex_lock(&c->mailbox_lock);
	out->mailbox = c->n_mailbox;
	pthread_mutex_unlock(&c->mailbox_lock);
}

void coordinator_dataplane_status(struct coordinator *c, struct dataplane_status *out)
{
	pthread_mutex_lock(&c->status_lock);
	*out = c->status;
	pthread_mutex_unlock(&c->status_lock);
}
