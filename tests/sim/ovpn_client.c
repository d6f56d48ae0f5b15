/*
 * As a stock client: only the newest key id is worked on, the one before just keeps its data keys.
 * Packets and events wait in two small queues.
 */
#include "tests/sim/ovpn_client.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

enum {
	PACKETS = 64,
	EVENTS = 16,
	PACKET_MAX = 1500,
	FIRST_CHUNK = 700, /* leaves room for the wrapped key */
	CHUNK = 1100,
	HAND_WINDOW_MS = 60 * 1000,
	ASK_FIRST_MS = 1000,
	ASK_AGAIN_MS = 5000,
	RESENDS = 0x0f000000,
};

enum key_state { WAIT_RESET, HANDSHAKE, WAIT_KM2, WAIT_ACKS, ESTABLISHED, FAILED };

struct key_id_state {
	enum key_state state;
	uint8_t id;
	struct reliable *messages;
	uint32_t sent; /* messages, for the first that carries the wrapped key */
	SSL *ssl;
	BIO *in, *out;
	struct km2 ours, theirs;
	uint64_t started_ms, established_ms;
	size_t hello_sent;
};

struct packet {
	size_t n;
	uint8_t bytes[PACKET_MAX];
};

struct ovpn_client {
	struct ovpn_client_conf conf;
	struct ovpn_wrap wrap, dynamic;
	bool has_dynamic;
	uint32_t unix_s;
	uint8_t sid[OVPN_SID], server_sid[OVPN_SID];
	bool resend; /* the server asked for the wrapped key */
	struct key_id_state key;
	/* from PUSH_REPLY: */
	bool up, tls_ekm, epoch;
	enum aead_cipher cipher;
	uint32_t peer_id;
	char options[1024];
	uint64_t ask_at_ms;
	struct packet packets[PACKETS];
	size_t n_packets, next_packet;
	struct ovpn_client_event events[EVENTS];
	size_t n_events, next_event;
};

/* ---- queues ---- */

static struct packet *packet_slot(struct ovpn_client *c)
{
	if (c->next_packet == c->n_packets)
		c->next_packet = c->n_packets = 0;
	return c->n_packets < PACKETS ? &c->packets[c->n_packets] : NULL;
}

size_t ovpn_client_output(struct ovpn_client *c, uint8_t *out, size_t cap)
{
	const struct packet *p = &c->packets[c->next_packet];

	if (c->next_packet == c->n_packets || p->n > cap)
		return 0;
	memcpy(out, p->bytes, p->n);
	c->next_packet++;
	return p->n;
}

static struct ovpn_client_event *happened(struct ovpn_client *c, enum ovpn_client_event_kind kind)
{
	struct ovpn_client_event *e;

	if (c->next_event == c->n_events)
		c->next_event = c->n_events = 0;
	e = &c->events[c->n_events < EVENTS ? c->n_events++ : EVENTS - 1];
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->key_id = c->key.id;
	e->peer_id = c->peer_id;
	return e;
}

bool ovpn_client_event(struct ovpn_client *c, struct ovpn_client_event *out)
{
	if (c->next_event == c->n_events)
		return false;
	*out = c->events[c->next_event++];
	return true;
}

static void put_text(struct ovpn_client_event *e, const char *text)
{
	const size_t n = strnlen(text, sizeof(e->text) - 1);

	memcpy(e->text, text, n);
	e->text[n] = '\0';
}

static void failed(struct ovpn_client *c, const char *why)
{
	if (c->key.state == FAILED)
		return;
	c->key.state = FAILED;
	put_text(happened(c, OVPN_CLIENT_FAILED), why);
}

/* ---- packets ---- */

static struct ovpn_wrap *wrap_of(struct ovpn_client *c, uint8_t key_id)
{
	return key_id > 0 && c->has_dynamic ? &c->dynamic : &c->wrap;
}

static bool carries_key(uint8_t op)
{
	return op == OVPN_RESET_CLIENT_V3 || op == OVPN_CONTROL_WKC;
}

void ovpn_client_raw(struct ovpn_client *c, uint8_t first, const uint8_t *tail, size_t n)
{
	struct packet *p = packet_slot(c);
	int len;

	if (!p)
		return;
	len = ovpn_wrap_seal(
		wrap_of(c, ovpn_key_id(first)), first, c->sid, tail, n, p->bytes, sizeof(p->bytes));
	if (len < 0)
		return;
	p->n = (size_t)len;
	if (carries_key((uint8_t)ovpn_opcode(first)) && p->n + c->conf.wkc_len <= PACKET_MAX) {
		memcpy(p->bytes + p->n, c->conf.wkc, c->conf.wkc_len);
		p->n += c->conf.wkc_len;
	}
	c->n_packets++;
}

