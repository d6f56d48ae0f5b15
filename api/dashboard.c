#include "api/dashboard.h"

#include <string.h>

/* Made by web/embed.mjs: the bytes, and the table files. */
#include "web_files.inc"

static const char assets[] = "assets/";

const struct dashboard_file *dashboard_files(size_t *n)
{
	*n = ARRAY_SIZE(files);
	return files;
}

const struct dashboard_file *dashboard_asset(struct span name)
{
	const size_t folder = sizeof(assets) - 1;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *path = files[i].path;

		if (strncmp(path, assets, folder) == 0 && strlen(path + folder) == name.len &&
			memcmp(path + folder, name.at, name.len) == 0)
			return &files[i];
	}
	return NULL;
}

static struct span trim(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct span){at, (size_t)(end - at)};
}

/* ";q=0", ";q=0.0" and so on say no. No other parameter is known here. */
static bool is_refused(struct span weight)
{
	const char *p = weight.at;
	bool zero = true;

	if (weight.len == 0)
		return false;
	if (weight.len < 3 || (p[0] != 'q' && p[0] != 'Q') || p[1] != '=' || p[2] > '1')
		return true;
	for (size_t i = 2; i < weight.len; i++) {
		if ((p[i] < '0' || p[i] > '9') && (p[i] != '.' || i != 3))
			return true;
		zero = zero && (p[i] == '0' || p[i] == '.');
	}
	return zero;
}

bool dashboard_takes_gzip(struct span accept_encoding)
{
	const char *p = accept_encoding.at, *end = p ? p + accept_encoding.len : NULL;
	bool any = false;

	while (p && p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;
		const char *semicolon = memchr(p, ';', (size_t)(stop - p));
		const struct span coding = trim(p, semicolon ? semicolon : stop);
		const bool refused = semicolon && is_refused(trim(semicolon + 1, stop));

		if (span_is(coding, "gzip") || span_is(coding, "x-gzip"))
			return !refused;
		if (span_is(coding, "*"))
			any = !refused;
		p = stop + 1;
	}
	return any;
}
