/*
 * The dataplane's settings, read once at start and const ever after.
 */
#ifndef DATAPLANE_CONFIG_H
#define DATAPLANE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/isolate.h"
#include "crypto/aead_choose.h"

enum {
	CONFIG_LISTENERS = 16, /* at most, UDP and TCP together */
	CONFIG_WORKERS = 63,   /* at most */
	CONFIG_RUN_DIR = 92,   /* with its NUL; leaves room for the names of what is in it */
};

struct listener {
	bool tcp;
	struct endpoint at;
};

struct config {
	char run_dir[CONFIG_RUN_DIR];
	struct listener listeners[CONFIG_LISTENERS];
	uint32_t n_listeners;
	char tun[16];
	uint32_t workers; /* 0: as many as there are CPUs */
	bool nat;
	enum aead_lib aead;
	unsigned offloads; /* bits of enum uapi_offload that may be used */
	char user[33];	   /* "": root becomes ireko, whoever else starts it stays */
	int log_level;	   /* enum log_level */
	int log_format;	   /* enum log_format */
	bool healthcheck;  /* ask the one that runs, then end */
};

/* Reads defaults, environment and flags; on an error one line that names the flag is on stderr.
 * Returns: SETTINGS_OK, SETTINGS_DONE (exit 0), -EINVAL (exit 2). */
int data_config_load(struct config *out, int argc, char **argv) must_check;

/* Who serves. Returns: 0, -ENOENT (no such user). */
int data_config_identity(const struct config *c, struct identity *out) must_check;

/* "udp://[::]:51820"; buf has LISTENER_TEXT bytes, returned. */
enum { LISTENER_TEXT = 6 + ENDPOINT_TEXT };
const char *listener_format(const struct listener *l, char *buf);

#endif
