#include "tests/sim/ovpn_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "db/db.h"
#include "pki/ca.h"
#include "pki/keystore.h"
#include "wire/classify.h"

enum { TURN_MS = 2, SETTLE_TURNS = 40 };

/* ---- credentials ---- */

static X509 *cert_of(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

	BIO_free(b);
	assert_non_null(x);
	return x;
}

static SSL_CTX *client_tls(struct rig *r, const struct ca_issued *i)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	X509 *ca = cert_of(ca_cert_pem(r->ca)), *own = cert_of(i->cert_pem);
	BIO *b = BIO_new_mem_buf(i->key_pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

	assert_non_null(key);
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca), 1);
	assert_int_equal(SSL_CTX_use_certificate(ctx, own), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	EVP_PKEY_free(key);
	BIO_free(b);
	X509_free(own);
	X509_free(ca);
	return ctx;
}

static void credential_make(struct rig *r, struct rig_credential *cr)
{
	struct ca_issued issued;
	const char *why;
	int n;

	assert_int_equal(ulid_new(&cr->conf.id, &r->clock), 0);
	assert_int_equal(ca_issue(r->ca, &cr->conf.id, NULL, 0, &issued, &why), 0);
	cr->conf.device_id = r->device.id;
	cr->conf.protocol = DIR_OPENVPN;
	memcpy(cr->conf.ovpn_cert, issued.cert_sha256, sizeof(cr->conf.ovpn_cert));
	memcpy(cr->conf.ovpn_serial, issued.serial, sizeof(cr->conf.ovpn_serial));
	cr->tls = client_tls(r, &issued);
	ca_issued_wipe(&issued);
	assert_int_equal(secret_random(cr->key.bytes, sizeof(cr->key.bytes)), 0);
	n = ovpn_wkc_seal(ca_v2_server_key(r->ca), &cr->key, &cr->conf.id,
		clock_real_ms(&r->clock) / 1000, cr->wkc, sizeof(cr->wkc));
	assert_true(n > 0);
	cr->wkc_len = (size_t)n;
}

/* ---- setup ---- */

static void on_device_state(void *arg, const struct device_state *s, size_t n)
{
	struct rig *r = arg;

	pthread_mutex_lock(&r->lock);
	r->state = s[n - 1];
	pthread_mutex_unlock(&r->lock);
}

struct device_state rig_state(struct rig *r)
{
	pthread_mutex_lock(&r->lock);
	const struct device_state s = r->state;
	pthread_mutex_unlock(&r->lock);
	return s;
}

static void on_credential_state(void *arg, const struct credential_state *s, size_t n)
{
	(void)arg;
	(void)s;
	(void)n;
}

