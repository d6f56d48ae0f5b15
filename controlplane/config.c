#include "config.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/settings.h"

enum { OPENVPN_RENEG_MIN_S = 20, OPENVPN_RENEG_MAX_S = 24 * 3600 };

static int bad(char *why, size_t why_len, const char *text)
{
	snprintf(why, why_len, "%s", text);
	return -EINVAL;
}

static int copy(char *out, size_t cap, const char *value, char *why, size_t why_len)
{
	if (strlen(value) >= cap)
		return bad(why, why_len, "is too long");
	snprintf(out, cap, "%s", value);
	return 0;
}

#define TEXT_SETTING(field)                                                                        \
	static int parse_##field(void *conf, const char *value, char *why, size_t why_len)         \
	{                                                                                          \
		struct config *c = conf;                                                           \
		return copy(c->field, sizeof(c->field), value, why, why_len);                      \
	}
TEXT_SETTING(run_dir)
TEXT_SETTING(data_dir)
TEXT_SETTING(master_key_file)
TEXT_SETTING(tls_cert)
TEXT_SETTING(tls_key)
TEXT_SETTING(restore)
TEXT_SETTING(admin_password_to)

static int parse_http_listen(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	return endpoint_parse(&c->http_listen, value) < 0
		       ? bad(why, why_len,
				 "is not address:port, for example 127.0.0.1:8080 or [::]:8443")
		       : 0;
}

static int parse_http_insecure(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	return setting_parse_bool(value, &c->http_insecure) < 0
		       ? bad(why, why_len, "is neither on nor off")
		       : 0;
}

