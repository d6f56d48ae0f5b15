/*
 * What may stand in the texts that users give us. Each returns NULL when the text is fine, or what
 * is wrong with it, as the end of a sentence ("must not be empty"). No text is ever cut.
 */
#ifndef SERVICE_TEXT_H
#define SERVICE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

/* Valid UTF-8 (no surrogates, no overlong forms), at most max bytes, of printable characters:
 * neither control characters (C0, C1, line and paragraph separators) nor ones that reorder or hide
 * text (bidirectional controls, zero-width space, byte order mark, tags); no space at the ends. */
const char *text_label_fault(const char *text, size_t max, bool may_be_empty);
/* [A-Za-z0-9._@-]{1,64} */
const char *text_user_name_fault(const char *text);
/* One @, a plausible domain, no spaces or quotes; "" is fine. */
const char *text_email_fault(const char *text);
/* A host name (RFC 1123) of at most 253 characters, or an address that a host can have. */
const char *text_host_fault(const char *text);
/* Not the unspecified one, not multicast, not broadcast. */
bool text_host_address_ok(const struct ip_addr *a);
/* SVC_PASSWORD_MIN to SVC_PASSWORD_MAX bytes of UTF-8 without control characters. */
const char *text_password_fault(const char *text);

#endif
