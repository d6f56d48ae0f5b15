/* Inside of the coordinator, shared by its files; nobody else includes it. Loop thread throughout.
 */
#ifndef SESSION_LOOP_H
#define SESSION_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <uv.h>

#include "directory/directory.h"
#include "dp/dp_client.h"
#include "session/coordinator.h"
#include "session/index_pool.h"
#include "session/table.h"
#include "pki/keystore.h"
#include "wg/wg_engine.h"

struct ovpn_engine;

/* How many sleeping tunnels are called per turn after a restart of the dataplane: about 5 ms. */
enum { RECALLS_PER_TURN = 32 };

/* A device whose client is to be told once more, and when (mono ms). */
struct farewell_again {
	struct ulid device;
	uint64_t due;
};

/* One job for the loop, from another thread (jobs.c). */
struct job {
	STAILQ_ENTRY(job) link;
	void (*run)(struct coordinator *c, struct job *j);
	union {
		struct dir_device_conf device;
		struct dir_credential_conf credential;
		struct ulid id;
		struct {
			struct ulid *ids;
			size_t n;
		} many;
		struct {
			char dns[256];
			uint16_t mtu;
		} tunnel;
	} u;
	bool owned; /* u.many.ids is freed with it */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int refs; /* a waiting thread and the loop; freed by whichever lets go last */
	int open; /* acknowledgements still missing, and one while it runs */
	int result;
};
STAILQ_HEAD(job_list, job);
STAILQ_HEAD(revocation_list, revocation);

/* REFUSED: the dataplane could not do what it was told; tried again every second. */
enum link_state { LINK_DOWN, LINK_SYNCING, LINK_SYNCED, LINK_REFUSED };

struct coordinator {
	struct coordinator_conf conf;
	struct coordinator_hooks hooks;
	char *run_dir;
	uv_loop_t loop;
	uv_async_t wake;
	uv_timer_t second, quick; /* statistics and hand-over; expiry and handshake retries */
	pthread_t thread;
	bool started;
	_Atomic bool stopping;

	pthread_mutex_t mailbox_lock;
	struct job_list mailbox;
	uint32_t n_mailbox;
	bool closed;		       /* with the mailbox: nobody runs what is posted now */
	size_t unconfirmed;	       /* revocations that the dataplane has not answered */
	struct revocation_list parked; /* wait for the door, or for the word that there is none */

	struct directory *dir;
	struct session_table *table;
	struct wg_engine *wg;
	struct ovpn_engine *ovpn; /* NULL: there is no authority, OpenVPN is not served */
	struct index_pool *indices, *peer_ids;
	uint64_t tls_made_at;	  /* mono ms: when the server certificate was renewed */
	uint64_t refusals_second; /* mono ms: begin of the second in which these were logged */
	uint32_t refusals_logged, refusals_silent;
	struct dp_client *dp;
	enum link_state link;
	struct ulid boot_id;
	uint16_t door_version; /* that was agreed upon */
	uint64_t session_seq;
	uint64_t sync_started;
	bool sync_refused;
	bool stats_running, status_running; /* asked for, not answered yet */
	uint64_t status_asked;		    /* when */
	struct ulid *recalls;		    /* devices still to be called, from the end */
	size_t n_recalls;
	struct farewell_again *again; /* in the order in which they were told first; room for all
					 recalls */
	size_t n_again, told_again;
	int64_t next_expiry; /* Unix ms, INT64_MAX: none */
	uint64_t handshakes[WG_VERDICT_COUNT];
	struct credential_state *greatest; /* to be stored */
	size_t n_greatest, cap_greatest;
	struct counters *counters; /* of a round of statistics (news.c) */
	bool told_connected;	   /* NEWS_DATAPLANE_CONNECTED was the last word about it */

	pthread_mutex_t status_lock;
	struct dataplane_status status;
	struct coordinator_figures figures;
};

/* jobs.c */
void jobs_run(struct coordinator *c);
void jobs_release_parked(struct coordinator *c);
/* The end: what waits is answered, what is posted from now on is refused. */
void jobs_fail_all(struct coordinator *c);
/* Takes it out of directory and engine, marks its tunnel as ended, has the dataplane drop its keys;
 * the job, when there is one, waits for that. */
void coordinator_drop_device(
	struct coordinator *c, struct dir_device *dev, struct job *j, enum session_end why);
void coordinator_drop_credential(
	struct coordinator *c, struct dir_credential *cr, struct job *j, enum session_end why);

/* link.c: the door comes and goes; synchronisation, statistics, status */
void link_on_up(void *arg, const struct uapi_hello_reply *hello);
void link_on_down(void *arg);
void link_on_event(void *arg, enum uapi_type type, struct reader *r);
void link_on_simple_reply(void *arg, int status, struct reader *r);
void link_sync(struct coordinator *c);
/* Networks, MTU and keys of admission. Returns: 0, -errno. */
int link_configure(struct coordinator *c, dp_reply_fn done);
/* Nobody listens on the door: no dataplane, so no tunnel. */
void link_absent(struct coordinator *c);
/* Asks for statistics and status, when synchronised. */
void link_poll(struct coordinator *c);
int link_peer_set(struct coordinator *c, const struct dir_device_conf *d);
/* Asks the dataplane to drop a credential's keys (zero: all of the peer's). */
int link_session_del(struct coordinator *c, uint32_t peer, const struct ulid *credential,
	dp_reply_fn done, void *arg);
