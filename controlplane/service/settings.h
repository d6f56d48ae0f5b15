/*
 * What can be changed while the service runs. A value that was PATCHed wins over the one given at
 * start; null gives that one back. In memory is a copy of what holds now, so that whoever needs a
 * setting asks for it each time and needs no news of changes.
 */
#ifndef SERVICE_SETTINGS_H
#define SERVICE_SETTINGS_H

#include "base/compiler.h"
#include "service/service.h"

struct settings;

/* Reads what is stored; defaults come from s->conf. Returns: 0, -errno. */
int settings_new(struct settings **out, struct service *s) must_check;
void settings_free(struct settings *st);

#endif
