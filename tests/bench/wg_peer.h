/* A WireGuard initiator: bytes in, bytes and keys out. What a cookie reply asks for it does. */
#ifndef BENCH_WG_PEER_H
#define BENCH_WG_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/secret.h"
#include "wg/noise.h"

/* Stays where it is: local.arg points into it. */
struct wg_peer {
	struct noise_local local;
	struct noise_remote remote;
	struct noise_state state;
	struct wg_initiation sent;
	struct key32 key;
	uint32_t index, their_index;
};

struct wg_identity {
	struct key32 key, psk;
	uint8_t server[32];
};

/* index: what the server puts into what it sends to us. Returns: 0, -errno as noise.h has it. */
int wg_peer_init(struct wg_peer *p, const struct wg_identity *id, uint32_t index) must_check;
void wg_peer_fini(struct wg_peer *p);

/* A fresh handshake; p->sent is what goes out. Returns: 0, -EIO, -EINVAL. */
int wg_peer_begin(struct wg_peer *p, int64_t real_us) must_check;

enum wg_peer_outcome {
	WG_PEER_UP = 1,	    /* keys and their_index are there */
	WG_PEER_COOKIE = 2, /* p->sent is to be sent again */
	WG_PEER_IGNORED = 3,
};
enum wg_peer_outcome wg_peer_input(
	struct wg_peer *p, const uint8_t *datagram, size_t n, struct noise_keys *keys) must_check;

#endif