/* Scheme and authority only: links are made by appending to it. */
static int parse_public_url(void *conf, const char *value, char *why, size_t why_len)
{
	static const char host[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
	struct config *c = conf;
	const char *rest = strncmp(value, "https://", 8) == 0  ? value + 8
			   : strncmp(value, "http://", 7) == 0 ? value + 7
							       : "";
	if (rest[0] == '\0' || strspn(rest, host) != strlen(rest))
		return bad(why, why_len,
			"is not like https://vpn.example.net:8443 (no path, no slash at the end)");
	return copy(c->public_url, sizeof(c->public_url), value, why, why_len);
}

static int parse_metrics_devices(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	return setting_parse_bool(value, &c->metrics_devices) < 0
		       ? bad(why, why_len, "is neither on nor off")
		       : 0;
}

/* A DNS name or an address literal, as it will stand in profiles. */
static int parse_endpoint(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	struct ip_addr a;
	if (ip_addr_parse(&a, value) < 0 &&
		strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") !=
			strlen(value))
		return bad(
			why, why_len, "is neither a host name nor an address (it takes no port)");
	return copy(c->endpoint, sizeof(c->endpoint), value, why, why_len);
}

static int parse_network(
	struct ip_prefix *out, const char *value, uint8_t family, uint8_t min, uint8_t max)
{
	struct ip_prefix p;
	if (ip_prefix_parse(&p, value) < 0 || p.addr.family != family || p.len < min || p.len > max)
		return -EINVAL;
	out->len = p.len;
	out->addr = ip_prefix_network(&p);
	return ip_addr_equal(&out->addr, &p.addr) ? 0 : -EINVAL;
}

static int parse_network4(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	return parse_network(&c->network4, value, IP_V4, 8, 29) < 0
		       ? bad(why, why_len, "is not an IPv4 network of /8 to /29, like 10.77.0.0/16")
		       : 0;
}

static int parse_network6(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	return parse_network(&c->network6, value, IP_V6, 32, 120) < 0
		       ? bad(why, why_len,
				 "is not an IPv6 network of /32 to /120, like fd12:3456:789a::/64")
		       : 0;
}

/* The next of a list with commas, without the blanks around it; NULL after the last. */
static char *list_next(char **rest)
{
	char *one = strsep(rest, ",");
	if (!one)
		return NULL;
	one += strspn(one, " ");
	for (size_t n = strlen(one); n > 0 && one[n - 1] == ' '; n--)
		one[n - 1] = '\0';
	return one;
}

static int parse_dns(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	char list[sizeof(c->dns)], *rest = list, *one;
	int r = copy(list, sizeof(list), value, why, why_len);
	c->dns[0] = '\0';
	while (r == 0 && (one = list_next(&rest))) {
		struct ip_addr a;
		char text[IP_ADDR_TEXT];
		if (ip_addr_parse(&a, one) < 0)
			return bad(why, why_len,
				"is not a list of addresses with commas between them");
		const size_t used = strlen(c->dns);
		snprintf(c->dns + used, sizeof(c->dns) - used, "%s%s", used ? ", " : "",
			ip_addr_format(&a, text));
	}
	return r;
}

/* Whoever may say whose request it is can claim to be anybody; everybody is nobody to trust. */
static int parse_trusted_proxies(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	char list[CONFIG_PROXIES_MAX * (IP_PREFIX_TEXT + 2)], *rest = list, *one;
	int r = copy(list, sizeof(list), value, why, why_len);
	c->n_trusted_proxies = 0;
	while (r == 0 && (one = list_next(&rest))) {
		struct ip_prefix p;
		if (parse_network(&p, one, IP_V4, 1, 32) < 0 &&
			parse_network(&p, one, IP_V6, 1, 128) < 0)
			return bad(why, why_len,
				"is not a list of addresses and networks (not /0) with commas "
				"between them, like 10.0.0.2,fd00:1::/64");
		if (c->n_trusted_proxies == ARRAY_SIZE(c->trusted_proxies))
			return bad(why, why_len, "has more than 64 entries");
		c->trusted_proxies[c->n_trusted_proxies++] = p;
	}
	return r;
}

static int parse_openvpn_reneg(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	char *end;
	errno = 0;
	const unsigned long n = strtoul(value, &end, 10);
	if (errno || value[0] < '0' || value[0] > '9' || *end || n < OPENVPN_RENEG_MIN_S ||
		n > OPENVPN_RENEG_MAX_S)
		return bad(why, why_len, "is not a number of seconds from 20 to 86400");
	c->openvpn_reneg_s = (uint32_t)n;
	return 0;
}

static int parse_openvpn_tls_crypt(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	if (ovpn_static_key_parse(value, &c->openvpn_tls_crypt) < 0)
		return bad(why, why_len, "is not an OpenVPN static key (2048 bits)");
	c->has_openvpn_tls_crypt = true;
	return 0;
}

static int parse_admin_password(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	if (strlen(value) < 8)
		return bad(why, why_len, "is shorter than 8 bytes");
	return copy(c->admin_password, sizeof(c->admin_password), value, why, why_len);
}

static int parse_log_level(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	return setting_parse_log_level(value, &c->log_level) < 0
		       ? bad(why, why_len, "is not one of error, warn, info, debug")
		       : 0;
}

static int parse_log_format(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	return setting_parse_log_format(value, &c->log_format) < 0
		       ? bad(why, why_len, "is neither text nor json")
		       : 0;
}

static int parse_healthcheck(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	(void)value;
	(void)why;
	(void)why_len;
	c->healthcheck = true;
	return 0;
}

static const struct setting settings[] = {
	{"RUN_DIR", "/run/ireko", "folder of the dataplane's socket", parse_run_dir, false},
	{"DATA_DIR", "/var/lib/ireko", "folder of ireko.db and master.key", parse_data_dir, false},
	{"HTTP_LISTEN", "127.0.0.1:8080",
		"address and port of the REST API; HTTPS unless on loopback", parse_http_listen,
		false},
	{"HTTP_INSECURE", "off", "plain HTTP on any address", parse_http_insecure, false},
	{"TLS_CERT", NULL, "PEM file with the certificate for HTTPS", parse_tls_cert, true},
	{"TLS_KEY", NULL, "PEM file with its private key", parse_tls_key, true},
	{"PUBLIC_URL", NULL,
		"what invite links begin with; without it as the request that makes one came",
		parse_public_url, false},
	{"TRUSTED_PROXIES", NULL,
		"addresses and networks whose X-Forwarded-For is believed, with commas between "
		"them",
		parse_trusted_proxies, false},
	{"METRICS_DEVICES", "off", "series of each device in /metrics", parse_metrics_devices,
		false},
	{"ENDPOINT", NULL,
		"where profiles tell clients to connect; without it the first global address",
		parse_endpoint, false},
	{"NETWORK4", NULL, "IPv4 tunnel network, fixed at first start; without it 10.77.0.0/16",
		parse_network4, false},
	{"NETWORK6", NULL, "IPv6 tunnel network, fixed at first start; without it a random ULA /64",
		parse_network6, false},
	{"DNS", NULL, "resolvers that profiles name, with commas between them", parse_dns, false},
	{"OPENVPN_RENEG", "3600", "seconds after which an OpenVPN session gets new keys",
		parse_openvpn_reneg, false},
	{"OPENVPN_TLS_CRYPT", NULL,
		"OpenVPN static key for clients without a tls-crypt-v2 key; better as _FILE",
		parse_openvpn_tls_crypt, false},
	{"ADMIN_PASSWORD", NULL,
		"password of user admin at first start; without it random, printed once",
		parse_admin_password, false},
	{"ADMIN_PASSWORD_TO", NULL,
		"new file that a random one is written to, instead of being printed",
		parse_admin_password_to, true},
	{"MASTER_KEY_FILE", NULL,
		"32 bytes that encrypt private keys; without it DATA_DIR/master.key",
		parse_master_key_file, true},
	{"LOG_LEVEL", "info", "error, warn, info or debug", parse_log_level, false},
	{"LOG_FORMAT", "text", "text or json", parse_log_format, false},
	{"RESTORE", NULL, "put this backup in the place of the database, then end", parse_restore,
		SETTING_FLAG_ONLY},
	{"HEALTHCHECK", NULL, "ask the one that runs whether it is well: exit status 0 or 1",
		parse_healthcheck, SETTING_SWITCH},
};

static const struct program program = {
	.name = "ireko-controlplane",
	.summary = "REST API, database and handshakes of the Ireko VPN service.",
	.settings = settings,
	.n_settings = ARRAY_SIZE(settings),
};

int config_load(struct config *c, int argc, char **argv)
{
	*c = (struct config){0};
	int r = settings_load(&program, argc, argv, c);
	if (r)
		return r;
	if (!c->tls_cert[0] != !c->tls_key[0]) {
		fprintf(stderr, "%s: --tls-cert and --tls-key: one is no use without the other\n",
			program.name);
		return -EINVAL;
	}
	if (!c->master_key_file[0])
		snprintf(c->master_key_file, sizeof(c->master_key_file), "%s/master.key",
			c->data_dir);
	return 0;
}

bool config_serves_tls(const struct config *c)
{
	return c->tls_cert[0] || (!ip_addr_is_loopback(&c->http_listen.addr) && !c->http_insecure);
}

void config_wipe(struct config *c)
{
	secret_wipe(c->admin_password, sizeof(c->admin_password));
	ovpn_key2_wipe(&c->openvpn_tls_crypt);
}

/* Loopback, link-local and our own kind of network do not reach anybody. */
static bool is_global(const struct ip_addr *a)
{
	if (a->family == IP_V4)
		return a->bytes[0] != 127 && a->bytes[0] != 0 &&
		       !(a->bytes[0] == 169 && a->bytes[1] == 254);
	return a->family == IP_V6 && (a->bytes[0] & 0xe0) == 0x20;
}

void config_first_global_address(char *out)
{
	struct ifaddrs *all = NULL;
	struct ip_addr best = {0};
	if (getifaddrs(&all) < 0)
		all = NULL;
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		struct endpoint e;
		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) ||
			i->ifa_flags & (IFF_LOOPBACK | IFF_POINTOPOINT))
			continue;
		if (endpoint_from_sockaddr(&e, i->ifa_addr) < 0 || !is_global(&e.addr))
			continue;
		if (best.family == IP_NONE || (best.family == IP_V6 && e.addr.family == IP_V4))
			best = e.addr;
	}
	freeifaddrs(all);
	if (best.family == IP_NONE)
		snprintf(out, IP_ADDR_TEXT, "127.0.0.1");
	else
		ip_addr_format(&best, out);
}
