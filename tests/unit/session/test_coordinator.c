/*
 * The whole loop thread against a scripted dataplane on a real socket: synchronisation, what a
 * revocation waits for, keys before answers, calling peers back, sessions that nobody may have.
 *
 * The script is a thread that answers every request at once, unless told to hold answers back, and
 * writes down what it got.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "pki/keystore.h"
#include "session/coordinator.h"
#include "uapi/door.h"
#include "uapi/uapi.h"
#include "wg/wg_engine.h"

enum { LOG_MAX = 4096, WAIT_MS = 5000 };

struct seen {
	uint16_t type;
	uint32_t peer;
	struct ulid credential;
	uint64_t seq;
};

struct dataplane {
	char dir[64];
	char path[DOOR_PATH_MAX];
	int listener;
	_Atomic int ctl, punt;
	pthread_t thread;
	pthread_mutex_t lock;
	struct ulid boot;
	uint64_t session_seq;
	_Atomic bool stop;
	_Atomic bool hold; /* from the next PEER_DEL or SESSION_DEL on, answer nothing */
	_Atomic bool frozen;
	_Atomic bool refuse_sync; /* the next SYNC_END */
	_Atomic bool refuse_keys; /* the next SESSION_SET: no such peer */
	_Atomic bool hold_status; /* it is asked for, and nothing is answered until this is over */
	_Atomic int status_asked;
	_Atomic uint32_t peers; /* that its status tells */
	uint16_t version;	/* of the door, 0: the oldest */
	struct seen log[LOG_MAX];
	size_t n;
	struct uapi_peer_stats stats; /* told when stats.peer is asked for */
	bool has_stats;
	struct uapi_session_set keys; /* the last ones */
	_Atomic uint16_t mtu;	      /* of the last CONFIG_SET */
	uint8_t reinjected[UAPI_DATAGRAM_MAX];
	size_t reinjected_len;
	size_t reinjected_at; /* entries in the log before it */
};

static void reply(int fd, struct writer *w, uint8_t *frame)
{
	assert_int_equal(writer_end(w), 0);
	(void)!door_send(fd, frame, writer_len(w));
}

static void note(struct dataplane *d, uint16_t type, uint32_t peer, const struct ulid *credential,
	uint64_t seq)
{
	pthread_mutex_lock(&d->lock);
	if (d->n < LOG_MAX)
		d->log[d->n++] = (struct seen){
			type, peer, credential ? *credential : (struct ulid){.bytes = {0}}, seq};
	pthread_mutex_unlock(&d->lock);
}

static void on_request(struct dataplane *d, int fd, struct reader *r, const struct uapi_header *h)
{
	uint8_t frame[UAPI_CTL_MAX];
	struct writer w = writer_init(frame, sizeof(frame));
	uapi_begin(&w, h->type + 100, h->seq);
	const struct uapi_reply ok = {0}, no = {.status = ENOENT};
	if (h->type == UAPI_HELLO_MSG) {
		struct uapi_hello m;
		uapi_unpack_hello(r, &m);
		if (m.channel == UAPI_CTL)
			d->ctl = fd;
		else
			d->punt = fd;
		const struct uapi_hello_reply a = {
			.version = d->version ? d->version : UAPI_VERSION_MIN,
			.boot_id = d->boot,
			.max_peers = 64,
			.max_indices = 64,
			.session_seq = d->session_seq,
			.software = "test"};
		uapi_pack_hello_reply(&w, &a);
	} else if (h->type == UAPI_SYNC_END_MSG) {
		const struct uapi_sync_end_reply a = {
			.status = atomic_exchange(&d->refuse_sync, false) ? ENOMEM : 0};
		uapi_pack_sync_end_reply(&w, &a);
		note(d, h->type, 0, NULL, 0);
	} else if (h->type == UAPI_STATS_GET_MSG) {
		pthread_mutex_lock(&d->lock);
		const struct uapi_stats_reply a = {.count = d->has_stats};
		uapi_pack_stats_reply(&w, &a);
		if (d->has_stats)
			uapi_pack_peer_stats(&w, &d->stats);
		pthread_mutex_unlock(&d->lock);
	} else if (h->type == UAPI_USAGE_GET_MSG) {
		const struct uapi_usage_reply a = {.resident_bytes = 1 << 20, .cpu_ms = 1500};
		uapi_pack_usage_reply(&w, &a);
		note(d, h->type, 0, NULL, 0);
	} else if (h->type == UAPI_STATUS_GET_MSG) {
		static const uint8_t tail[] = "\5udp:7\7dropped\1\0\0\0\0\0\0\0\3ABC\3xyz";
		d->status_asked++;
		while (d->hold_status && !d->stop)
			usleep(1000);
		const struct uapi_status_reply a = {
			.tun = "t", .peers = d->peers, .listeners = 1, .verdicts = 1, .ciphers = 1};
		uapi_pack_status_reply(&w, &a);
		writer_bytes(&w, tail, sizeof(tail) - 1);
	} else {
		struct seen s = {.type = h->type};
		if (h->type == UAPI_CONFIG_SET_MSG) {
			struct uapi_config_set m;
			uapi_unpack_config_set(r, &m);
			d->mtu = m.mtu;
		} else if (h->type == UAPI_PEER_SET_MSG) {
			struct uapi_peer_set m;
			uapi_unpack_peer_set(r, &m);
			s.peer = m.peer;
		} else if (h->type == UAPI_PEER_DEL_MSG) {
			struct uapi_peer_del m;
			uapi_unpack_peer_del(r, &m);
			s.peer = m.peer;
		} else if (h->type == UAPI_SESSION_DEL_MSG) {
			struct uapi_session_del m;
			uapi_unpack_session_del(r, &m);
			s.peer = m.peer;
			s.credential = m.credential;
		} else if (h->type == UAPI_SESSION_SET_MSG) {
			pthread_mutex_lock(&d->lock);
			uapi_unpack_session_set(r, &d->keys);
			s.peer = d->keys.peer;
			s.seq = d->keys.seq;
			pthread_mutex_unlock(&d->lock);
		}
		note(d, s.type, s.peer, &s.credential, s.seq);
		if (d->hold && (h->type == UAPI_PEER_DEL_MSG || h->type == UAPI_SESSION_DEL_MSG))
			d->frozen = true;
		const bool refused =
			h->type == UAPI_SESSION_SET_MSG && atomic_exchange(&d->refuse_keys, false);
		uapi_pack_reply(&w, refused ? &no : &ok);
	}
	if (d->frozen)
		return;
	reply(fd, &w, frame);
}

