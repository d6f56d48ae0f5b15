#include "service/text.h"

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/secret.h"
#include "service/service.h"

struct range {
	uint32_t first, last;
};

/* The next character, or UINT32_MAX for what is not UTF-8 (RFC 3629). */
static uint32_t next_char(const unsigned char **at)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *p = *at;
	size_t more;
	uint32_t c;

	if (*p < 0x80) {
		*at = p + 1;
		return *p;
	}
	if (*p >= 0xc2 && *p <= 0xdf)
		more = 1;
	else if ((*p & 0xf0) == 0xe0)
		more = 2;
	else if (*p >= 0xf0 && *p <= 0xf4)
		more = 3;
	else
		return UINT32_MAX;
	c = *p & (0x3fu >> more);
	for (size_t i = 1; i <= more; i++) {
		/* The NUL at the end is no continuation, so this never reads past it. */
		if ((p[i] & 0xc0) != 0x80)
			return UINT32_MAX;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return UINT32_MAX;
	*at = p + 1 + more;
	return c;
}

static bool in_ranges(uint32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}

static const struct range control[] = {
	{0x00, 0x1f},
	{0x7f, 0x9f},
	{0x2028, 0x2029},
};
static const struct range deceiving[] = {
	{0x061c, 0x061c},
	{0x200b, 0x200b},
	{0x200e, 0x200f},
	{0x202a, 0x202e},
	{0x2060, 0x206f},
	{0xfeff, 0xfeff},
	{0xfff9, 0xfffb},
	{0xe0000, 0xe007f},
};

static bool noncharacter(uint32_t c)
{
	return (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef);
}

static const char *chars_fault(const char *text, bool hidden_too)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		uint32_t c = next_char(&at);

		if (c == UINT32_MAX || noncharacter(c))
			return "must be UTF-8";
		if (in_ranges(c, control, ARRAY_SIZE(control)))
			return "must not hold control characters";
		if (hidden_too && in_ranges(c, deceiving, ARRAY_SIZE(deceiving)))
			return "must not hold invisible characters or ones that change its "
			       "direction";
	}
	return NULL;
}

const char *text_label_fault(const char *text, size_t max, bool may_be_empty)
{
	size_t n = strnlen(text, max + 1);

	if (n == 0)
		return may_be_empty ? NULL : "must not be empty";
	if (n > max)
		return "is too long";
	if (text[0] == ' ' || text[n - 1] == ' ')
		return "must not begin or end with a space";
	return chars_fault(text, true);
}

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

const char *text_user_name_fault(const char *text)
{
	size_t n = strnlen(text, SVC_NAME_MAX + 1);

	if (n == 0)
		return "must not be empty";
	if (n > SVC_NAME_MAX)
		return "is too long";
	for (size_t i = 0; i < n; i++)
		if (!alnum(text[i]) && !strchr("._@-", text[i]))
			return "may hold only letters, digits and . _ @ -";
	return NULL;
}

const char *text_email_fault(const char *text)
{
	static const char bad[] = "is not an e-mail address";
	size_t n = strnlen(text, SVC_EMAIL_MAX + 1);
	const char *fault, *at;

	if (n == 0)
		return NULL;
	fault = text_label_fault(text, SVC_EMAIL_MAX, true);
	if (fault)
		return fault;
	at = strchr(text, '@');
	if (!at || at == text || at - text > 64 || strchr(at + 1, '@') ||
		strpbrk(text, " <>()[]\\,;:\""))
		return bad;
	if (at[1] == '.' || at[1] == '-' || !at[1] || strstr(at, "..") || text[n - 1] == '.' ||
		text[n - 1] == '-')
		return bad;
	return NULL;
}

bool text_host_address_ok(const struct ip_addr *a)
{
	if (a->family == IP_V4)
		return a->bytes[0] != 0 && a->bytes[0] < 224;
	return a->family == IP_V6 && a->bytes[0] != 0xff &&
	       !secret_is_zero(a->bytes, sizeof(a->bytes));
}

/* 1 to 63 letters, digits and dashes, no dash at the ends. */
static bool label_ok(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!alnum(p[i]) && p[i] != '-')
			return false;
	return n >= 1 && n <= 63 && p[0] != '-' && p[n - 1] != '-';
}

/* A last label of digits only would make it an address, or a mistyped one. */
static bool host_name_ok(const char *text)
{
	const char *last = text;

	for (const char *p = text;; p = last) {
		size_t n = strcspn(p, ".");

		if (!label_ok(p, n))
			return false;
		if (p[n] == '\0')
			break;
		last = p + n + 1;
	}
	return strspn(last, "0123456789") != strlen(last);
}

const char *text_host_fault(const char *text)
{
	struct ip_addr a;

	if (text[0] == '\0')
		return "must not be empty";
	if (strnlen(text, 254) > 253)
		return "is too long";
	if (ip_addr_parse(&a, text) == 0)
		return text_host_address_ok(&a) ? NULL : "is not an address that a host can have";
	return host_name_ok(text) ? NULL
				  : "is neither a host name nor an address (it takes no port)";
}

const char *text_password_fault(const char *text)
{
	size_t n = strnlen(text, SVC_PASSWORD_MAX + 1);

	if (n < SVC_PASSWORD_MIN)
		return "is too short";
	if (n > SVC_PASSWORD_MAX)
		return "is too long";
	return chars_fault(text, false);
}
