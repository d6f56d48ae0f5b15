#include "service/totp.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"

enum { SHA1_LEN = 20, DIGITS_MAX = 8 };

int totp_code(const uint8_t *secret, size_t n, uint64_t step, unsigned digits, char *out)
{
	uint8_t counter[8], mac[EVP_MAX_MD_SIZE];
	uint32_t value;
	unsigned len = 0, at;

	for (size_t i = 0; i < sizeof(counter); i++)
		counter[i] = (uint8_t)(step >> (56 - 8 * i));
	if (digits < 6 || digits > DIGITS_MAX ||
		!HMAC(EVP_sha1(), secret, (int)n, counter, sizeof(counter), mac, &len) ||
		len != SHA1_LEN)
		return -EIO;
	at = mac[SHA1_LEN - 1] & 0xf;
	value = (uint32_t)(mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 |
		(uint32_t)mac[at + 2] << 8 | mac[at + 3];
	out[digits] = '\0';
	for (unsigned i = digits; i-- > 0; value /= 10)
		out[i] = (char)('0' + value % 10);
	secret_wipe(mac, sizeof(mac));
	return 0;
}

int totp_check(const uint8_t secret[TOTP_SECRET], const char *text, int64_t now_s, uint64_t used,
	uint64_t *step)
{
	const uint64_t now = (uint64_t)now_s / TOTP_STEP_S;
	char given[TOTP_DIGITS + 1] = "", code[TOTP_DIGITS + 1];
	uint64_t found = 0;

	if (strnlen(text, TOTP_DIGITS + 1) == TOTP_DIGITS)
		memcpy(given, text, TOTP_DIGITS);
	for (uint64_t i = now ? now - 1 : 0; i <= now + 1; i++) {
		if (totp_code(secret, TOTP_SECRET, i, TOTP_DIGITS, code))
			return -EIO;
		if (secret_equal(given, code, sizeof(code)) && i > used)
			found = i;
	}
	secret_wipe(code, sizeof(code));
	*step = found;
	return found ? TOTP_OK : TOTP_WRONG;
}

void totp_secret_text(const uint8_t secret[TOTP_SECRET], char out[TOTP_SECRET_TEXT])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint64_t bits = 0;
	size_t n = 0;

	/* 5 bytes are 8 characters, and there are 4 times 5. */
	for (size_t i = 0; i < TOTP_SECRET; i++) {
		bits = bits << 8 | secret[i];
		if (i % 5 != 4)
			continue;
		for (int shift = 35; shift >= 0; shift -= 5)
			out[n++] = digits[bits >> shift & 31];
		bits = 0;
	}
	out[n] = '\0';
}

int totp_url(const char *user, const char *secret_text, char out[TOTP_URL])
{
	int n = snprintf(out, TOTP_URL,
		"otpauth://totp/Ireko:%s?secret=%s&issuer=Ireko&algorithm=SHA1&digits=%d&period=%d",
		user, secret_text, TOTP_DIGITS, TOTP_STEP_S);

	if (n > 0 && n < TOTP_URL)
		return 0;
	secret_wipe(out, TOTP_URL);
	return -EMSGSIZE;
}
