/* Events as text/event-stream has them: "id:", "event:", "data:" with JSON. */
#ifndef API_EVENT_TEXT_H
#define API_EVENT_TEXT_H

#include <stddef.h>

#include "base/ulid.h"
#include "service/events.h"

/* For readers that see all of it. Returns: owned (memory_free), NULL without memory. */
char *event_encode(const struct event *e, size_t *len);
/* Traffic for one who sees only that user's devices. */
char *event_encode_own(const struct event *e, const struct ulid *user, size_t *len);
/* What a stream begins with: where it stands, and that something before was lost. */
char *event_encode_hello(uint64_t id, int64_t now, size_t *len);
char *event_encode_gap(uint64_t id, uint64_t after, size_t *len);

#endif
