/*
 * Hash tables over devices and credentials. A credential hangs off its device and goes with it.
 */
#include "directory/directory.h"

#include <errno.h>
#include <stdlib.h>

#include "base/secret.h"

struct directory {
	struct dir_device *by_id;
	struct dir_device *by_peer;
	struct dir_credential *creds_by_id;
	struct dir_credential *creds_by_wg_public;
	struct dir_credential *creds_by_ovpn_cert;
};

int directory_new(struct directory **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

struct dir_device *directory_device(struct directory *d, const struct ulid *id)
{
	struct dir_device *dev;
	HASH_FIND(by_id, d->by_id, id, sizeof(*id), dev);
	return dev;
}

struct dir_device *directory_device_by_peer(struct directory *d, uint32_t peer)
{
	struct dir_device *dev;
	HASH_FIND(by_peer, d->by_peer, &peer, sizeof(peer), dev);
	return dev;
}

struct dir_credential *directory_credential(struct directory *d, const struct ulid *id)
{
	struct dir_credential *cr;
	HASH_FIND(by_id, d->creds_by_id, id, sizeof(*id), cr);
	return cr;
}

struct dir_credential *directory_credential_by_wg_public(struct directory *d, const uint8_t key[32])
{
	struct dir_credential *cr;
	HASH_FIND(by_wg_public, d->creds_by_wg_public, key, 32, cr);
	return cr;
}

struct dir_credential *directory_credential_by_ovpn_cert(
	struct directory *d, const uint8_t cert_sha256[32])
{
	struct dir_credential *cr;
	HASH_FIND(by_ovpn_cert, d->creds_by_ovpn_cert, cert_sha256, 32, cr);
	return cr;
}

int directory_device_put(struct directory *d, const struct dir_device_conf *c)
{
	struct dir_device *holder = directory_device_by_peer(d, c->peer);
	if (holder && !ulid_equal(&holder->conf.id, &c->id))
		return -EEXIST;
	struct dir_device *dev = directory_device(d, &c->id);
	if (dev) {
		if (dev->conf.peer != c->peer)
			HASH_DELETE(by_peer, d->by_peer, dev);
		const bool moved = dev->conf.peer != c->peer;
		dev->conf = *c;
		if (moved)
			HASH_ADD(by_peer, d->by_peer, conf.peer, sizeof(dev->conf.peer), dev);
		return 0;
	}
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->conf = *c;
	HASH_ADD(by_id, d->by_id, conf.id, sizeof(dev->conf.id), dev);
	HASH_ADD(by_peer, d->by_peer, conf.peer, sizeof(dev->conf.peer), dev);
	return 0;
}

/* By what its client proves: a key or a certificate. */
static void index_add(struct directory *d, struct dir_credential *cr)
{
	if (cr->conf.protocol == DIR_WIREGUARD)
		HASH_ADD(by_wg_public, d->creds_by_wg_public, conf.wg_public,
			sizeof(cr->conf.wg_public), cr);
	else if (cr->conf.protocol == DIR_OPENVPN)
		HASH_ADD(by_ovpn_cert, d->creds_by_ovpn_cert, conf.ovpn_cert,
			sizeof(cr->conf.ovpn_cert), cr);
}

static void index_del(struct directory *d, struct dir_credential *cr)
{
	if (cr->conf.protocol == DIR_WIREGUARD)
		HASH_DELETE(by_wg_public, d->creds_by_wg_public, cr);
	else if (cr->conf.protocol == DIR_OPENVPN)
		HASH_DELETE(by_ovpn_cert, d->creds_by_ovpn_cert, cr);
}

static void credential_drop(struct directory *d, struct dir_credential *cr)
{
	HASH_DELETE(by_id, d->creds_by_id, cr);
	index_del(d, cr);
	secret_wipe(&cr->conf, sizeof(cr->conf));
	free(cr);
}

int directory_device_del(struct directory *d, const struct ulid *id)
{
	struct dir_device *dev = directory_device(d, id);
	if (!dev)
		return -ENOENT;
	while (dev->credentials) {
		struct dir_credential *cr = dev->credentials;
		dev->credentials = cr->next;
		credential_drop(d, cr);
	}
	HASH_DELETE(by_id, d->by_id, dev);
	HASH_DELETE(by_peer, d->by_peer, dev);
	free(dev);
	return 0;
}

static bool is_taken(struct directory *d, const struct dir_credential_conf *c)
{
	struct dir_credential *holder = NULL;
	if (c->protocol == DIR_WIREGUARD)
		holder = directory_credential_by_wg_public(d, c->wg_public);
	else if (c->protocol == DIR_OPENVPN)
		holder = directory_credential_by_ovpn_cert(d, c->ovpn_cert);
	return holder && !ulid_equal(&holder->conf.id, &c->id);
}

int directory_credential_put(struct directory *d, const struct dir_credential_conf *c)
{
	struct dir_device *dev = directory_device(d, &c->device_id);
	if (!dev)
		return -ENOENT;
	if (is_taken(d, c))
		return -EEXIST;
	/* A credential's key, certificate and device never change, so an older one with this id is
	 * replaced. */
	struct dir_credential *old = directory_credential(d, &c->id);
	struct dir_credential *cr = calloc(1, sizeof(*cr));
	if (!cr)
		return -ENOMEM;
	if (old && directory_credential_del(d, &old->conf.id) < 0)
		return free(cr), -ENOENT;
	cr->conf = *c;
	cr->device = dev;
	cr->next = dev->credentials;
	dev->credentials = cr;
	HASH_ADD(by_id, d->creds_by_id, conf.id, sizeof(cr->conf.id), cr);
	index_add(d, cr);
	return 0;
}

int directory_credential_del(struct directory *d, const struct ulid *id)
{
	struct dir_credential *cr = directory_credential(d, id);
	if (!cr)
		return -ENOENT;
	struct dir_credential **at = &cr->device->credentials;
	while (*at != cr)
		at = &(*at)->next;
	*at = cr->next;
	credential_drop(d, cr);
	return 0;
}

size_t directory_device_count(const struct directory *d)
{
	return HASH_CNT(by_id, d->by_id);
}

int directory_each_device(
	struct directory *d, int (*fn)(void *arg, struct dir_device *dev), void *arg)
{
	struct dir_device *dev, *next;
	HASH_ITER (by_id, d->by_id, dev, next) {
		int r = fn(arg, dev);
		if (r)
			return r;
	}
	return 0;
}

void directory_free(struct directory *d)
{
	if (!d)
		return;
	struct dir_device *dev, *next;
	HASH_ITER (by_id, d->by_id, dev, next)
		(void)directory_device_del(d, &dev->conf.id);
	free(d);
}