static bool on_frame(struct dataplane *d, int fd)
{
	uint8_t frame[UAPI_CTL_MAX];
	ssize_t n = door_recv(fd, frame, sizeof(frame));
	if (n <= 0)
		return n == -EAGAIN;
	struct reader r = reader_init(frame, (size_t)n);
	struct uapi_header h;
	const bool punt = fd == d->punt;
	if (uapi_open(&r, &h, UAPI_FROM_CONTROL, punt ? UAPI_PUNT : UAPI_CTL,
		    fd == d->ctl || punt ? UAPI_READY : UAPI_NEW) < 0)
		return false;
	if (h.type == UAPI_REINJECT_MSG) {
		struct uapi_punt m;
		uapi_unpack_punt(&r, &m);
		pthread_mutex_lock(&d->lock);
		d->reinjected_len = reader_left(&r);
		memcpy(d->reinjected, r.at, d->reinjected_len);
		d->reinjected_at = d->n;
		pthread_mutex_unlock(&d->lock);
		return true;
	}
	on_request(d, fd, &r, &h);
	return true;
}

static void *serve(void *arg)
{
	struct dataplane *d = arg;
	struct pollfd fds[8] = {{.fd = d->listener, .events = POLLIN}};
	size_t n = 1;
	while (!d->stop) {
		poll(fds, n, 10);
		for (size_t i = 1; i < n; i++) {
			if (fds[i].revents && !on_frame(d, fds[i].fd)) {
				if (fds[i].fd == d->ctl)
					d->ctl = -1;
				if (fds[i].fd == d->punt)
					d->punt = -1;
				close(fds[i].fd);
				fds[i] = fds[--n];
			}
		}
		int fd =
			n < 8 ? accept4(d->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
		if (fd >= 0)
			fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	while (n > 1)
		close(fds[--n].fd);
	return NULL;
}

static void dataplane_start(struct dataplane *d)
{
	d->stop = false;
	d->ctl = d->punt = -1;
	assert_int_equal(secret_random(&d->boot, sizeof(d->boot)), 0);
	d->listener = door_listen(d->path);
	assert_true(d->listener >= 0);
	assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
}

static void dataplane_stop(struct dataplane *d)
{
	d->stop = true;
	pthread_join(d->thread, NULL);
	close(d->listener);
}

/* Everything that a test needs, with one device and one credential. */
struct rig {
	struct dataplane d;
	struct keystore *ks, *client_ks;
	struct coordinator *c;
	struct wg_engine *client;
	struct dir_device_conf device;
	struct dir_credential_conf credential;
	struct device_state state;
	_Atomic int states;
	_Atomic int news[NEWS_DATAPLANE_LOST + 1]; /* how many of each */
	_Atomic int why;			   /* of the last end */
	_Atomic int rounds;
	_Atomic uint64_t counted_rx; /* of our device in the last round */
	struct ulid user;	     /* of the last news of a session */
	uint64_t client_ms; /* the client's clock runs ahead, so that it may shake hands again at
			       once */
	char key_file[2][96];
};

static void on_device_state(void *arg, const struct device_state *s, size_t n)
{
	struct rig *rig = arg;
	rig->state = s[n - 1];
	rig->states++;
}

static void on_credential_state(void *arg, const struct credential_state *s, size_t n)
{
	(void)arg;
	(void)s;
	(void)n;
}

static void on_event(void *arg, const struct coordinator_event *e)
{
	struct rig *rig = arg;
	assert_true(e->at > 0);
	rig->user = e->session.user_id;
	if (e->what == NEWS_SESSION_ENDED)
		rig->why = (int)e->why;
	rig->news[e->what]++;
}

static void on_counters(
	void *arg, const struct ulid *boot, const struct device_counters *c, size_t n)
{
	struct rig *rig = arg;
	assert_true(ulid_equal(boot, &rig->d.boot));
	for (size_t i = 0; i < n; i++)
		if (ulid_equal(&c[i].device_id, &rig->device.id))
			rig->counted_rx = c[i].rx_bytes;
	rig->rounds++;
}

static uint32_t client_index(void *arg, const struct ulid *credential)
{
	(void)arg;
	(void)credential;
	return 0x11223344;
}

static void client_index_free(void *arg, uint32_t index)
{
	(void)arg;
	(void)index;
}

static void coordinator_make(struct rig *rig, const struct device_state *state)
{
	struct coordinator_conf cc = {
		.run_dir = rig->d.dir, .mtu = 1420, .clock = clock_system(), .ks = rig->ks};
	assert_int_equal(ip_prefix_parse(&cc.net4, "10.77.0.0/16"), 0);
	assert_int_equal(ip_prefix_parse(&cc.net6, "fd00::/64"), 0);
	const struct coordinator_hooks hooks = {
		on_device_state, on_credential_state, rig, on_event, on_counters};
	assert_int_equal(coordinator_new(&rig->c, &cc, &hooks), 0);
	assert_int_equal(coordinator_load_device(rig->c, &rig->device, state), 0);
	assert_int_equal(coordinator_load_credential(rig->c, &rig->credential, NULL), 0);
	assert_int_equal(coordinator_start(rig->c), 0);
}

static void keystore_make(struct rig *rig, int i, struct keystore **ks)
{
	uint8_t blob[KEYSTORE_WG_BLOB];
	char dir[sizeof(rig->d.dir)];
	memcpy(dir, rig->d.dir, sizeof(dir));
	snprintf(rig->key_file[i], sizeof(rig->key_file[i]), "%.63s/key%d", dir, i);
	assert_int_equal(keystore_open(ks, rig->key_file[i], true), 0);
	assert_int_equal(keystore_wg_create(*ks, blob), 0);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct clock clock = clock_system();
	assert_int_equal(aead_init(), 0);
	assert_int_equal(blake2s_init(), 0);
	snprintf(rig->d.dir, sizeof(rig->d.dir), "/tmp/ireko-test-XXXXXX");
	assert_non_null(mkdtemp(rig->d.dir));
	assert_int_equal(door_path(rig->d.path, rig->d.dir), 0);
	pthread_mutex_init(&rig->d.lock, NULL);
	keystore_make(rig, 0, &rig->ks);
	keystore_make(rig, 1, &rig->client_ks);

	assert_int_equal(ulid_new(&rig->device.id, &clock), 0);
	assert_int_equal(ulid_new(&rig->credential.id, &clock), 0);
	rig->device.peer = 5;
	assert_int_equal(ip_addr_parse(&rig->device.addr4, "10.77.0.2"), 0);
	assert_int_equal(ip_addr_parse(&rig->device.addr6, "fd00::2"), 0);
	rig->credential.device_id = rig->device.id;
	rig->credential.protocol = DIR_WIREGUARD;
	memcpy(rig->credential.wg_public, keystore_wg_public(rig->client_ks), 32);
	memset(rig->credential.wg_psk, 0x55, 32);

	const struct wg_ops ops = {client_index, client_index_free, NULL};
	assert_int_equal(wg_engine_new(&rig->client, rig->client_ks, &ops), 0);
	assert_int_equal(wg_engine_peer_set(rig->client, &rig->credential.id,
				 keystore_wg_public(rig->ks), rig->credential.wg_psk, NULL),
		0);
	dataplane_start(&rig->d);
	coordinator_make(rig, NULL);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	coordinator_stop(rig->c);
	coordinator_free(rig->c);
	if (!rig->d.stop)
		dataplane_stop(&rig->d);
	wg_engine_free(rig->client);
	keystore_free(rig->ks);
	keystore_free(rig->client_ks);
	unlink(rig->d.path);
	unlink(rig->key_file[0]);
	unlink(rig->key_file[1]);
	rmdir(rig->d.dir);
	free(rig);
	return 0;
}

/* How many frames of that type came. */
static size_t seen(struct dataplane *d, uint16_t type, struct seen *last)
{
	size_t n = 0;
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < d->n; i++) {
		if (d->log[i].type != type)
			continue;
		n++;
		if (last)
			*last = d->log[i];
	}
	pthread_mutex_unlock(&d->lock);
	return n;
}

#define eventually(condition)                                                                      \
	do {                                                                                       \
		int left = WAIT_MS / 5;                                                            \
		while (!(condition) && left--)                                                     \
			usleep(5000);                                                              \
		assert_true(condition);                                                            \
	} while (0)

static bool synced(struct rig *rig)
{
	struct dataplane_status s;
	coordinator_dataplane_status(rig->c, &s);
	return s.connected;
}

static const struct path here = {
	.remote = {.addr = {.family = IP_V4, .bytes = {192, 0, 2, 7}}, .port = 4000}};

static void punt(struct rig *rig, const uint8_t *datagram, size_t len)
{
	uint8_t frame[UAPI_PUNT_MAX];
	struct writer w = writer_init(frame, sizeof(frame));
	const struct uapi_punt m = {.path = here};
	uapi_begin(&w, UAPI_PUNT_MSG, 0);
	uapi_pack_punt(&w, &m);
	writer_bytes(&w, datagram, len);
	assert_int_equal(door_send(rig->d.punt, frame, writer_len(&w)), 0);
}

static void event(struct rig *rig, enum uapi_type type, uint64_t seq)
{
	uint8_t frame[64];
	struct writer w = writer_init(frame, sizeof(frame));
	const struct uapi_session_event m = {.peer = rig->device.peer, .seq = seq};
	uapi_begin(&w, type, 0);
	uapi_pack_session_event(&w, &m);
	assert_int_equal(door_send(rig->d.ctl, frame, writer_len(&w)), 0);
}

static size_t reinjected(struct rig *rig)
{
	pthread_mutex_lock(&rig->d.lock);
	size_t n = rig->d.reinjected_len;
	pthread_mutex_unlock(&rig->d.lock);
	return n;
}

/* A handshake by a client of ours, up to its confirmation. */
static void connect_client(struct rig *rig)
{
	struct wg_out out;
	struct clock clock = clock_system();
	eventually(synced(rig));
	rig->d.reinjected_len = 0;
	rig->client_ms += 10000;
	assert_int_equal(wg_engine_initiate(rig->client, &rig->credential.id, &here, rig->client_ms,
				 clock_real_us(&clock) + (int64_t)rig->client_ms * 1000, &out),
		0);
	punt(rig, out.bytes, out.len);
	eventually(reinjected(rig) == 92);
	event(rig, UAPI_SESSION_CONFIRMED_MSG, rig->d.keys.seq);
	/* What statistics will say from now on. */
	pthread_mutex_lock(&rig->d.lock);
	rig->d.stats = (struct uapi_peer_stats){.peer = rig->device.peer,
		.epoch = 1,
		.up = 1,
		.protocol = UAPI_WIREGUARD,
		.transport = UAPI_UDP,
		.cipher = AEAD_CHACHA20_POLY1305,
		.tunnel = rig->d.keys.tunnel,
		.credential = rig->d.keys.credential,
		.tunnel_started_ms = rig->d.keys.tunnel_started_ms,
		.handshake_ms = rig->d.keys.handshake_ms,
		.local_index = rig->d.keys.local_index,
		.path = here,
		.rx_bytes = 1000,
		.tunnel_rx_bytes = 1000};
	rig->d.has_stats = true;
	pthread_mutex_unlock(&rig->d.lock);
}

static size_t n_sessions(struct rig *rig)
{
	struct session_info *all;
	size_t n;
	assert_int_equal(coordinator_sessions(rig->c, &all, &n), 0);
	free(all);
	return n;
}

static void synchronises(void **state)
{
	struct rig *rig = *state;
	struct seen last;
	eventually(synced(rig));
	assert_int_equal(seen(&rig->d, UAPI_CONFIG_SET_MSG, NULL), 1);
	assert_int_equal(seen(&rig->d, UAPI_PEER_SET_MSG, &last), 1);
	assert_int_equal(last.peer, 5);
	assert_int_equal(seen(&rig->d, UAPI_SYNC_END_MSG, NULL), 1);
}

/* Every part of the answer's tail, once it is there. */
static void its_status_is_known(void **state)
{
	struct rig *rig = *state;
	struct dataplane_status s;

	eventually((coordinator_dataplane_status(rig->c, &s), s.n_aead == 1));
	assert_string_equal(s.tun, "t");
	assert_int_equal(s.n_listen, 1);
	assert_string_equal(s.listen[0], "udp:7");
	assert_int_equal(s.n_verdicts, 1);
	assert_string_equal(s.verdicts[0].name, "dropped");
	assert_int_equal(s.verdicts[0].count, 1);
	assert_string_equal(s.aead[0].cipher, "ABC");
	assert_string_equal(s.aead[0].library, "xyz");
}

/* Readiness is this, so whoever waited for it must not see nothing, or the last dataplane's. */
static void connected_is_said_with_its_status(void **state)
{
	struct rig *rig = *state;
	struct dataplane_status s;

	eventually(synced(rig));
	coordinator_dataplane_status(rig->c, &s);
	assert_int_equal(s.n_listen, 1);
	dataplane_stop(&rig->d);
	eventually(!synced(rig));
	assert_int_equal(rig->news[NEWS_DATAPLANE_CONNECTED], 1);
	assert_false(s.usage_known);
	assert_int_equal(seen(&rig->d, UAPI_USAGE_GET_MSG, NULL), 0); /* it would not know it */
	rig->d.peers = 7;
	rig->d.version = UAPI_VERSION_USAGE;
	rig->d.hold_status = true;
	rig->d.status_asked = 0;
	dataplane_start(&rig->d);
	eventually(rig->d.status_asked > 0);
	assert_int_equal(seen(&rig->d, UAPI_SYNC_END_MSG, NULL), 2);
	assert_false(synced(rig));
	assert_int_equal(rig->news[NEWS_DATAPLANE_CONNECTED], 1);
	rig->d.hold_status = false;
	eventually((coordinator_dataplane_status(rig->c, &s), s.connected));
	assert_int_equal(s.peers, 7);
	assert_true(s.usage_known);
	assert_int_equal(s.usage.resident_bytes, 1 << 20);
	assert_int_equal(s.usage.cpu_ms, 1500);
	eventually(rig->news[NEWS_DATAPLANE_CONNECTED] == 2);
}

/* Another MTU reaches the dataplane at once, and a synchronisation later. */
static void the_tunnel_changes(void **state)
{
	struct rig *rig = *state;
	eventually(synced(rig));
	assert_int_equal(rig->d.mtu, 1420);
	assert_int_equal(coordinator_tunnel_set(rig->c, "9.9.9.9", 1300), 0);
	eventually(rig->d.mtu == 1300);
	assert_int_equal(seen(&rig->d, UAPI_CONFIG_SET_MSG, NULL), 2);
	/* Resolvers are none of its business. */
	assert_int_equal(coordinator_tunnel_set(rig->c, "9.9.9.8", 1300), 0);
	assert_int_equal(coordinator_tunnel_set(rig->c, "", 1280), 0);
	eventually(rig->d.mtu == 1280);
	assert_int_equal(seen(&rig->d, UAPI_CONFIG_SET_MSG, NULL), 3);
}

static void keys_come_before_the_answer(void **state)
{
	struct rig *rig = *state;
	connect_client(rig);
	/* SESSION_SET was in the log before the response came back. */
	assert_int_equal(seen(&rig->d, UAPI_SESSION_SET_MSG, NULL), 1);
	assert_int_equal(rig->d.log[rig->d.reinjected_at - 1].type, UAPI_SESSION_SET_MSG);
	struct wg_result res;
	wg_engine_input(rig->client, rig->d.reinjected, rig->d.reinjected_len, &here, 1, &res);
	assert_int_equal(res.verdict, WG_SESSION);
	assert_memory_equal(res.seal, rig->d.keys.open, 32);
	assert_memory_equal(res.open, rig->d.keys.seal, 32);
	assert_int_equal(res.remote_index, rig->d.keys.local_index);
	wg_result_wipe(&res);
	eventually(n_sessions(rig) == 1);
	struct device_live live;
	assert_int_equal(coordinator_device_live(rig->c, &rig->device.id, &live), 0);
	assert_true(live.connected);
	eventually(coordinator_device_live(rig->c, &rig->device.id, &live) == 0 &&
		   live.rx_bytes == 1000);
	eventually(rig->states > 0);
	assert_true(rig->state.was_up);
}

static void a_revocation_waits_for_the_word(void **state)
{
	struct rig *rig = *state;
	struct seen last;
	connect_client(rig);
	eventually(n_sessions(rig) == 1);
	assert_int_equal(coordinator_credential_revoke(rig->c, &rig->credential.id), 0);
	assert_int_equal(seen(&rig->d, UAPI_SESSION_DEL_MSG, &last), 1);
	assert_int_equal(last.peer, 5);
	assert_true(ulid_equal(&last.credential, &rig->credential.id));
	assert_int_equal(n_sessions(rig), 0);
	/* The client cannot come back. */
	const size_t before = seen(&rig->d, UAPI_SESSION_SET_MSG, NULL);
	struct wg_out out;
	struct clock clock = clock_system();
	assert_int_equal(
		wg_engine_initiate(rig->client, &rig->credential.id, &here,
			clock_mono_ms(&clock) + 60000, clock_real_us(&clock) + 60000000, &out),
		0);
	punt(rig, out.bytes, out.len);
	assert_int_equal(coordinator_device_revoke(rig->c, &rig->device.id), 0);
	assert_int_equal(seen(&rig->d, UAPI_PEER_DEL_MSG, NULL), 1);
	assert_int_equal(seen(&rig->d, UAPI_SESSION_SET_MSG, NULL), before);
}

static void without_the_word_it_says_so(void **state)
{
	struct rig *rig = *state;
	eventually(synced(rig));
	rig->d.hold = true;
	assert_int_equal(coordinator_device_revoke(rig->c, &rig->device.id), -ETIMEDOUT);
	/* Nor is it done by being asked again. */
	assert_int_equal(coordinator_device_revoke(rig->c, &rig->device.id), -ETIMEDOUT);
	rig->d.hold = rig->d.frozen = false;
	shutdown(rig->d.ctl, SHUT_RDWR);
	assert_int_equal(coordinator_device_revoke(rig->c, &rig->device.id), 0);
}

struct waiter {
	struct rig *rig;
	int result;
};

static void *revoke_credential(void *arg)
{
	struct waiter *w = arg;
	w->result = coordinator_credential_revoke(w->rig->c, &w->rig->credential.id);
	return NULL;
}

static void the_end_waits_for_nobody(void **state)
{
	struct rig *rig = *state;
	struct clock clock = clock_system();
	eventually(synced(rig));
	rig->d.hold = true;
	struct waiter w = {.rig = rig, .result = 1};
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, revoke_credential, &w), 0);
	eventually(seen(&rig->d, UAPI_SESSION_DEL_MSG, NULL) == 1);
	const uint64_t begun = clock_mono_ms(&clock);
	coordinator_stop(rig->c);
	pthread_join(t, NULL);
	assert_int_equal(w.result, -ETIMEDOUT);
	/* Requests that come later still find the door closed, not a mailbox that nobody empties.
	 */
	assert_int_equal(coordinator_device_revoke(rig->c, &rig->device.id), -ETIMEDOUT);
	assert_int_equal(coordinator_device_put(rig->c, &rig->device), 0);
	assert_true(clock_mono_ms(&clock) - begun < 1000);
}

