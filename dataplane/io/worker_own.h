/* What worker.c, inward.c and outward.c share. */
#ifndef IO_WORKER_OWN_H
#define IO_WORKER_OWN_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "io/merge.h"
#include "io/moderation.h"
#include "io/worker.h"
#include "wire/ovpn_wire.h"

struct admission;
struct ovpn_admission;

enum {
	/* What a packet buffer holds between its head and tail rooms. */
	PACKET_MAX = WORKER_MTU_MAX + 216,
	BUFFER_SIZE = FWD_HEADROOM + PACKET_MAX + FWD_TAILROOM,
	/* What is read from the device, one after the other: a super-packet always fits. */
	READ_AREA = 192 << 10,
	CUT_AREA = 160 << 10, /* what super-packets are cut into */
};
_Static_assert(BUFFER_SIZE % 64 == 0, "every buffer begins a cache line");
_Static_assert((int)UDP_LISTENERS == (int)TCP_LISTENERS, "they share the numbers");
_Static_assert((int)UDP_BATCH <= (int)TCP_RUN, "a batch may be one run");
_Static_assert((int)FWD_HEADROOM >= (int)sizeof(struct vnet_hdr), "it is read into the headroom");
_Static_assert(READ_AREA >= FWD_HEADROOM + TUN_SUPER + FWD_TAILROOM, "room for one");
_Static_assert(CUT_AREA >= BUFFER_SIZE, "room for one");

/* What admission goes by. */
struct judge {
	uint8_t wg_public[32];
	uint8_t openvpn;
};

struct worker {
	struct workers *group;
	uint32_t number;
	pthread_t thread;
	int epoll;
	int wake;
	int tun;
	const struct udp_socket *sockets; /* UDP_LISTENERS */
	struct admission *admission;
	struct ovpn_admission *ovpn_admission;
	unsigned judge_generation;
	uint8_t *buffers; /* UDP_BATCH times BUFFER_SIZE: staged packets */
	uint8_t *read, *cut;
	struct merge *merge;
	struct udp_batch *batch;
	struct moderation moderation;
	struct moderation_turn turn;	/* what this one has dealt with so far */
	struct fwd_packet p[UDP_BATCH]; /* one batch is in work at a time */
};

struct workers {
	struct workers_conf conf;
	atomic_bool stop;
	int failed; /* eventfd */
	pthread_mutex_t judge_lock;
	atomic_uint judge_generation;
	struct judge judge;
	sem_t begun;
	uint32_t running;
	struct worker w[];
};

static inline void worker_count(const struct worker *w, enum fwd_verdict v, uint64_t n)
{
	if (n > 0)
		fwd_count(w->group->conf.fwd, w->number, v, n);
}

/* Logs, and lets the process end in order; the rest of this worker goes on until then. */
void worker_fail(struct worker *w, const char *what, int error);

/* A listener is readable, or a connection has an event. These and outward_tun count the turn. */
void inward_udp(struct worker *w, uint8_t listener, uint64_t now);
void inward_connection(struct worker *w, uint64_t number, uint32_t events, uint64_t now);
/* The device is readable. */
void outward_tun(struct worker *w, uint64_t now);
/* Sends staged packets whose peers have got a session. Returns: true when there may be more. */
bool outward_unstage(struct worker *w, uint64_t now);

#endif
