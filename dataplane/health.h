/*
 * --healthcheck: asks the dataplane that runs, over its door, whether it is well. For whoever
 * watches it: a container's engine, a supervisor, a person.
 */
#ifndef DATAPLANE_HEALTH_H
#define DATAPLANE_HEALTH_H

#include "base/compiler.h"
#include "config.h"

enum { HEALTH_WAIT_MS = 2000 };

/* Asks over the door below run_dir, and looks whether the device is there. why has HEALTH_TEXT
 * bytes: what is wrong, or what was found. Returns: 0 (well), 1 (not well). */
enum { HEALTH_TEXT = 192 };
int data_health_ask(const char *run_dir, char *why) must_check;

/* The same as the user that the dataplane is; prints one line, on stderr when it is not well.
 * Returns: the exit status, 0 or 1. */
int data_health(const struct config *conf) must_check;

#endif