static void a_refused_synchronisation_is_tried_again(void **state)
{
	struct rig *rig = *state;
	eventually(synced(rig));
	rig->d.refuse_sync = true;
	shutdown(rig->d.ctl, SHUT_RDWR);
	eventually(seen(&rig->d, UAPI_SYNC_END_MSG, NULL) == 3);
	eventually(synced(rig));
}

static void a_peer_that_the_dataplane_lacks_is_named_again(void **state)
{
	struct rig *rig = *state;
	struct wg_out out;
	struct clock clock = clock_system();
	eventually(synced(rig));
	rig->d.refuse_keys = true;
	assert_int_equal(wg_engine_initiate(rig->client, &rig->credential.id, &here, 1,
				 clock_real_us(&clock), &out),
		0);
	punt(rig, out.bytes, out.len);
	eventually(seen(&rig->d, UAPI_PEER_SET_MSG, NULL) == 2);
	assert_int_equal(reinjected(rig), 0);
	usleep(25000);
	connect_client(rig);
	eventually(n_sessions(rig) == 1);
}

/* 64 slots, each held for minutes. */
static void one_peer_does_not_use_up_the_indices(void **state)
{
	struct rig *rig = *state;
	for (int i = 0; i < 80; i++) {
		connect_client(rig);
		usleep(25000); /* faster is refused */
	}
	assert_int_equal(seen(&rig->d, UAPI_SESSION_SET_MSG, NULL), 80);
}