static void open_store(struct rig *r)
{
	uint8_t blob[KEYSTORE_WG_BLOB];
	char why[128], key[96];

	snprintf(r->dir, sizeof(r->dir), "/tmp/ireko-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(key, sizeof(key), "%s/master.key", r->dir);
	assert_int_equal(keystore_open(&r->ks, key, true), 0);
	assert_int_equal(keystore_wg_create(r->ks, blob), 0);
	assert_int_equal(db_open(&r->db, r->dir, why), 0);
	assert_int_equal(ca_open(&r->ca, r->ks, r->db, &r->clock), 0);
}

static void coordinator_make(struct rig *r, const struct device_state *state, unsigned without)
{
	struct coordinator_conf cc = {.run_dir = r->dir,
		.mtu = 1420,
		.clock = r->clock,
		.ks = r->ks,
		.ca = r->ca,
		.reneg_ms = 3600 * 1000};
	const struct coordinator_hooks hooks = {.on_device_state = on_device_state,
		.on_credential_state = on_credential_state,
		.arg = r};

	assert_int_equal(ip_prefix_parse(&cc.net4, "10.77.0.0/16"), 0);
	assert_int_equal(ip_prefix_parse(&cc.net6, "fd00::/64"), 0);
	assert_int_equal(coordinator_new(&r->c, &cc, &hooks), 0);
	assert_int_equal(coordinator_load_device(r->c, &r->device, state), 0);
	for (size_t i = 0; i < RIG_CREDENTIALS; i++)
		if (!(without >> i & 1))
			assert_int_equal(
				coordinator_load_credential(r->c, &r->credentials[i].conf, NULL),
				0);
	assert_int_equal(coordinator_start(r->c), 0);
}

void rig_control_stop(struct rig *r)
{
	coordinator_stop(r->c);
	coordinator_free(r->c);
	r->c = NULL;
}

void rig_control_start(struct rig *r, unsigned without)
{
	const struct device_state state = rig_state(r);

	coordinator_make(r, &state, without);
}

int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_int_equal(aead_init(), 0);
	assert_int_equal(blake2s_init(), 0);
	r->clock = clock_system();
	pthread_mutex_init(&r->lock, NULL);
	open_store(r);
	assert_int_equal(ulid_new(&r->device.id, &r->clock), 0);
	r->device.peer = RIG_PEER;
	assert_int_equal(ip_addr_parse(&r->device.addr4, "10.77.0.2"), 0);
	assert_int_equal(ip_addr_parse(&r->device.addr6, "fd00::2"), 0);
	for (size_t i = 0; i < RIG_CREDENTIALS; i++)
		credential_make(r, &r->credentials[i]);
	r->d.confirms = true;
	dp_script_start(&r->d, r->dir);
	coordinator_make(r, NULL, 0);
	*state = r;
	rig_until(r, rig_synced(r));
	return 0;
}

static void remove_files(struct rig *r)
{
	static const char *const files[] = {
		"ireko.db", "ireko.db-wal", "ireko.db-shm", "ireko.lock", "master.key"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", r->dir, files[i]);
		unlink(path);
	}
	rmdir(r->dir);
}

