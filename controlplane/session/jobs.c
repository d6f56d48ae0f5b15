/*
 * The mailbox: REST threads post, the loop runs, and where it was promised they wait for the
 * dataplane's word.
 *
 *   post -> run -> (0 or more acknowledgements) -> answered
 *                        | connection lost
 *                        '-> parked -> resynchronised: sent again | nobody listens: there is no
 * tunnel
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/secret.h"
#include "session/loop.h"

static struct job *job_new(void (*run)(struct coordinator *c, struct job *j), bool waited)
{
	struct job *j = calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	j->run = run;
	j->refs = waited ? 2 : 1;
	j->open = 1;
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->cond, &attr);
	pthread_condattr_destroy(&attr);
	return j;
}

static void job_unref(struct job *j)
{
	pthread_mutex_lock(&j->lock);
	const bool last = --j->refs == 0;
	pthread_mutex_unlock(&j->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&j->lock);
	pthread_cond_destroy(&j->cond);
	if (j->owned)
		free(j->u.many.ids);
	secret_wipe(&j->u, sizeof(j->u));
	free(j);
}

static void job_settle(struct job *j, int status)
{
	pthread_mutex_lock(&j->lock);
	if (status < 0 && j->result == 0)
		j->result = status;
	const bool answered = --j->open == 0;
	if (answered)
		pthread_cond_signal(&j->cond);
	pthread_mutex_unlock(&j->lock);
	if (answered)
		job_unref(j);
}

static void job_fail(struct job *j, int status)
{
	pthread_mutex_lock(&j->lock);
	j->result = status;
	pthread_mutex_unlock(&j->lock);
}

static void job_post(struct coordinator *c, struct job *j)
{
	pthread_mutex_lock(&c->mailbox_lock);
	const bool closed = c->closed;
	if (!closed) {
		STAILQ_INSERT_TAIL(&c->mailbox, j, link);
		c->n_mailbox++;
		uv_async_send(&c->wake);
	}
	pthread_mutex_unlock(&c->mailbox_lock);
	if (closed) {
		/* The database has it; the next start carries it out. */
		job_fail(j, -ETIMEDOUT);
		job_settle(j, 0);
	}
}

static int job_wait(struct job *j)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += COORDINATOR_WAIT_MS / 1000;
	pthread_mutex_lock(&j->lock);
	int e = 0;
	while (j->open && e != ETIMEDOUT)
		e = pthread_cond_timedwait(&j->cond, &j->lock, &until);
	const int result = j->open ? -ETIMEDOUT : j->result;
	pthread_mutex_unlock(&j->lock);
	job_unref(j);
	return result;
}

void jobs_run(struct coordinator *c)
{
	struct job_list now = STAILQ_HEAD_INITIALIZER(now);
	pthread_mutex_lock(&c->mailbox_lock);
	STAILQ_CONCAT(&now, &c->mailbox);
	c->n_mailbox = 0;
	pthread_mutex_unlock(&c->mailbox_lock);
	struct job *j;
	while ((j = STAILQ_FIRST(&now))) {
		STAILQ_REMOVE_HEAD(&now, link);
		j->run(c, j);
		job_settle(j, 0);
	}
}

/* ---- acknowledgements of revocations ---- */

/* One thing that the dataplane must say it has done. */
struct revocation {
	STAILQ_ENTRY(revocation) link;
	struct coordinator *c;
	struct job *job; /* NULL: nobody waits */
	enum { REVOKE_PEER, REVOKE_CREDENTIAL, REVOKED_BEFORE } what;
	uint32_t peer;
	struct ulid credential;
};

static void on_revoked(void *arg, int status, struct reader *r);

static void revocation_end(struct revocation *rv, int status)
{
	if (rv->job)
		job_settle(rv->job, status);
	rv->c->unconfirmed--;
	free(rv);
}