static void without_a_dataplane_it_is_done(void **state)
{
	struct rig *rig = *state;
	eventually(synced(rig));
	dataplane_stop(&rig->d);
	unlink(rig->d.path);
	assert_int_equal(coordinator_credential_revoke(rig->c, &rig->credential.id), 0);
	assert_int_equal(coordinator_device_revoke(rig->c, &rig->device.id), 0);
}

static void a_cut_connection_is_asked_again(void **state)
{
	struct rig *rig = *state;
	eventually(synced(rig));
	rig->d.hold = true;
	struct waiter w = {.rig = rig, .result = 1};
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, revoke_credential, &w), 0);
	eventually(seen(&rig->d, UAPI_SESSION_DEL_MSG, NULL) == 1);
	rig->d.hold = rig->d.frozen = false;
	shutdown(rig->d.ctl, SHUT_RDWR); /* the same process goes on: its tunnels too */
	pthread_join(t, NULL);
	assert_int_equal(w.result, 0);
	assert_int_equal(seen(&rig->d, UAPI_SESSION_DEL_MSG, NULL), 2);
	assert_int_equal(seen(&rig->d, UAPI_SYNC_END_MSG, NULL), 2);
}

static void a_new_dataplane_calls_back(void **state)
{
	struct rig *rig = *state;
	connect_client(rig);
	eventually(n_sessions(rig) == 1);
	const uint64_t seq = rig->d.keys.seq;
	dataplane_stop(&rig->d);
	rig->d.has_stats = false;
	rig->d.reinjected_len = 0;
	dataplane_start(&rig->d);
	eventually(reinjected(rig) == 148);
	/* The client answers; the new keys have a higher number and the server's role. */
	struct wg_result res;
	wg_engine_input(rig->client, rig->d.reinjected, 148, &here, 1, &res);
	assert_int_equal(res.verdict, WG_SESSION);
	punt(rig, res.reply, res.reply_len);
	wg_result_wipe(&res);
	eventually(seen(&rig->d, UAPI_SESSION_SET_MSG, NULL) == 2);
	assert_true(rig->d.keys.seq > seq);
	assert_int_equal(rig->d.keys.role, UAPI_INITIATOR);
}

