/*
 * Time-based one-time codes (RFC 6238): HMAC-SHA-1, steps of 30 seconds, six digits, which is what
 * every authenticator app takes. Pure.
 */
#ifndef SERVICE_TOTP_H
#define SERVICE_TOTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum {
	TOTP_SECRET = 20,
	TOTP_STEP_S = 30,
	TOTP_DIGITS = 6,
	TOTP_SECRET_TEXT = 33, /* base32 with its NUL */
	TOTP_URL = 224,
};
enum totp_outcome { TOTP_OK = 0, TOTP_WRONG = 1 };

/* The code of a step as text (RFC 4226 section 5.3); out has digits + 1 bytes, digits is 6 to 8.
 * Returns: 0, -EIO. */
int totp_code(
	const uint8_t *secret, size_t n, uint64_t step, unsigned digits, char *out) must_check;
/* Whether text is the code of this step, the one before or the next one, but of none up to used.
 * Takes as long whichever it is. Returns: TOTP_OK with *step, TOTP_WRONG, -EIO. */
int totp_check(const uint8_t secret[TOTP_SECRET], const char *text, int64_t now_s, uint64_t used,
	uint64_t *step) must_check;

/* Base32 (RFC 4648 section 6). */
void totp_secret_text(const uint8_t secret[TOTP_SECRET], char out[TOTP_SECRET_TEXT]);
/* What an authenticator app scans; user is a user's name, which needs no escaping.
 * Returns: 0, -EMSGSIZE. */
int totp_url(const char *user, const char *secret_text, char out[TOTP_URL]) must_check;

#endif