static void revocation_send(struct revocation *rv)
{
	struct coordinator *c = rv->c;
	if (dp_client_up(c->dp)) {
		switch (rv->what) {
		case REVOKE_PEER:
			(void)link_peer_del(c, rv->peer, on_revoked, rv);
			return;
		case REVOKE_CREDENTIAL:
			(void)link_session_del(c, rv->peer, &rv->credential, on_revoked, rv);
			return;
		case REVOKED_BEFORE:
			(void)link_nothing(c, on_revoked, rv);
			return;
		}
	}
	if (dp_client_absent(c->dp)) {
		revocation_end(rv, 0);
		return;
	}
	STAILQ_INSERT_TAIL(&c->parked, rv, link);
}

/* Statistics that were on their way before it may have shown the session once more. */
static void mark_down(struct coordinator *c, const struct revocation *rv)
{
	struct dir_device *dev = directory_device_by_peer(c->dir, rv->peer);
	struct live *l = dev ? session_table_find(c->table, &dev->conf.id) : NULL;
	if (l && l->up && ulid_equal(&l->info.credential_id, &rv->credential))
		session_table_down(c->table, l, true, SESSION_END_REVOKED);
}

static void on_revoked(void *arg, int status, struct reader *r)
{
	(void)r;
	struct revocation *rv = arg;
	if (status == -ECONNRESET || status == -ENOTCONN) {
		STAILQ_INSERT_TAIL(&rv->c->parked, rv, link);
		return;
	}
	if (status == -ENOENT)
		status = 0; /* it was not there: as good as gone */
	if (status < 0)
		log_error("session", "peer %u: not revoked in the dataplane: %s", rv->peer,
			strerror(-status));
	if (status == 0 && rv->what == REVOKE_CREDENTIAL)
		mark_down(rv->c, rv);
	revocation_end(rv, status);
}

void jobs_release_parked(struct coordinator *c)
{
	struct revocation_list now = STAILQ_HEAD_INITIALIZER(now);
	STAILQ_CONCAT(&now, &c->parked);
	struct revocation *rv;
	while ((rv = STAILQ_FIRST(&now))) {
		STAILQ_REMOVE_HEAD(&now, link);
		/* After a synchronisation a peer that nobody named is gone, and its number may
		 * already be another's. */
		if (rv->what == REVOKE_PEER && c->link == LINK_SYNCED)
			revocation_end(rv, 0);
		else
			revocation_send(rv);
	}
}

void jobs_fail_all(struct coordinator *c)
{
	pthread_mutex_lock(&c->mailbox_lock);
	c->closed = true;
	pthread_mutex_unlock(&c->mailbox_lock);
	jobs_run(c);
	struct revocation *rv;
	while ((rv = STAILQ_FIRST(&c->parked))) {
		STAILQ_REMOVE_HEAD(&c->parked, link);
		revocation_end(rv, -ETIMEDOUT);
	}
}

static void revocation_start(struct coordinator *c, struct job *j, const struct revocation *what)
{
	struct revocation *rv = calloc(1, sizeof(*rv));
	if (!rv) {
		/* Not confirmed, so not to be called done; the sweep of statistics finds it. */
		log_error("session", "peer %u: no memory to wait for its revocation", what->peer);
		if (j)
			job_fail(j, -ENOMEM);
		return;
	}
	*rv = *what;
	rv->c = c;
	rv->job = j;
	c->unconfirmed++;
	if (j) {
		pthread_mutex_lock(&j->lock);
		j->open++;
		pthread_mutex_unlock(&j->lock);
	}
	revocation_send(rv);
}

/* It is gone here; perhaps by an earlier revocation that the dataplane has not answered yet. It
 * answers in order, so its word on anything asked now covers that one. */
static void revoked_before(struct coordinator *c, struct job *j)
{
	if (c->unconfirmed)
		revocation_start(c, j, &(struct revocation){.what = REVOKED_BEFORE});
}

/* ---- what can be asked ---- */