static void send_packet(struct ovpn_client *c, uint8_t op, struct ovpn_tail *t)
{
	uint8_t tail[PACKET_MAX];
	int n;

	if (c->conf.stop == OVPN_STOP_AFTER_HELLO && c->key.sent > 2)
		return;
	memcpy(t->remote_sid, c->server_sid, OVPN_SID);
	n = ovpn_tail_pack(t, op == OVPN_ACK, tail, sizeof(tail));
	if (n > 0)
		ovpn_client_raw(c, ovpn_first((enum ovpn_opcode)op, c->key.id), tail, (size_t)n);
}

/* The first message of a session may have to carry the wrapped key. */
static uint8_t next_op(const struct ovpn_client *c)
{
	return c->resend && c->key.id == 0 && c->key.sent == 1 ? OVPN_CONTROL_WKC : OVPN_CONTROL;
}

static int queue(struct ovpn_client *c, uint8_t op, const uint8_t *p, size_t n, uint64_t now_ms)
{
	c->key.sent++;
	return reliable_send(c->key.messages, op, p, n, now_ms);
}

static size_t chunk_size(const struct ovpn_client *c)
{
	if (c->conf.stop == OVPN_STOP_IN_HELLO)
		return 100;
	return next_op(c) == OVPN_CONTROL_WKC ? FIRST_CHUNK : CHUNK;
}

static void drain(struct ovpn_client *c, uint64_t now_ms)
{
	uint8_t chunk[CHUNK];
	int n;

	if (c->conf.stop == OVPN_STOP_IN_HELLO && c->key.sent > 1)
		return;
	if (c->conf.stop == OVPN_STOP_AFTER_HELLO && c->key.sent > 2)
		return;
	while (c->key.ssl && reliable_can_send(c->key.messages) &&
		(n = BIO_read(c->key.out, chunk, (int)chunk_size(c))) > 0)
		if (queue(c, next_op(c), chunk, (size_t)n, now_ms) < 0 ||
			c->conf.stop == OVPN_STOP_IN_HELLO)
			return;
}

static void flush(struct ovpn_client *c, uint64_t now_ms)
{
	struct ovpn_tail t;
	uint8_t op;

	if (!c->key.messages || c->key.state == FAILED)
		return;
	drain(c, now_ms);
	while (reliable_due(c->key.messages, now_ms, c->conf.stream, &op, &t))
		send_packet(c, op, &t);
	ERR_clear_error();
}

/* ---- life ---- */

static void key_clear(struct key_id_state *k)
{
	SSL_free(k->ssl);
	reliable_free(k->messages);
	secret_wipe(k, sizeof(*k));
}

static int key_begin(struct ovpn_client *c, uint8_t id, uint64_t now_ms)
{
	key_clear(&c->key);
	c->key.id = id;
	c->key.started_ms = now_ms;
	return reliable_new(&c->key.messages);
}

int ovpn_client_new(struct ovpn_client **out, const struct ovpn_client_conf *conf)
{
	struct ovpn_client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->conf = *conf;
	c->peer_id = OVPN_NO_PEER_ID;
	if (!c->conf.peer_info)
		c->conf.peer_info = OVPN_CLIENT_PEER_INFO;
	if (SSL_CTX_up_ref(conf->tls) != 1 || ovpn_wrap_global_init() < 0 ||
		secret_random(c->sid, sizeof(c->sid)) < 0) {
		free(c);
		return -EIO;
	}
	*out = c;
	return 0;
}

void ovpn_client_free(struct ovpn_client *c)
{
	if (!c)
		return;
	key_clear(&c->key);
	SSL_CTX_free(c->conf.tls);
	secret_wipe(c, sizeof(*c));
	free(c);
}

int ovpn_client_start(struct ovpn_client *c, uint64_t now_ms, int64_t unix_s)
{
	const uint32_t first = c->conf.mode == OVPN_CLIENT_V3 ? RESENDS + 1 : 1;
	const uint8_t op =
		c->conf.mode == OVPN_CLIENT_V2 ? OVPN_RESET_CLIENT_V2 : OVPN_RESET_CLIENT_V3;
	int rc;

	c->unix_s = (uint32_t)unix_s;
	ovpn_wrap_init(&c->wrap, &c->conf.key, OVPN_CLIENT, first, c->unix_s);
	rc = key_begin(c, 0, now_ms);
	if (rc == 0)
		rc = queue(c, op, NULL, 0, now_ms);
	if (rc == 0)
		flush(c, now_ms);
	return rc;
}

