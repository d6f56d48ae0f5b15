/* The settings that were changed while running. What they may be is the service's to check. */
#ifndef DB_SETTINGS_STORE_H
#define DB_SETTINGS_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct db_conn;

enum { SETTINGS_TEXT = 256, SETTINGS_NUMBERS = 7 };

struct settings_row {
	bool has_endpoint, has_dns; /* false: as given at start */
	char endpoint[SETTINGS_TEXT], dns[SETTINGS_TEXT];
	/* mtu, keepalive, credential lifetime, traffic by minutes, hours, days, audit retention */
	bool has[SETTINGS_NUMBERS];
	int64_t number[SETTINGS_NUMBERS];
	int64_t updated_at; /* Unix ms, 0: never */
	uint64_t revision;
};

/* Returns: 0, -EUCLEAN (the row is gone), -errno. */
int settings_get(struct db_conn *tx, struct settings_row *out) must_check;
/* Returns: 0, -ENOSPC, -errno. */
int settings_set(struct db_conn *tx, const struct settings_row *r) must_check;

#endif
