/*
 * A coordinator that keeps what it was told, instead of the real one: it defines every function of
 * session/coordinator.h, so the linker never takes the real one out of the archive. Include it
 * once in a program.
 */
#ifndef TESTS_FAKE_COORDINATOR_H
#define TESTS_FAKE_COORDINATOR_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/coordinator.h"

enum { FAKE_MOST = 512 };

struct coordinator {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct dir_device_conf devices[FAKE_MOST];
	size_t n_devices;
	struct dir_credential_conf credentials[FAKE_MOST];
	size_t n_credentials;
	struct device_state states[FAKE_MOST];
	size_t n_states;
	uint8_t greatest[FAKE_MOST][12]; /* of credentials that were loaded */
	struct session_info *sessions;
	size_t n_sessions;
	struct ulid killed;
	char dns[256]; /* of the last coordinator_tunnel_set */
	uint16_t mtu;
	unsigned tunnel_sets;
	unsigned puts, credential_puts, revokes, forgets;
	int revoke_result;
	bool hold_revokes; /* revocations wait until it is false */
	unsigned waiting;  /* revocations that do */
	bool connected, silent;
	const char *listen[COORDINATOR_LISTENERS]; /* up to the first NULL */
	struct device_live live;		   /* of every device in the directory */
};

static inline struct dir_device_conf *fake_device(struct coordinator *c, const struct ulid *id)
{
	for (size_t i = 0; i < c->n_devices; i++)
		if (ulid_equal(&c->devices[i].id, id))
			return &c->devices[i];
	return NULL;
}

static inline struct dir_credential_conf *fake_credential(
	struct coordinator *c, const struct ulid *id)
{
	for (size_t i = 0; i < c->n_credentials; i++)
		if (ulid_equal(&c->credentials[i].id, id))
			return &c->credentials[i];
	return NULL;
}

static inline void fake_drop_credential(struct coordinator *c, const struct dir_credential_conf *at)
{
	size_t i = (size_t)(at - c->credentials);

	c->credentials[i] = c->credentials[--c->n_credentials];
}

static inline void fake_drop_device(struct coordinator *c, const struct ulid *id)
{
	struct dir_device_conf *d = fake_device(c, id);

	if (d)
		*d = c->devices[--c->n_devices];
	for (size_t i = c->n_credentials; i-- > 0;)
		if (ulid_equal(&c->credentials[i].device_id, id))
			fake_drop_credential(c, &c->credentials[i]);
}

int coordinator_new(struct coordinator **out, const struct coordinator_conf *conf,
	const struct coordinator_hooks *hooks)
{
	(void)conf;
	(void)hooks;
	*out = calloc(1, sizeof(**out));
	pthread_mutex_init(&(*out)->lock, NULL);
	pthread_cond_init(&(*out)->changed, NULL);
	(*out)->connected = true;
	return 0;
}

void coordinator_free(struct coordinator *c)
{
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->changed);
	free(c);
}

int coordinator_start(struct coordinator *c)
{
	(void)c;
	return 0;
}

void coordinator_stop(struct coordinator *c)
{
	(void)c;
}

int coordinator_tunnel_set(struct coordinator *c, const char *dns, uint16_t mtu)
{
	snprintf(c->dns, sizeof(c->dns), "%s", dns);
	c->mtu = mtu;
	c->tunnel_sets++;
	return 0;
}

