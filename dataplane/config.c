/* Settings as a table: one row is one variable of the outside contract. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/settings.h"
#include "io/offloads.h"

static int refuse(char *why, size_t why_len, const char *what)
{
	snprintf(why, why_len, "%s", what);
	return -EINVAL;
}

static int copy_text(char *out, size_t cap, const char *value, char *why, size_t why_len)
{
	size_t len = strlen(value);

	if (len == 0)
		return refuse(why, why_len, "is empty");
	if (len >= cap)
		return refuse(why, why_len, "is too long");
	memcpy(out, value, len + 1);
	return 0;
}

static int parse_run_dir(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;

	if (value[0] != '/')
		return refuse(why, why_len, "is not an absolute path");
	return copy_text(c->run_dir, sizeof(c->run_dir), value, why, why_len);
}

static int parse_listener(struct listener *out, const char *text)
{
	if (strncmp(text, "udp://", 6) == 0)
		out->tcp = false;
	else if (strncmp(text, "tcp://", 6) == 0)
		out->tcp = true;
	else
		return -EINVAL;
	if (endpoint_parse(&out->at, text + 6) != 0 || out->at.port == 0)
		return -EINVAL;
	return 0;
}

static bool listener_repeats(const struct config *c, const struct listener *l)
{
	for (uint32_t i = 0; i < c->n_listeners; i++) {
		if (c->listeners[i].tcp == l->tcp && endpoint_equal(&c->listeners[i].at, &l->at))
			return true;
	}
	return false;
}

static bool has_udp(const struct config *c)
{
	for (uint32_t i = 0; i < c->n_listeners; i++) {
		if (!c->listeners[i].tcp)
			return true;
	}
	return false;
}

static int parse_listen(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;

	c->n_listeners = 0;
	for (const char *at = value;;) {
		size_t len = strcspn(at, ",");
		char text[LISTENER_TEXT];
		struct listener l = {0};

		if (len >= sizeof(text))
			return refuse(why, why_len, "has an address that is too long");
		memcpy(text, at, len);
		text[len] = '\0';
		if (parse_listener(&l, text) != 0)
			return refuse(why, why_len,
				"is not a list of udp://ADDRESS:PORT and tcp://ADDRESS:PORT");
		if (listener_repeats(c, &l))
			return refuse(why, why_len, "names the same address twice");
		if (c->n_listeners == CONFIG_LISTENERS)
			return refuse(why, why_len, "has more than 16 addresses");
		c->listeners[c->n_listeners++] = l;
		if (at[len] == '\0')
			break;
		at += len + 1;
	}
	return has_udp(c) ? 0 : refuse(why, why_len, "has no udp:// address");
}

static int parse_tun(void *conf, const char *value, char *why, size_t why_len)
{
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	struct config *c = conf;
	size_t len = strlen(value);

	if (len == 0 || len >= sizeof(c->tun) || value[0] < 'a' || value[0] > 'z' ||
		strspn(value, rest) != len)
		return refuse(why, why_len,
			"is not a device name: a letter, then letters, digits and _ (lower case, "
			"15)");
	memcpy(c->tun, value, len + 1);
	return 0;
}

static int parse_workers(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;
	size_t len = strlen(value);
	unsigned long n;

	if (len == 0 || len > 2 || strspn(value, "0123456789") != len)
		return refuse(why, why_len, "is not a number from 1 to 63");
	n = strtoul(value, NULL, 10);
	if (n < 1 || n > CONFIG_WORKERS)
		return refuse(why, why_len, "is not a number from 1 to 63");
	c->workers = (uint32_t)n;
	return 0;
}

static int parse_nat(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;

	return setting_parse_bool(value, &c->nat) == 0
		       ? 0
		       : refuse(why, why_len, "is neither on nor off");
}

static int parse_aead(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;

	return aead_lib_parse(value, &c->aead) == 0
		       ? 0
		       : refuse(why, why_len, "is none of auto, openssl, ipsec-mb");
}

static int parse_offloads(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;

	if (offloads_parse(value, &c->offloads) == 0)
		return 0;
	return refuse(why, why_len,
		"is neither auto nor off nor a list of tun-gso, tun-gro, udp-gso, udp-gro");
}

static int parse_user(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;

	return copy_text(c->user, sizeof(c->user), value, why, why_len);
}

static int parse_log_level(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;

	return setting_parse_log_level(value, &c->log_level) == 0
		       ? 0
		       : refuse(why, why_len, "is none of error, warn, info, debug");
}

static int parse_log_format(void *conf, const char *value, char *why, size_t why_len)
{
	struct config *c = conf;

	return setting_parse_log_format(value, &c->log_format) == 0
		       ? 0
		       : refuse(why, why_len, "is neither text nor json");
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

static const struct setting rows[] = {
	{"RUN_DIR", "/run/ireko", "folder of the Unix socket dataplane.sock", parse_run_dir, false},
	{"LISTEN", "udp://[::]:51820,udp://[::]:1194,tcp://[::]:1194", "sockets of the tunnel",
		parse_listen, false},
	{"TUN", "ireko0", "name of the TUN device", parse_tun, false},
	{"WORKERS", NULL, "forwarding threads; without it one per CPU", parse_workers, false},
	{"NAT", "on", "masquerade traffic that leaves the tunnel network", parse_nat, false},
	{"AEAD", "auto", "library that seals and opens packets: auto, openssl, ipsec-mb",
		parse_aead, false},
	{"OFFLOADS", "auto",
		"kernel offloads that may be used: auto, off, or a list of "
		"tun-gso,tun-gro,udp-gso,udp-gro",
		parse_offloads, false},
	{"USER", NULL, "user to become after start; without it root becomes ireko, others stay",
		parse_user, false},
	{"LOG_LEVEL", "info", "error, warn, info, debug", parse_log_level, false},
	{"LOG_FORMAT", "text", "text, json", parse_log_format, false},
	{"HEALTHCHECK", NULL, "ask the one that runs whether it is well: exit status 0 or 1",
		parse_healthcheck, SETTING_SWITCH},
};

static const struct program program = {
	.name = "ireko-dataplane",
	.summary = "Carries the packets of the tunnel; the control plane tells it whose.",
	.settings = rows,
	.n_settings = ARRAY_SIZE(rows),
};

int data_config_load(struct config *out, int argc, char **argv)
{
	*out = (struct config){0};
	return settings_load(&program, argc, argv, out);
}

int data_config_identity(const struct config *c, struct identity *out)
{
	if (c->user[0] != '\0' || geteuid() == 0)
		return identity_lookup(c->user[0] != '\0' ? c->user : "ireko", out);
	*out = (struct identity){.uid = geteuid(), .gid = getegid()};
	return 0;
}

const char *listener_format(const struct listener *l, char *buf)
{
	char at[ENDPOINT_TEXT];

	snprintf(
		buf, LISTENER_TEXT, "%s://%s", l->tcp ? "tcp" : "udp", endpoint_format(&l->at, at));
	return buf;
}