static void our_restart_adopts_what_lives(void **state)
{
	struct rig *rig = *state;
	connect_client(rig);
	eventually(n_sessions(rig) == 1);
	eventually(rig->states > 0);
	coordinator_stop(rig->c);
	coordinator_free(rig->c);
	rig->d.session_seq = rig->d.keys.seq;
	const struct device_state last = rig->state;
	coordinator_make(rig, &last);
	eventually(n_sessions(rig) == 1);
	struct session_info *all;
	size_t n;
	assert_int_equal(coordinator_sessions(rig->c, &all, &n), 0);
	assert_true(ulid_equal(&all[0].id, &rig->d.keys.tunnel));
	free(all);
	assert_int_equal(seen(&rig->d, UAPI_SESSION_SET_MSG, NULL), 1);
	assert_int_equal(seen(&rig->d, UAPI_SESSION_DEL_MSG, NULL), 0);
	/* Its number goes on above what the dataplane has seen. */
	connect_client(rig);
	assert_true(rig->d.keys.seq > last.epoch);
	assert_int_equal(seen(&rig->d, UAPI_SESSION_SET_MSG, NULL), 2);
	struct seen s;
	seen(&rig->d, UAPI_SESSION_SET_MSG, &s);
	assert_true(s.seq > rig->d.session_seq);
}