/* Out of the engines; an OpenVPN client is told. */
static void engines_forget(struct coordinator *c, const struct dir_credential *cr)
{
	if (cr->conf.protocol == DIR_WIREGUARD)
		(void)wg_engine_peer_del(c->wg, &cr->conf.id);
	else
		channels_revoked(c, &cr->conf.id);
}

void coordinator_drop_device(
	struct coordinator *c, struct dir_device *dev, struct job *j, enum session_end why)
{
	struct live *l = session_table_find(c->table, &dev->conf.id);
	if (l) {
		session_table_down(c->table, l, true, why);
		l->channel = 0;
		l->pending.seq = 0;
	}
	for (struct dir_credential *cr = dev->credentials; cr; cr = cr->next)
		engines_forget(c, cr);
	const uint32_t peer = dev->conf.peer;
	(void)directory_device_del(c->dir, &dev->conf.id);
	revocation_start(c, j, &(struct revocation){.what = REVOKE_PEER, .peer = peer});
}

void coordinator_drop_credential(
	struct coordinator *c, struct dir_credential *cr, struct job *j, enum session_end why)
{
	struct live *l = session_table_find(c->table, &cr->conf.device_id);
	if (l)
		(void)install_give_up(l, &cr->conf.id);
	if (l && ulid_equal(&l->state.credential, &cr->conf.id)) {
		session_table_down(c->table, l, true, why);
		l->channel = 0;
	}
	engines_forget(c, cr);
	const uint32_t peer = cr->device->conf.peer;
	const struct ulid id = cr->conf.id;
	(void)directory_credential_del(c->dir, &id);
	revocation_start(c, j,
		&(struct revocation){.what = REVOKE_CREDENTIAL, .peer = peer, .credential = id});
}

static void run_device_put(struct coordinator *c, struct job *j)
{
	const struct dir_device_conf *d = &j->u.device;
	/* The database gave this number away after its holder was deleted. */
	struct dir_device *holder = directory_device_by_peer(c->dir, d->peer);
	if (holder && !ulid_equal(&holder->conf.id, &d->id))
		coordinator_drop_device(c, holder, NULL, SESSION_END_REVOKED);
	int r = directory_device_put(c->dir, d);
	if (r < 0 || !session_table_get(c->table, &d->id)) {
		log_error(
			"session", "peer %u: not taken in: %s", d->peer, strerror(r ? -r : ENOMEM));
		return;
	}
	expiry_note(c, d->expires_at);
	(void)link_peer_set(c, d);
}

static void run_credential_put(struct coordinator *c, struct job *j)
{
	const struct dir_credential_conf *cr = &j->u.credential;
	int r = directory_credential_put(c->dir, cr);
	if (r == 0 && cr->protocol == DIR_WIREGUARD)
		r = wg_engine_peer_set(c->wg, &cr->id, cr->wg_public, cr->wg_psk, NULL);
	if (r < 0) {
		char id[ULID_TEXT];
		log_error("session", "credential crd_%s: not taken in: %s",
			ulid_format(&cr->id, id), strerror(-r));
		(void)directory_credential_del(c->dir, &cr->id);
		return;
	}
	expiry_note(c, cr->expires_at);
}

static void run_tunnel_set(struct coordinator *c, struct job *j)
{
	const bool other = c->conf.mtu != j->u.tunnel.mtu;
	memcpy(c->conf.dns, j->u.tunnel.dns, sizeof(c->conf.dns));
	c->conf.mtu = j->u.tunnel.mtu;
	channels_tunnel_set(c);
	/* Without a door the next synchronisation brings it. */
	if (other && dp_client_up(c->dp))
		(void)link_configure(c, link_on_simple_reply);
}

static void run_devices_revoke(struct coordinator *c, struct job *j)
{
	bool missing = false;
	for (size_t i = 0; i < j->u.many.n; i++) {
		struct dir_device *dev = directory_device(c->dir, &j->u.many.ids[i]);
		if (dev)
			coordinator_drop_device(c, dev, j, SESSION_END_REVOKED);
		missing |= !dev;
	}
	if (missing)
		revoked_before(c, j);
}

