/* The control plane's settings, read once, const afterwards. */
#ifndef CONTROLPLANE_CONFIG_H
#define CONTROLPLANE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "ovpn/wrap.h"

enum { CONFIG_PROXIES_MAX = 64 };

struct config {
	char run_dir[96];
	char data_dir[512];
	char master_key_file[640];
	struct endpoint http_listen;
	bool http_insecure;
	bool metrics_devices;
	char tls_cert[512], tls_key[512];		      /* "": none */
	char public_url[256];				      /* "": as requests come */
	struct ip_prefix trusted_proxies[CONFIG_PROXIES_MAX]; /* networks, without host bits */
	size_t n_trusted_proxies;
	char endpoint[256];		     /* "": the first global address */
	struct ip_prefix network4, network6; /* IP_NONE: not given */
	char dns[256];
	uint32_t openvpn_reneg_s;
	bool has_openvpn_tls_crypt;
	struct ovpn_key2 openvpn_tls_crypt; /* wiped by config_wipe */
	char admin_password[257];	    /* "": make one; wiped by config_wipe */
	char admin_password_to[512];	    /* "": print it */
	int log_level, log_format;
	char restore[512]; /* "": serve */
	bool healthcheck;  /* ask the one that runs, then end */
};

/* Returns: SETTINGS_OK, SETTINGS_DONE, -EINVAL; see base/settings.h. */
int config_load(struct config *c, int argc, char **argv) must_check;
void config_wipe(struct config *c);
/* Whether REST is served over HTTPS. */
bool config_serves_tls(const struct config *c);

/* Address of an interface that the internet could reach, IPv4 before IPv6; loopback when there is
 * none. out has IP_ADDR_TEXT bytes. */
void config_first_global_address(char *out);

#endif
