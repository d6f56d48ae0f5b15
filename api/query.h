/*
 * Query parameters of lists, and the cursors that continue one: which list, and the last id.
 */
#ifndef API_QUERY_H
#define API_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "api/json_in.h"
#include "api/police.h"
#include "base/codec.h"
#include "base/ulid.h"
#include "service/service.h"

/* What a route takes; the low byte tells the list's kind in its cursors. */
enum {
	QUERY_NONE = 0,
	QUERY_PAGE = 0x100,
	QUERY_USER_ID = 0x200,
	QUERY_TRAFFIC = 0x10000, /* device_id, from, to, step */
	QUERY_TYPES = 0x20000,	 /* of events */
	QUERY_IGNORED = 0x8000,	 /* of links, to which messengers append what they like */
	QUERY_AUDIT = 0x400,	 /* actor, object, action */
	QUERY_KIND = 0xff,
};

enum { CURSOR_BYTES = 17, CURSOR_TEXT = BASE64URL_TEXT(CURSOR_BYTES), QUERY_LIMIT = 50 };

struct query {
	struct svc_page page;
	bool has_user_id;
	struct ulid user_id;
	bool has_device_id;
	struct ulid device_id;
	int64_t from, to; /* Unix ms, 0: not given */
	uint32_t step;	  /* seconds, 0: not given */
	uint32_t types;	  /* bits by enum event_type, 0: all */
	struct svc_audit_filter audit;
};

/* Reads the raw query, which the police let pass; escapes in it are resolved. What is unknown,
 * twice or out of range is added to e. */
void query_read(struct query *q, struct span raw, unsigned takes, struct field_errors *e);
/* buf has CURSOR_TEXT bytes; returned. */
const char *cursor_format(unsigned kind, const struct ulid *last, char *buf);

#endif
