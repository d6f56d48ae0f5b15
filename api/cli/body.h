/* Members of a request's body, from what was given. */
#ifndef API_CLI_BODY_H
#define API_CLI_BODY_H

#include "api/cli/command.h"

/* Nothing when there is no body or no value. */
void body_put(json_t *body, const char *member, const char *value);
/* "expires_at", of --expires. */
void body_put_expiry(json_t *body, const struct args *a);

#endif
