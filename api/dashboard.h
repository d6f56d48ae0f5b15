/*
 * The dashboard's files. The build compiles them in, plain and compressed, so that nothing here
 * reads the file system: what is not in the table does not exist.
 */
#ifndef API_DASHBOARD_H
#define API_DASHBOARD_H

#include <stdbool.h>
#include <stddef.h>

#include "api/police.h"

struct dashboard_bytes {
	const char *at; /* constant */
	size_t len;
};

struct dashboard_file {
	const char *path; /* "index.html", "assets/NAME"; NAME has a hash of what is in it */
	const char *type; /* media type */
	const char *hash; /* of the plain bytes, for entity tags */
	struct dashboard_bytes plain;
	struct dashboard_bytes gzip; /* len is 0 where that would not be shorter */
};

/* All files; the page itself comes first. */
const struct dashboard_file *dashboard_files(size_t *n);
/* The file whose path is "assets/" and name. Returns: constant, or NULL. */
const struct dashboard_file *dashboard_asset(struct span name);

/* Whether a client with that Accept-Encoding (absent: at is NULL) takes gzip (RFC 9110 12.5.3).
 * What can't be read counts as a no: everybody takes the plain bytes. */
bool dashboard_takes_gzip(struct span accept_encoding);

#endif
