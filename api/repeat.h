/* Idempotency-Key: a POST that comes again is answered as it was; see service/once.h. */
#ifndef API_REPEAT_H
#define API_REPEAT_H

#include "api/reply.h"
#include "api/request.h"
#include "base/compiler.h"
#include "service/once.h"

enum { REPEAT_KEY_MAX = 255 };

/* Before the handler: answers when the key can't be taken, or when the request was made before.
 * Only POSTs with a body, by somebody who is known, are looked at: others make nothing. */
void repeat_begin(struct request *rq);
/* After it. */
void repeat_end(struct request *rq);

/* What a svc_once's render does when it has made the answer. Takes what r owns.
 * Returns: 0, -ENOMEM. */
int repeat_keep(struct reply *r, struct svc_answer *out) must_check;

#endif
