/*
 * Settings that are fixed at first start, and what else is there once: values by key.
 *
 * Keys are ours ("net4", "wg_key"), never from outside. Each set is one durable transaction.
 */
#ifndef DB_META_STORE_H
#define DB_META_STORE_H

#include <stddef.h>

#include "base/compiler.h"

struct db;

/* Copies the text with its NUL into out of cap bytes.
 * Returns: 0, -ENOENT, -EMSGSIZE (cap is too small), -errno. */
int meta_get_text(struct db *db, const char *key, char *out, size_t cap) must_check;
/* Adds or replaces. Returns: 0, -ENOSPC, -errno. */
int meta_set_text(struct db *db, const char *key, const char *value) must_check;

/* The same for bytes; *len is what was copied. */
int meta_get_blob(struct db *db, const char *key, void *out, size_t cap, size_t *len) must_check;
int meta_set_blob(struct db *db, const char *key, const void *value, size_t len) must_check;

#endif
