/*
 * The pages of an invite, for people with a browser: no script, no inline style, nothing from
 * elsewhere, so that they live under the CSP of every other answer.
 */
#ifndef API_HANDLERS_INVITE_PAGE_H
#define API_HANDLERS_INVITE_PAGE_H

#include "base/compiler.h"
#include "service/service.h"

/* The same for every link there could be: whether one is good is told to the button only. */
extern const char invite_page_landing[];
extern const char invite_page_gone[];
extern const char invite_page_later[];
extern const char invite_page_failed[];
extern const char invite_page_css[];

/* The profile as text, as a file and, when svg is not NULL, as a QR code. Secret.
 * Returns: owned (memory_free), or NULL when there is no memory. */
char *invite_page_profile(const struct svc_issued *i, const char *svg) must_check;

#endif