/* ---- TLS ---- */

static int tls_begin(struct ovpn_client *c)
{
	struct key_id_state *k = &c->key;

	k->ssl = SSL_new(c->conf.tls);
	k->in = BIO_new(BIO_s_mem());
	k->out = BIO_new(BIO_s_mem());
	if (!k->ssl || !k->in || !k->out) {
		BIO_free(k->in);
		BIO_free(k->out);
		return -ENOMEM;
	}
	BIO_set_mem_eof_return(k->in, -1);
	BIO_set_mem_eof_return(k->out, -1);
	SSL_set_bio(k->ssl, k->in, k->out);
	SSL_set_connect_state(k->ssl);
	k->state = HANDSHAKE;
	return 0;
}

static int write_km2(struct ovpn_client *c)
{
	struct km2 *k = &c->key.ours;
	uint8_t message[8192] = {0};
	int n;

	if (c->conf.km2)
		return SSL_write(c->key.ssl, c->conf.km2, (int)c->conf.km2_len) > 0 ? 0 : -EPROTO;
	if (secret_random(k->pre_master, sizeof(k->pre_master)) < 0 ||
		secret_random(k->random1, sizeof(k->random1)) < 0 ||
		secret_random(k->random2, sizeof(k->random2)) < 0)
		return -EIO;
	snprintf(k->options, sizeof(k->options), "V4,dev-type tun,key-method 2,tls-client");
	n = km2_pack_client(k, c->conf.peer_info, message, sizeof(message));
	if (n < 0 || SSL_write(c->key.ssl, message, n + (int)c->conf.km2_extra) <= 0)
		return -EPROTO;
	if (c->conf.push_request_early)
		(void)SSL_write(c->key.ssl, "PUSH_REQUEST", 13);
	return 0;
}

static void handshake(struct ovpn_client *c)
{
	const int rc = SSL_do_handshake(c->key.ssl);

	if (rc != 1) {
		if (SSL_get_error(c->key.ssl, rc) != SSL_ERROR_WANT_READ)
			failed(c, "TLS failed");
		return;
	}
	if (c->conf.stop == OVPN_STOP_BEFORE_KM2)
		return;
	if (write_km2(c) < 0)
		failed(c, "no key method 2 message");
	c->key.state = WAIT_KM2;
}

int ovpn_client_say(struct ovpn_client *c, const void *text, size_t n, uint64_t now_ms)
{
	if (!c->key.ssl || SSL_write(c->key.ssl, text, (int)n) <= 0)
		return -EPROTO;
	flush(c, now_ms);
	return 0;
}

/* ---- keys ---- */

static void derive(struct ovpn_client *c)
{
	struct ovpn_client_event *e;
	struct ovpn_key2 key2 = {{0}};
	int rc;

	if (c->tls_ekm)
		rc = SSL_export_keying_material(c->key.ssl, key2.bytes, sizeof(key2.bytes),
			     OVPN_EKM_DATA, strlen(OVPN_EKM_DATA), NULL, 0, 0) == 1
			     ? 0
			     : -EIO;
	else
		rc = ovpn_prf_keys(&c->key.ours, &c->key.theirs, c->sid, c->server_sid, &key2);
	if (rc < 0) {
		failed(c, "no keys");
		return;
	}
	e = happened(c, OVPN_CLIENT_KEYS);
	e->epoch = c->epoch;
	ovpn_data_keys_split(&e->keys, &key2, c->cipher, OVPN_CLIENT, c->epoch);
	ovpn_key2_wipe(&key2);
}

static void begin_dynamic(struct ovpn_client *c)
{
	struct ovpn_key2 exported, mixed;

	if (SSL_export_keying_material(c->key.ssl, exported.bytes, sizeof(exported.bytes),
		    OVPN_EKM_TLS_CRYPT, strlen(OVPN_EKM_TLS_CRYPT), NULL, 0, 0) != 1) {
		failed(c, "no keys");
		return;
	}
	ovpn_key2_mix(&mixed, exported.bytes, &c->conf.key);
	ovpn_wrap_init(&c->dynamic, &mixed, OVPN_CLIENT, 1, c->unix_s);
	c->has_dynamic = true;
}

