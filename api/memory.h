/*
 * Heap memory that is wiped when it is freed: for JSON documents, bodies and answers, which carry
 * passwords, tokens and private keys.
 */
#ifndef API_MEMORY_H
#define API_MEMORY_H

#include <stddef.h>

#include "base/compiler.h"

/* Zeroed. Returns: owned, or NULL. */
void *memory_alloc(size_t n) must_check;
/* Wipes and frees; NULL is nothing. */
void memory_free(void *p);
/* Makes jansson allocate here, for the whole process; once, before the first document. */
void memory_adopt_json(void);

#endif