int rig_teardown(void **state)
{
	struct rig *r = *state;

	if (r->c)
		rig_control_stop(r);
	dp_script_stop(&r->d);
	for (size_t i = 0; i < RIG_CLIENTS; i++)
		rig_client_free(&r->clients[i]);
	for (size_t i = 0; i < RIG_CREDENTIALS; i++)
		SSL_CTX_free(r->credentials[i].tls);
	ca_free(r->ca);
	db_close(r->db);
	keystore_free(r->ks);
	remove_files(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return 0;
}

/* ---- turns ---- */

static bool is_for(const struct rig_client *client, const struct path *to)
{
	if (!client->c || client->path.connection != to->connection)
		return false;
	return to->connection || endpoint_equal(&client->path.remote, &to->remote);
}

static void deliver_one(struct rig *r, const struct dp_datagram *d)
{
	bool taken = false;

	for (size_t i = 0; i < RIG_CLIENTS; i++) {
		if (!is_for(&r->clients[i], &d->to))
			continue;
		taken = true;
		if (wire_classify(d->bytes, d->len) == WIRE_OVPN_DATA) {
			r->clients[i].data = *d;
			r->clients[i].n_data++;
			continue;
		}
		(void)ovpn_client_input(
			r->clients[i].c, d->bytes, d->len, clock_mono_ms(&r->clock));
	}
	if (!taken && r->on_other)
		r->on_other(r->arg, d);
}

static void deliver(struct rig *r)
{
	for (size_t k = 0; k < r->d.n_out; k++)
		deliver_one(r, &r->d.out[k]);
	r->d.n_out = 0;
}

static void note_events(struct rig_client *client)
{
	struct ovpn_client_event e;

	while (ovpn_client_event(client->c, &e)) {
		if (e.kind == OVPN_CLIENT_KEYS) {
			client->keys = e.keys;
			client->n_keys++;
		}
		client->up |= e.kind == OVPN_CLIENT_UP;
		client->failed |= e.kind == OVPN_CLIENT_FAILED;
		if (e.kind == OVPN_CLIENT_TEXT)
			memcpy(client->text, e.text, sizeof(client->text));
	}
}

static void client_turn(struct rig *r, struct rig_client *client)
{
	uint8_t p[UAPI_DATAGRAM_MAX];
	size_t n;

	ovpn_client_tick(client->c, clock_mono_ms(&r->clock));
	while (dp_script_up(&r->d) && (n = ovpn_client_output(client->c, p, sizeof(p))) > 0)
		dp_script_punt(&r->d, &client->path, p, n);
	note_events(client);
}

void rig_turn(struct rig *r)
{
	dp_script_turn(&r->d, TURN_MS);
	deliver(r);
	for (size_t i = 0; i < RIG_CLIENTS; i++)
		if (r->clients[i].c)
			client_turn(r, &r->clients[i]);
}

void rig_settle(struct rig *r)
{
	for (int i = 0; i < SETTLE_TURNS; i++)
		rig_turn(r);
}

void rig_serve(struct rig *r, uint64_t ms)
{
	const uint64_t end = clock_mono_ms(&r->clock) + ms;

	while (clock_mono_ms(&r->clock) < end)
		rig_turn(r);
}

bool rig_synced(struct rig *r)
{
	struct dataplane_status s;

	coordinator_dataplane_status(r->c, &s);
	return s.connected;
}

size_t rig_sessions(struct rig *r)
{
	struct session_info *all;
	size_t n;

	assert_int_equal(coordinator_sessions(r->c, &all, &n), 0);
	free(all);
	return n;
}

struct session_info rig_session(struct rig *r)
{
	struct session_info *all, one;
	size_t n;

	assert_int_equal(coordinator_sessions(r->c, &all, &n), 0);
	assert_int_equal(n, 1);
	one = all[0];
	free(all);
	return one;
}

/* ---- clients ---- */

struct rig_client *rig_client(
	struct rig *r, size_t i, size_t certificate, size_t wrapped, uint32_t connection)
{
	const struct rig_credential *w = &r->credentials[wrapped];
	struct ovpn_client_conf conf = {.tls = r->credentials[certificate].tls,
		.mode = OVPN_CLIENT_V3,
		.key = w->key,
		.wkc_len = w->wkc_len,
		.stream = connection != 0};
	struct rig_client *client = &r->clients[i];

	rig_client_free(client);
	memcpy(conf.wkc, w->wkc, w->wkc_len);
	client->path.connection = connection;
	assert_int_equal(endpoint_parse(&client->path.remote, "192.0.2.7:4000"), 0);
	client->path.remote.port = (uint16_t)(4000 + i);
	assert_int_equal(ovpn_client_new(&client->c, &conf), 0);
	assert_int_equal(ovpn_client_start(client->c, clock_mono_ms(&r->clock),
				 clock_real_ms(&r->clock) / 1000),
		0);
	return client;
}

struct rig_client *rig_connect(struct rig *r, size_t i, size_t credential, uint32_t connection)
{
	struct rig_client *client = rig_client(r, i, credential, credential, connection);
	const uint64_t before = r->d.session_seq;

	rig_until(r, client->up && r->d.session_seq > before);
	return client;
}

void rig_client_free(struct rig_client *client)
{
	ovpn_client_free(client->c);
	secret_wipe(client, sizeof(*client));
}

/* ---- calls that wait ---- */

static void *call(void *arg)
{
	struct rig *r = arg;

	r->result = r->call(r->c, &r->call_id);
	r->called_back = true;
	return NULL;
}

void rig_call(struct rig *r, int (*fn)(struct coordinator *c, const struct ulid *id),
	const struct ulid *id)
{
	r->call = fn;
	r->call_id = *id;
	r->called_back = false;
	assert_int_equal(pthread_create(&r->waiter, NULL, call, r), 0);
}

int rig_result(struct rig *r)
{
	rig_until(r, r->called_back);
	pthread_join(r->waiter, NULL);
	return r->result;
}