static bool cipher_of(const char *options, enum aead_cipher *out)
{
	const char *at = strstr(options, ",cipher ");
	const size_t n = at ? strcspn(at + 8, ",") : 0;

	for (enum aead_cipher x = AEAD_CHACHA20_POLY1305; x <= AEAD_AES_128_GCM; x++)
		if (n && strlen(km2_cipher_name(x)) == n &&
			strncmp(km2_cipher_name(x), at + 8, n) == 0) {
			*out = x;
			return true;
		}
	return false;
}

static void take_options(struct ovpn_client *c)
{
	const char *peer_id = strstr(c->options, ",peer-id ");
	struct ovpn_client_event *e;

	if (c->up)
		return;
	if (!cipher_of(c->options, &c->cipher)) {
		failed(c, "no cipher was pushed");
		return;
	}
	c->up = true;
	c->peer_id = peer_id ? (uint32_t)strtoul(peer_id + 9, NULL, 10) : OVPN_NO_PEER_ID;
	c->tls_ekm = strstr(c->options, "tls-ekm");
	c->epoch = strstr(c->options, "aead-epoch");
	derive(c);
	if (strstr(c->options, "dyn-tls-crypt"))
		begin_dynamic(c);
	e = happened(c, OVPN_CLIENT_UP);
	put_text(e, c->options);
}

/* ---- messages ---- */

static void take_push(struct ovpn_client *c, const char *text)
{
	static const char more[] = ",push-continuation 2";
	const size_t n = strlen(text), have = strlen(c->options);

	if (c->up)
		return;
	snprintf(c->options + have, sizeof(c->options) - have, "%s", text + strlen("PUSH_REPLY"));
	if (n < sizeof(more) || strcmp(text + n - sizeof(more) + 1, more) != 0)
		take_options(c);
}

static void take_record(struct ovpn_client *c, uint8_t *p, size_t n, uint64_t now_ms)
{
	if (c->key.state == WAIT_KM2) {
		if (km2_parse_server(&c->key.theirs, p, n) < 0) {
			failed(c, "the server's key method 2 message is malformed");
			return;
		}
		c->key.state = WAIT_ACKS;
		c->ask_at_ms = now_ms + ASK_FIRST_MS;
		if (c->key.id > 0)
			derive(c);
		return;
	}
	if (n == 0 || p[n - 1] != '\0')
		return;
	if (strncmp((const char *)p, "PUSH_REPLY", 10) == 0)
		take_push(c, (const char *)p);
	else
		put_text(happened(c, OVPN_CLIENT_TEXT), (const char *)p);
}

static void read_records(struct ovpn_client *c, uint64_t now_ms)
{
	uint8_t record[4096];
	int n = 0;

	while (c->key.state != FAILED && (n = SSL_read(c->key.ssl, record, sizeof(record))) > 0)
		take_record(c, record, (size_t)n, now_ms);
	if (c->key.state != FAILED && SSL_get_error(c->key.ssl, n) == SSL_ERROR_SSL)
		failed(c, "TLS failed");
}

static void take_message(
	struct ovpn_client *c, uint8_t op, const uint8_t *p, size_t n, uint64_t now_ms)
{
	static const uint8_t resend[] = {0, 1, 0, 2, 0, 1};

	if (op == OVPN_RESET_SERVER_V2 || op == OVPN_SOFT_RESET) {
		c->resend = n == sizeof(resend) && memcmp(p, resend, n) == 0;
		if (c->conf.stop == OVPN_STOP_BEFORE_HELLO) {
			if (c->resend && queue(c, OVPN_CONTROL_WKC, NULL, 0, now_ms) < 0)
				failed(c, "no memory");
			return;
		}
		if (tls_begin(c) < 0)
			failed(c, "no memory");
		else
			handshake(c);
		return;
	}
	if (!c->key.ssl || n == 0 || BIO_write(c->key.in, p, (int)n) != (int)n)
		return;
	if (c->key.state == HANDSHAKE)
		handshake(c);
	if (c->key.state > HANDSHAKE && c->key.state < FAILED)
		read_records(c, now_ms);
}

static void deliver(struct ovpn_client *c, uint64_t now_ms)
{
	const uint8_t *p;
	uint8_t op;
	size_t n;

	ERR_clear_error();
	while (c->key.state != FAILED && reliable_next(c->key.messages, &op, &p, &n))
		take_message(c, op, p, n, now_ms);
	ERR_clear_error();
}

static bool may_rekey(const struct ovpn_client *c)
{
	return c->up && c->key.state == ESTABLISHED;
}

static uint8_t next_key_id(const struct ovpn_client *c)
{
	return (uint8_t)(c->key.id % (OVPN_KEY_IDS - 1) + 1);
}

