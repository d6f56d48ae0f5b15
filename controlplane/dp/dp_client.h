/*
 * Client side of the door: two connections, requests with answers in order, events, datagrams.
 *
 *   DOWN --connect, HELLO ctl, HELLO punt--> UP --error or close--> DOWN, again every 100 ms
 *
 * Belongs to the loop thread. Requests are queued without bound by the caller's own numbers (one
 * frame per device at most); datagrams are dropped when the socket is full, as on any wire.
 */
#ifndef DP_DP_CLIENT_H
#define DP_DP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/cursor.h"
#include "uapi/uapi.h"

struct dp_client;

struct dp_hooks {
	/* Both connections stand and versions are agreed. */
	void (*on_up)(void *arg, const struct uapi_hello_reply *hello);
	/* The connection is lost; every request that was under way has been answered -ECONNRESET.
	 */
	void (*on_down)(void *arg);
	/* An event; r stands at its fields, checked for length. */
	void (*on_event)(void *arg, enum uapi_type type, struct reader *r);
	/* A handshake datagram. */
	void (*on_punt)(void *arg, const struct path *from, const uint8_t *datagram, size_t len);
	void *arg;
};

/* The answer to a request: status 0 or a negative errno; r stands at the reply's fields, NULL when
 * there is no reply (the connection was lost). */
typedef void (*dp_reply_fn)(void *arg, int status, struct reader *r);

/* Returns: 0, -errno. */
int dp_client_new(struct dp_client **out, uv_loop_t *loop, const char *run_dir,
	const struct dp_hooks *hooks) must_check;
void dp_client_start(struct dp_client *dp);
/* Closes the connections; frees after the loop has run the closing callbacks. */
void dp_client_close(struct dp_client *dp);

bool dp_client_up(const struct dp_client *dp);
/* True when the last attempt found nobody listening: there is no dataplane and so no tunnel. */
bool dp_client_absent(const struct dp_client *dp);

/* A request frame: begin, pack the fields into the writer, commit. The frame is wiped once it is
 * sent or dropped. */
struct dp_frame {
	struct writer w;
	enum uapi_type type;
	uint8_t bytes[UAPI_CTL_MAX];
};
void dp_frame_begin(struct dp_frame *f, enum uapi_type type);
/* Queues it; done may be NULL. Wipes f. When the connection is down, done is called at once with
 * -ENOTCONN. Returns: 0, -ENOTCONN, -ENOMEM, -EMSGSIZE. */
int dp_client_request(struct dp_client *dp, struct dp_frame *f, dp_reply_fn done, void *arg);
/* Requests that have not been answered yet. */
size_t dp_client_pending(const struct dp_client *dp);

/* Sends a datagram on its way, or drops it. */
void dp_client_reinject(
	struct dp_client *dp, const struct path *to, const uint8_t *datagram, size_t len);

#endif
