/* The texts of the control channel after key method 2 (reference A13). Pure. */
#ifndef OVPN_PUSH_H
#define OVPN_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "crypto/aead.h"

enum {
	PUSH_MESSAGE = 1024, /* one message with its NUL */
	PUSH_SPLIT = 940,    /* text of one part before the continuation */
	PUSH_MESSAGES = 8,   /* parts at most */
};

struct push_conf {
	struct ip_prefix net4, net6; /* the server is the first address of each */
	struct ip_addr address4, address6;
	const char *dns; /* comma-separated addresses, "" for none */
	uint16_t mtu;	 /* 0: not pushed (the client has no IV_MTU) */
	uint16_t ping_s, restart_s;
	uint32_t peer_id; /* OVPN_NO_PEER_ID: not pushed */
	enum aead_cipher cipher;
	uint32_t client_proto;	   /* IV_PROTO: only what the client announced is pushed */
	bool epoch, dyn_tls_crypt; /* protocol-flags that we use */
	bool udp;		   /* with explicit-exit-notify */
};
/* Writes the parts, each NUL-terminated, at most PUSH_MESSAGE bytes with the NUL. Returns: how many
 * parts, -EMSGSIZE (more than PUSH_MESSAGES, or an option of 256 bytes). */
int push_reply(const struct push_conf *c, char out[PUSH_MESSAGES][PUSH_MESSAGE]) must_check;

enum push_request {
	PUSH_UNKNOWN = 0, /* ignored */
	PUSH_REQUEST = 1,
	PUSH_EXIT = 2,
};
/* One message of a client, up to its NUL (n without it). Anything may be in it. */
enum push_request push_parse(const char *text, size_t n);

/* "AUTH_FAILED,reason" and the like: only printable characters without commas get into it. Returns
 * the length without the NUL. */
size_t push_farewell(const char *keyword, const char *reason, char *out, size_t cap);

#endif
