/*
 * Answers without an end: the events, as server-sent events.
 *
 *   events ring --wake--> thread --resumes--> libmicrohttpd --stream_read--> text of the next event
 *                           |
 *                           '-- every second: who may not be here any more, who is gone, who is
 * slow
 *
 * A stream without anything to say is suspended in libmicrohttpd; there is no thread for it. Who
 * falls behind the ring, or takes nothing for too long, is dropped; nobody waits for him.
 */
#ifndef API_STREAMS_H
#define API_STREAMS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/deadline.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "service/service.h"

struct stream;
struct streams;

enum {
	STREAMS_MAX = 256,
	STREAMS_OF_USER = 16,
	STREAM_HEARTBEAT_MS = 15000,
	STREAM_RETRY_MS = 2000, /* after so long a client is to come back */
	STREAM_BLOCK = 8192,
};

/* Starts the thread. Borrows the service and conns. Returns: 0, -errno. */
int streams_new(struct streams **out, struct service *s, struct conn_table *conns,
	struct clock clock) must_check;
/* Ends every stream at once, as libmicrohttpd gets to it, and refuses later ones. */
void streams_stop(struct streams *all);
/* After streams_stop, when no stream is left. */
void streams_free(struct streams *all);

struct stream_request {
	const struct svc_actor *actor; /* copied */
	uint32_t types;		       /* bits by enum event_type, 0: all */
	bool resume;
	uint64_t after; /* the last event that the client has seen */
};
enum stream_outcome { STREAM_OPEN = 0, STREAM_FULL = 1, STREAM_USER_FULL = 2 };
/* Returns: STREAM_OPEN with *out, STREAM_FULL, STREAM_USER_FULL, -ENOMEM. */
int stream_open(
	struct streams *all, const struct stream_request *r, struct stream **out) must_check;
void stream_close(struct stream *st);

/* From now on it is suspended and resumed there. */
void stream_attach(struct stream *st, struct MHD_Connection *mhd, struct conn *conn);
/* Its connection is about to go; nobody may touch that any more. */
void stream_detach(struct stream *st);
/* libmicrohttpd's content reader and its end; cls is the stream. */
ssize_t stream_read(void *cls, uint64_t at, char *out, size_t max);
void stream_end(void *cls);

struct streams_figures {
	size_t open;
	uint64_t opened, slow, ended; /* ended: by us, since they may not be here any more */
};
void streams_figures(struct streams *all, struct streams_figures *out);

#endif