void ovpn_client_rekey(struct ovpn_client *c, uint64_t now_ms)
{
	if (!may_rekey(c))
		return;
	if (key_begin(c, next_key_id(c), now_ms) < 0 ||
		queue(c, OVPN_SOFT_RESET, NULL, 0, now_ms) < 0)
		failed(c, "no memory");
	flush(c, now_ms);
}

static void settle(struct ovpn_client *c, uint64_t now_ms)
{
	if (c->key.state == WAIT_ACKS && reliable_idle(c->key.messages) &&
		BIO_ctrl_pending(c->key.out) == 0) {
		c->key.state = ESTABLISHED;
		c->key.established_ms = now_ms;
	}
	flush(c, now_ms);
}

int ovpn_client_input(struct ovpn_client *c, const uint8_t *packet, size_t n, uint64_t now_ms)
{
	uint8_t buf[OVPN_TAIL_MAX];
	struct ovpn_opened o;
	struct ovpn_tail t;
	const uint8_t key_id = n ? ovpn_key_id(packet[0]) : 0;
	uint8_t op;

	if (ovpn_wrap_open(wrap_of(c, key_id), packet, n, true, buf, &o) < 0)
		return -EBADMSG;
	op = (uint8_t)ovpn_opcode(o.first);
	if (ovpn_tail_parse(&t, op == OVPN_ACK, o.tail, o.tail_len) < 0)
		return -EBADMSG;
	if (t.n_acks > 0 && memcmp(t.remote_sid, c->sid, OVPN_SID) != 0)
		return -EBADMSG;
	if (op == OVPN_RESET_SERVER_V2 && c->key.state == WAIT_RESET)
		memcpy(c->server_sid, o.sid, OVPN_SID);
	if (memcmp(c->server_sid, o.sid, OVPN_SID) != 0)
		return -EBADMSG;
	if (op == OVPN_SOFT_RESET && may_rekey(c) && key_id == next_key_id(c))
		ovpn_client_rekey(c, now_ms);
	if (key_id != c->key.id || c->key.state == FAILED)
		return -EBADMSG;
	if (c->conf.stop == OVPN_STOP_AFTER_KM2 && c->key.state >= WAIT_KM2)
		return 0;
	reliable_acked(c->key.messages, t.acks, t.n_acks);
	if (op != OVPN_ACK && reliable_take(c->key.messages, op, t.id, t.payload, t.payload_len) ==
				      RELIABLE_TAKEN)
		deliver(c, now_ms);
	settle(c, now_ms);
	return 0;
}

/* ---- the clock ---- */

void ovpn_client_tick(struct ovpn_client *c, uint64_t now_ms)
{
	if (!c->key.messages || c->key.state == FAILED)
		return;
	if ((c->key.state != ESTABLISHED || !c->up) &&
		now_ms - c->key.started_ms >= HAND_WINDOW_MS) {
		failed(c, "the handshake took too long");
		return;
	}
	if (c->key.state == ESTABLISHED && !c->up && !c->conf.no_push_request &&
		now_ms >= c->ask_at_ms) {
		c->ask_at_ms = now_ms + ASK_AGAIN_MS;
		if (ovpn_client_say(c, "PUSH_REQUEST", 13, now_ms) < 0)
			failed(c, "TLS failed");
	}
	if (c->conf.reneg_ms && may_rekey(c) && now_ms - c->key.established_ms >= c->conf.reneg_ms)
		ovpn_client_rekey(c, now_ms);
	flush(c, now_ms);
}

uint64_t ovpn_client_next_due(const struct ovpn_client *c, uint64_t now_ms)
{
	uint64_t due = UINT64_MAX, at;

	if (!c->key.messages || c->key.state == FAILED)
		return due;
	due = reliable_next_due(c->key.messages, now_ms);
	if (c->key.state != ESTABLISHED || !c->up)
		at = c->key.started_ms + HAND_WINDOW_MS;
	else
		at = c->conf.reneg_ms ? c->key.established_ms + c->conf.reneg_ms : UINT64_MAX;
	due = at < due ? at : due;
	if (c->key.state == ESTABLISHED && !c->up && c->ask_at_ms < due)
		due = c->ask_at_ms;
	return due;
}

const uint8_t *ovpn_client_sid(const struct ovpn_client *c)
{
	return c->sid;
}

const uint8_t *ovpn_client_server_sid(const struct ovpn_client *c)
{
	return c->server_sid;
}

uint8_t ovpn_client_key_id(const struct ovpn_client *c)
{
	return c->key.id;
}

bool ovpn_client_established(const struct ovpn_client *c)
{
	return c->key.state == ESTABLISHED;
}
