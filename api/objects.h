/*
 * The objects of the API's answers: which fields each has. What bodies.h is inwards.
 */
#ifndef API_OBJECTS_H
#define API_OBJECTS_H

#include "api/json_out.h"
#include "service/invites.h"
#include "service/service.h"

/* What no use-case hands over as it is answered. */
struct out_login {
	struct svc_user user;
	const char *csrf_token;
};

struct out_me {
	struct svc_user user;
	enum svc_role role; /* of the caller: a token may have a lower one than its owner */
};

struct out_token {
	struct svc_token token;
	const char *secret;
};

struct out_invite {
	struct svc_invite invite;
	const char *url;
};

struct out_status {
	const char *version;
	uint64_t uptime_s;
	int64_t started_at;
	struct svc_status status;
};

/* X(name) */
#define OBJECTS(X)                                                                                 \
	X(problem)                                                                                 \
	X(problem_field)                                                                           \
	X(health)                                                                                  \
	X(login)                                                                                   \
	X(me)                                                                                      \
	X(user)                                                                                    \
	X(device)                                                                                  \
	X(device_status)                                                                           \
	X(credential)                                                                              \
	X(issued)                                                                                  \
	X(opened)                                                                                  \
	X(invite)                                                                                  \
	X(invite_created)                                                                          \
	X(session)                                                                                 \
	X(token)                                                                                   \
	X(token_created)                                                                           \
	X(audit_entry)                                                                             \
	X(audit_actor)                                                                             \
	X(audit_state)                                                                             \
	X(settings)                                                                                \
	X(settings_values)                                                                         \
	X(settings_traffic)                                                                        \
	X(totp)                                                                                    \
	X(traffic)                                                                                 \
	X(traffic_series)                                                                          \
	X(event_session)                                                                           \
	X(event_device)                                                                            \
	X(event_traffic)                                                                           \
	X(event_totals)                                                                            \
	X(event_dataplane)                                                                         \
	X(event_hello)                                                                             \
	X(event_gap)                                                                               \
	X(status)                                                                                  \
	X(status_database)                                                                         \
	X(status_dataplane)                                                                        \
	X(openapi)

#define OBJECT_DECLARE(name) extern const struct json_object object_##name;
OBJECTS(OBJECT_DECLARE)
#undef OBJECT_DECLARE

#endif
