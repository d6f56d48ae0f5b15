/* The text that an unmodified client takes. Pure. */
#ifndef SERVICE_PROFILE_H
#define SERVICE_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct wg_profile {
	struct ip_addr address4, address6;
	const uint8_t *private_key; /* 32 bytes, NULL when the client has its own */
	const uint8_t *psk, *server_public;
	const char *endpoint_host; /* name or address, without a port */
	uint16_t endpoint_port, mtu, keepalive_s;
	const char *dns; /* "" for none */
};

/* Writes the wg-quick format. Without a private key a comment stands in its place, so that wg and
 * wg-quick still read the text and whoever has the key puts it there.
 * Returns: 0, -EMSGSIZE (out is wiped). */
int profile_wireguard(const struct wg_profile *p, char *out, size_t cap) must_check;

struct ovpn_profile {
	const char *endpoint_host;   /* name or address, without a port */
	uint16_t udp_port, tcp_port; /* 0: the server has none */
	const char *server_name;     /* the server certificate's common name */
	const char *ca_pem, *cert_pem;
	const char *key_pem; /* NULL when the client has its own */
	const char *tls_crypt_v2_pem;
};

/* Writes one inline .ovpn, for openvpn 2.5 and later and the Connect apps: UDP first, TCP as the
 * fallback. Nothing in it is a text of a user. Without a key a comment says where it goes.
 * Returns: 0, -EMSGSIZE (out is wiped). */
int profile_openvpn(const struct ovpn_profile *p, char *out, size_t cap) must_check;

/* "laptop.conf": what wg-quick takes as an interface name ([A-Za-z0-9_=+.-], at most 15), made of
 * the device's name; "ireko.conf" when nothing is left of it. suffix is "conf" or "ovpn"; cap is at
 * least 21. */
void profile_filename(const char *device_name, const char *suffix, char *out, size_t cap);

#endif
