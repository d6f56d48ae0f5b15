/*
 * The dataplane's end of a real door, by script: answers every request, writes down what it got,
 * and does otherwise only where a test wants it to. No thread: it lives in dp_script_turn.
 */
#ifndef SIM_DP_SCRIPT_H
#define SIM_DP_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/ulid.h"
#include "uapi/door.h"
#include "uapi/uapi.h"

enum { DP_SCRIPT_LOG = 1024, DP_SCRIPT_FDS = 6, DP_SCRIPT_HELD = 64, DP_SCRIPT_OUT = 64 };

struct dp_seen {
	uint16_t type;
	uint32_t peer, connection;
	struct ulid credential;
	uint64_t seq;
};

struct dp_datagram {
	struct path to;
	size_t len;
	uint8_t bytes[UAPI_DATAGRAM_MAX];
};

struct dp_script {
	char path[DOOR_PATH_MAX];
	int listener, ctl, punt; /* -1: none */
	int fds[DP_SCRIPT_FDS];
	size_t n_fds;
	struct ulid boot;
	/* what it is to do */
	bool holds_all;			     /* answers nothing from now on */
	bool holds_keys;		     /* answers nothing from the next SESSION_SET on */
	int refuses_keys;		     /* an errno for the next SESSION_SET */
	bool confirms;			     /* SESSION_USE makes a SESSION_CONFIRMED */
	uint8_t farewell[UAPI_FAREWELL_MAX]; /* what comes with the answer to SESSION_SET */
	size_t farewell_len;
	struct uapi_peer_stats stats;
	bool has_stats;
	/* what it saw */
	struct dp_seen log[DP_SCRIPT_LOG];
	size_t n;
	uint64_t session_seq;
	struct uapi_session_set keys; /* the last ones */
	struct dp_datagram out[DP_SCRIPT_OUT];
	size_t n_out;
	bool holding;
	struct {
		size_t len;
		uint8_t *frame;
	} held[DP_SCRIPT_HELD];
	size_t n_held;
};

/* All of them fail the test where something fails that must not. */
void dp_script_start(struct dp_script *d, const char *run_dir); /* a new boot */
void dp_script_stop(struct dp_script *d);
/* Both connections are cut, as when the control plane's end breaks; the same boot goes on. */
void dp_script_cut(struct dp_script *d);
/* Serves what has come, waiting up to so long for something. */
void dp_script_turn(struct dp_script *d, int wait_ms);
/* Answers what was held back, all of it well. */
void dp_script_release(struct dp_script *d);

bool dp_script_up(const struct dp_script *d);
/* How many requests of that type came; last, when not NULL: the last of them. */
size_t dp_script_seen(const struct dp_script *d, enum uapi_type type, struct dp_seen *last);

void dp_script_punt(struct dp_script *d, const struct path *from, const uint8_t *p, size_t n);
void dp_script_confirm(struct dp_script *d, uint32_t peer, uint64_t seq);
void dp_script_expire(struct dp_script *d, uint32_t peer, uint64_t seq, enum uapi_end reason);
void dp_script_want_rekey(struct dp_script *d, uint32_t peer, enum uapi_rekey reason);
void dp_script_move(struct dp_script *d, uint32_t peer, const struct path *to);
void dp_script_close(struct dp_script *d, uint32_t connection);
/* What statistics say from now on: these keys are in use. */
void dp_script_show(struct dp_script *d, const struct uapi_session_set *keys);

#endif