static void a_session_without_a_credential_is_ended(void **state)
{
	struct rig *rig = *state;
	struct seen last;
	eventually(synced(rig));
	pthread_mutex_lock(&rig->d.lock);
	rig->d.stats = (struct uapi_peer_stats){
		.peer = 5, .up = 1, .credential = {.bytes = {0xee}}, .path = here};
	rig->d.has_stats = true;
	pthread_mutex_unlock(&rig->d.lock);
	eventually(seen(&rig->d, UAPI_SESSION_DEL_MSG, &last) > 0);
	assert_int_equal(last.credential.bytes[0], 0xee);
	assert_int_equal(n_sessions(rig), 0);
}

static void expiry_ends_by_itself(void **state)
{
	struct rig *rig = *state;
	struct clock clock = clock_system();
	eventually(synced(rig));
	struct dir_device_conf d = rig->device;
	d.expires_at = clock_real_ms(&clock) + 300;
	assert_int_equal(coordinator_device_put(rig->c, &d), 0);
	eventually(seen(&rig->d, UAPI_PEER_DEL_MSG, NULL) == 1);
	assert_true(clock_real_ms(&clock) >= d.expires_at);
	assert_true(clock_real_ms(&clock) < d.expires_at + 1000);
}

static void tells_what_happens(void **state)
{
	struct rig *rig = *state;
	connect_client(rig);
	eventually(rig->news[NEWS_DATAPLANE_CONNECTED] == 1);
	eventually(rig->news[NEWS_SESSION_STARTED] == 1);
	assert_true(ulid_equal(&rig->user, &rig->device.user_id));
	eventually(rig->counted_rx == 1000);
	const int rounds = rig->rounds;
	eventually(rig->rounds > rounds);

	pthread_mutex_lock(&rig->d.lock);
	rig->d.stats.path.remote.port++;
	pthread_mutex_unlock(&rig->d.lock);
	eventually(rig->news[NEWS_SESSION_ROAMED] == 1);

	pthread_mutex_lock(&rig->d.lock);
	rig->d.has_stats = false;
	pthread_mutex_unlock(&rig->d.lock);
	assert_int_equal(coordinator_device_revoke(rig->c, &rig->device.id), 0);
	assert_int_equal(rig->news[NEWS_SESSION_ENDED], 1);
	assert_int_equal(rig->why, SESSION_END_REVOKED);

	struct coordinator_figures f;
	eventually((
		coordinator_figures(rig->c, &f), f.n_handshakes > 0 && f.handshakes[0].count == 1));
	assert_string_equal(f.handshakes[0].result, "session");
	assert_int_equal(f.handshakes[0].protocol, UAPI_WIREGUARD);

	dataplane_stop(&rig->d);
	eventually(rig->news[NEWS_DATAPLANE_LOST] == 1);
	assert_int_equal(rig->news[NEWS_SESSION_STARTED], 1);
	assert_int_equal(rig->news[NEWS_SESSION_ENDED], 1);
}