int link_peer_del(struct coordinator *c, uint32_t peer, dp_reply_fn done, void *arg);
/* Asks for nothing but an answer. */
int link_nothing(struct coordinator *c, dp_reply_fn done, void *arg);

/* news.c: what is told to whoever plugged in */
int news_init(struct coordinator *c);
void news_fini(struct coordinator *c);
/* A synchronised dataplane is there, or not any more; said once each. */
void news_dataplane(struct coordinator *c, bool connected);
/* A round of statistics: begin, what each peer has counted, end. */
void news_round_begin(struct coordinator *c);
void news_counted(
	struct coordinator *c, const struct dir_device *dev, const struct uapi_peer_stats *st);
void news_round_end(struct coordinator *c);
/* Takes down the figures of this second. */
void news_figures(struct coordinator *c);

/* handshake.c: datagrams, engine, keys */
void handshake_on_punt(void *arg, const struct path *from, const uint8_t *datagram, size_t len);
/* Calls the device's client, if it is known where it is. */
void handshake_call(struct coordinator *c, struct dir_device *dev, const char *why);
void handshake_tick(struct coordinator *c);
uint32_t handshake_index_alloc(void *arg, const struct ulid *credential);
void handshake_index_free(void *arg, uint32_t index);

/* farewell.c: OpenVPN clients over UDP whose dataplane is gone, and their control channel as well
 */
/* Another dataplane: up to so many may have to be told twice. Returns: 0, -ENOMEM. */
int farewell_plan(struct coordinator *c, size_t most) must_check;
/* Tells the device's client to connect anew, if it had such a tunnel and may come back. */
void farewell_tell(struct coordinator *c, struct dir_device *dev);
/* Tells those once more who have not come by then. */
void farewell_tick(struct coordinator *c);

/* install.c: new keys on their way to the dataplane */
struct new_keys {
	struct uapi_session_set set; /* all but peer, seq, tunnel, times and credential */
	uint64_t channel;	     /* OpenVPN: the engine's session */
	bool first;		     /* OpenVPN: its first keys */
	const uint8_t *reply;	     /* WireGuard: the response that must not go before */
	size_t reply_len;
};
void new_keys_wipe(struct new_keys *n);
/* Returns: 0 (what comes of it is told to the engine), -ENOMEM, -EIO. */
int install_keys(struct coordinator *c, struct dir_credential *cr, struct new_keys *n);
/* Keys of that credential that wait to be confirmed are not to be expected any more. Returns: the
 * control channel that they came from, 0: none. */
uint64_t install_give_up(struct live *l, const struct ulid *credential);
/* A valid packet came on the keys of that number. */
void install_confirmed(struct coordinator *c, struct dir_device *dev, uint64_t seq);

/* channels.c: OpenVPN's control channels. Nothing happens in any of them without an engine. */
int channels_init(struct coordinator *c);
void channels_fini(struct coordinator *c);
void channels_on_punt(
	struct coordinator *c, const struct path *from, const uint8_t *datagram, size_t len);
void channels_tick(struct coordinator *c);
/* What is pushed has changed. */
void channels_tunnel_set(struct coordinator *c);
void channels_keys_done(struct coordinator *c, uint64_t channel, uint8_t key_id, bool ok);
void channels_moved(struct coordinator *c, uint64_t channel, const struct path *path);
void channels_connection_closed(struct coordinator *c, uint32_t connection);
void channels_rekey(struct coordinator *c, uint64_t channel);
/* A newer tunnel of the device has taken over: its client is told not to come back. */
void channels_replaced(struct coordinator *c, uint64_t channel);
/* Its tunnel has ended in the dataplane, for an uapi_end reason. */
void channels_expired(struct coordinator *c, uint64_t channel, uint8_t reason);
/* Its keys were lost or taken away, but the client may come again. Returns: whether there is still
 * a channel by which it is told. */
bool channels_restart(struct coordinator *c, uint64_t channel, const char *why);
void channels_revoked(struct coordinator *c, const struct ulid *credential);
/* Another dataplane: connections and peer-ids of the former are gone. */
void channels_new_boot(struct coordinator *c, uint32_t max_peer_ids);
/* What that dataplane knows: bits 1 << enum uapi_format. */
void channels_formats(struct coordinator *c, uint8_t formats);
void channels_adopt_peer_id(struct coordinator *c, uint32_t peer_id);
void channels_describe(struct coordinator *c, uint64_t channel, char *out, size_t cap);
/* Bits of enum uapi_openvpn. */
uint8_t channels_accepted(const struct coordinator *c);
/* Adds what the engine has counted. */
void channels_figures(const struct coordinator *c, struct coordinator_figures *out);

/* expiry.c */
void expiry_note(struct coordinator *c, int64_t expires_at);
void expiry_tick(struct coordinator *c);

uint64_t loop_now(struct coordinator *c);

#endif