int coordinator_device_put(struct coordinator *c, const struct dir_device_conf *d)
{
	struct dir_device_conf *at;

	pthread_mutex_lock(&c->lock);
	at = fake_device(c, &d->id);
	*(at ? at : &c->devices[c->n_devices++]) = *d;
	c->puts++;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

int coordinator_credential_put(struct coordinator *c, const struct dir_credential_conf *cr)
{
	struct dir_credential_conf *at;

	pthread_mutex_lock(&c->lock);
	at = fake_credential(c, &cr->id);
	/* As in the directory: not without its device. */
	if (fake_device(c, &cr->device_id))
		*(at ? at : &c->credentials[c->n_credentials++]) = *cr;
	c->credential_puts++;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

int coordinator_load_state(struct coordinator *c, const struct device_state *state)
{
	c->states[c->n_states++] = *state;
	return 0;
}

int coordinator_load_device(
	struct coordinator *c, const struct dir_device_conf *d, const struct device_state *state)
{
	if (state)
		c->states[c->n_states++] = *state;
	return coordinator_device_put(c, d);
}

int coordinator_load_credential(
	struct coordinator *c, const struct dir_credential_conf *cr, const uint8_t *wg_greatest)
{
	if (wg_greatest)
		memcpy(c->greatest[c->n_credentials], wg_greatest, 12);
	return coordinator_credential_put(c, cr);
}

/* The post comes first, the waiting after it. */
static inline int fake_wait(struct coordinator *c)
{
	int result;

	c->revokes++;
	c->waiting++;
	pthread_cond_broadcast(&c->changed);
	while (c->hold_revokes)
		pthread_cond_wait(&c->changed, &c->lock);
	c->waiting--;
	result = c->revoke_result;
	pthread_mutex_unlock(&c->lock);
	return result;
}

int coordinator_devices_revoke(struct coordinator *c, const struct ulid *devices, size_t n)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < n; i++)
		fake_drop_device(c, &devices[i]);
	return fake_wait(c);
}

int coordinator_device_revoke(struct coordinator *c, const struct ulid *device)
{
	return coordinator_devices_revoke(c, device, 1);
}

int coordinator_credential_revoke(struct coordinator *c, const struct ulid *credential)
{
	struct dir_credential_conf *at;

	pthread_mutex_lock(&c->lock);
	at = fake_credential(c, credential);
	if (at)
		fake_drop_credential(c, at);
	return fake_wait(c);
}

int coordinator_device_forget(struct coordinator *c, const struct ulid *device)
{
	(void)device;
	pthread_mutex_lock(&c->lock);
	c->forgets++;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

int coordinator_session_kill(struct coordinator *c, const struct ulid *session)
{
	c->killed = *session;
	return c->revoke_result;
}

int coordinator_sessions(struct coordinator *c, struct session_info **out, size_t *n)
{
	*n = c->n_sessions;
	*out = calloc(c->n_sessions + 1, sizeof(**out));
	if (c->n_sessions)
		memcpy(*out, c->sessions, c->n_sessions * sizeof(**out));
	return 0;
}

int coordinator_device_live(
	struct coordinator *c, const struct ulid *device, struct device_live *out)
{
	bool known;

	pthread_mutex_lock(&c->lock);
	known = fake_device(c, device) != NULL;
	pthread_mutex_unlock(&c->lock);
	*out = known ? c->live : (struct device_live){0};
	return known ? 0 : -ENOENT;
}

int coordinator_totals(struct coordinator *c, struct device_total **out, size_t *n)
{
	*n = c->n_devices;
	*out = calloc(c->n_devices + 1, sizeof(**out));
	for (size_t i = 0; i < c->n_devices; i++)
		(*out)[i] = (struct device_total){.device_id = c->devices[i].id, .rx_bytes = 7};
	return 0;
}

void coordinator_figures(struct coordinator *c, struct coordinator_figures *out)
{
	*out = (struct coordinator_figures){.mailbox = 3};
	(void)c;
}

const char *session_end_name(enum session_end why)
{
	return why == SESSION_END_REVOKED ? "revoked" : "ended";
}

void coordinator_dataplane_status(struct coordinator *c, struct dataplane_status *out)
{
	memset(out, 0, sizeof(*out));
	out->connected = c->connected;
	out->silent = c->silent;
	for (size_t i = 0; i < COORDINATOR_LISTENERS && c->listen[i]; i++)
		snprintf(out->listen[out->n_listen++], sizeof(out->listen[0]), "%s", c->listen[i]);
}

#endif