static void run_credential_revoke(struct coordinator *c, struct job *j)
{
	struct dir_credential *cr = directory_credential(c->dir, &j->u.id);
	if (cr)
		coordinator_drop_credential(c, cr, j, SESSION_END_REVOKED);
	else
		revoked_before(c, j);
}

static void run_forget(struct coordinator *c, struct job *j)
{
	session_table_forget(c->table, &j->u.id);
}

static void run_session_kill(struct coordinator *c, struct job *j)
{
	struct live *l = session_table_by_session(c->table, &j->u.id);
	struct dir_device *dev = l ? directory_device(c->dir, &l->state.device_id) : NULL;
	if (!dev) {
		job_fail(j, -ENOENT);
		return;
	}
	/* The dataplane drops all that the credential has there, also what nobody uses yet. */
	const struct ulid credential = l->info.credential_id;
	const uint64_t channel = l->channel, waiting = install_give_up(l, &credential);
	session_table_down(c->table, l, true, SESSION_END_KILLED);
	l->channel = 0;
	channels_restart(c, channel, "this session was ended by the operator");
	channels_restart(c, waiting, "this session was ended by the operator");
	revocation_start(c, j,
		&(struct revocation){.what = REVOKE_CREDENTIAL,
			.peer = dev->conf.peer,
			.credential = credential});
}

int coordinator_device_put(struct coordinator *c, const struct dir_device_conf *d)
{
	struct job *j = job_new(run_device_put, false);
	if (!j)
		return -ENOMEM;
	j->u.device = *d;
	job_post(c, j);
	return 0;
}

int coordinator_credential_put(struct coordinator *c, const struct dir_credential_conf *cr)
{
	struct job *j = job_new(run_credential_put, false);
	if (!j)
		return -ENOMEM;
	j->u.credential = *cr;
	job_post(c, j);
	return 0;
}

int coordinator_tunnel_set(struct coordinator *c, const char *dns, uint16_t mtu)
{
	struct job *j = job_new(run_tunnel_set, false);
	if (!j)
		return -ENOMEM;
	snprintf(j->u.tunnel.dns, sizeof(j->u.tunnel.dns), "%s", dns);
	j->u.tunnel.mtu = mtu;
	job_post(c, j);
	return 0;
}

int coordinator_devices_revoke(struct coordinator *c, const struct ulid *devices, size_t n)
{
	struct job *j = job_new(run_devices_revoke, true);
	struct ulid *ids = calloc(n ? n : 1, sizeof(*ids));
	if (!j || !ids) {
		free(ids);
		if (j) {
			job_unref(j);
			job_unref(j);
		}
		return -ENOMEM;
	}
	memcpy(ids, devices, n * sizeof(*ids));
	j->u.many.ids = ids;
	j->u.many.n = n;
	j->owned = true;
	job_post(c, j);
	return job_wait(j);
}

int coordinator_device_revoke(struct coordinator *c, const struct ulid *device)
{
	return coordinator_devices_revoke(c, device, 1);
}

static int post_id_and_wait(struct coordinator *c, void (*run)(struct coordinator *, struct job *),
	const struct ulid *id)
{
	struct job *j = job_new(run, true);
	if (!j)
		return -ENOMEM;
	j->u.id = *id;
	job_post(c, j);
	return job_wait(j);
}

int coordinator_credential_revoke(struct coordinator *c, const struct ulid *credential)
{
	return post_id_and_wait(c, run_credential_revoke, credential);
}

int coordinator_session_kill(struct coordinator *c, const struct ulid *session)
{
	return post_id_and_wait(c, run_session_kill, session);
}

int coordinator_device_forget(struct coordinator *c, const struct ulid *device)
{
	struct job *j = job_new(run_forget, false);
	if (!j)
		return -ENOMEM;
	j->u.id = *device;
	job_post(c, j);
	return 0;
}