static void a_slot_changes_hands(void **state)
{
	struct rig *rig = *state;
	eventually(synced(rig));
	struct dir_device_conf other = rig->device;
	other.id.bytes[0] ^= 0x80;
	assert_int_equal(coordinator_device_put(rig->c, &other), 0);
	eventually(seen(&rig->d, UAPI_PEER_SET_MSG, NULL) == 2);
	assert_int_equal(seen(&rig->d, UAPI_PEER_DEL_MSG, NULL), 1);
	assert_int_equal(coordinator_device_revoke(rig->c, &rig->device.id), 0);
	assert_int_equal(seen(&rig->d, UAPI_PEER_DEL_MSG, NULL), 1);
}

static void a_killed_session_is_gone_once(void **state)
{
	struct rig *rig = *state;
	connect_client(rig);
	eventually(n_sessions(rig) == 1);
	const struct ulid id = rig->d.keys.tunnel;
	rig->d.has_stats = false;
	assert_int_equal(coordinator_session_kill(rig->c, &id), 0);
	assert_int_equal(coordinator_session_kill(rig->c, &id), -ENOENT);
	assert_int_equal(seen(&rig->d, UAPI_SESSION_DEL_MSG, NULL), 1);
}

#define with_rig(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(synchronises),
		with_rig(its_status_is_known),
		with_rig(connected_is_said_with_its_status),
		with_rig(the_tunnel_changes),
		with_rig(keys_come_before_the_answer),
		with_rig(a_revocation_waits_for_the_word),
		with_rig(without_the_word_it_says_so),
		with_rig(the_end_waits_for_nobody),
		with_rig(a_refused_synchronisation_is_tried_again),
		with_rig(a_peer_that_the_dataplane_lacks_is_named_again),
		with_rig(one_peer_does_not_use_up_the_indices),
		with_rig(without_a_dataplane_it_is_done),
		with_rig(a_cut_connection_is_asked_again),
		with_rig(a_new_dataplane_calls_back),
		with_rig(our_restart_adopts_what_lives),
		with_rig(a_session_without_a_credential_is_ended),
		with_rig(expiry_ends_by_itself),
		with_rig(tells_what_happens),
		with_rig(a_slot_changes_hands),
		with_rig(a_killed_session_is_gone_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
