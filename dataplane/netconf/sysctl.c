/*
 * Forwarding has side effects in the kernel, which decide the order here:
 *
 *   net.ipv6.conf.all.forwarding  is copied to every interface, and an interface that forwards
 *       hears router advertisements only with accept_ra=2 (ip-sysctl.rst). So a host that lives on
 *       an advertised default route gets 2 for 1 first.
 *   net.ipv4.ip_forward  is copied to every interface, and flips conf.all.accept_redirects.
 *
 * What would be overwritten is remembered before ("pinned"); giving back goes backwards, so that
 * each pin is written after the switch that overwrites it.
 */
#include "netconf/sysctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum { VALUE = 16, KEY = 96 };

struct change {
	char key[KEY]; /* path below the root */
	char old[VALUE];
	char now[VALUE];
	bool pinned; /* not written by us: give it back whatever stands there */
};

struct sysctls {
	const char *root;
	struct change *list;
	size_t n, cap;
};

struct row {
	const char *name, *value;
};

/* Of the TUN; they die with it. Rules say the same again, so none of them is worth a failure. */
static const struct row tun4[] = {
	{"rp_filter", "1"},
	{"accept_source_route", "0"},
	{"accept_redirects", "0"},
	{"send_redirects", "0"},
};
static const struct row tun6[] = {
	{"disable_ipv6", "0"},
	{"accept_ra", "0"},
	{"autoconf", "0"},
	{"accept_redirects", "0"},
	{"router_solicitations", "0"},
};

int sysctls_new(struct sysctls **out, const char *root)
{
	struct sysctls *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->root = root;
	*out = s;
	return 0;
}

static int key_open(const struct sysctls *s, const char *key, int flags)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", s->root, key);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Value without its newline. */
static int key_read(const struct sysctls *s, const char *key, char value[static VALUE])
{
	int fd = key_open(s, key, O_RDONLY);
	if (fd < 0)
		return fd;
	ssize_t n = read(fd, value, VALUE - 1);
	int err = n < 0 ? -errno : 0;
	close(fd);
	if (err != 0)
		return err;
	value[n] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

static int key_write(const struct sysctls *s, const char *key, const char *value)
{
	size_t len = strlen(value);
	int fd = key_open(s, key, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return fd;
	ssize_t n = write(fd, value, len);
	int err = n < 0 ? -errno : (size_t)n != len ? -EIO : 0;
	close(fd);
	return err;
}

static int remember(struct sysctls *s, const char *key, const char *old, const char *now, bool pin)
{
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 16 : s->cap * 2;
		struct change *list = reallocarray(s->list, cap, sizeof(*list));
		if (list == NULL)
			return -ENOMEM;
		s->list = list;
		s->cap = cap;
	}
	struct change *c = &s->list[s->n];
	*c = (struct change){.pinned = pin};
	int n = snprintf(c->key, KEY, "%s", key);
	if (n < 0 || n >= KEY)
		return -ENAMETOOLONG;
	snprintf(c->old, VALUE, "%s", old);
	snprintf(c->now, VALUE, "%s", now);
	s->n++;
	return 0;
}

/* Writes the value if another one stands there, and remembers that. */
static int change(struct sysctls *s, const char *key, const char *value)
{
	char old[VALUE];
	int err = key_read(s, key, old);

	if (err != 0 || strcmp(old, value) == 0)
		return err;
	err = remember(s, key, old, value, false);
	if (err != 0)
		return err;
	err = key_write(s, key, value);
	if (err != 0)
		s->n--;
	return err;
}

static int pin(struct sysctls *s, const char *key)
{
	char old[VALUE];
	int err = key_read(s, key, old);

	/* Gone already, or nothing that this kernel has. */
	return err == -ENOENT ? 0 : err != 0 ? err : remember(s, key, old, old, true);
}

/* Calls each for every interface of "ipv4/conf" or "ipv6/conf", "default" among them. */
static int each_interface(struct sysctls *s, const char *conf, const char *skip,
	int (*each)(struct sysctls *s, const char *conf, const char *name))
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", s->root, conf), err = 0;
	DIR *dir = n > 0 && (size_t)n < sizeof(path) ? opendir(path) : NULL;
	if (dir == NULL)
		return -errno;

	for (struct dirent *e = readdir(dir); e != NULL && err == 0; e = readdir(dir)) {
		if (e->d_name[0] != '.' && strcmp(e->d_name, "all") != 0 &&
			strcmp(e->d_name, skip) != 0)
			err = each(s, conf, e->d_name);
	}
	closedir(dir);
	return err;
}

/* Only what is 1 needs a pin: turning "all" off again leaves 0 in the others. */
static int pin_forwarding(struct sysctls *s, const char *conf, const char *name)
{
	char key[PATH_MAX], old[VALUE];

	snprintf(key, sizeof(key), "%s/%s/forwarding", conf, name);
	if (key_read(s, key, old) != 0 || strcmp(old, "0") == 0)
		return 0;
	return pin(s, key);
}

static int keep_advertisements(struct sysctls *s, const char *conf, const char *name)
{
	char key[PATH_MAX], old[VALUE];

	snprintf(key, sizeof(key), "%s/%s/accept_ra", conf, name);
	if (strcmp(name, "default") == 0 || strcmp(name, "lo") == 0 || key_read(s, key, old) != 0 ||
		strcmp(old, "1") != 0)
		return 0;
	int err = change(s, key, "2");
	if (err != 0)
		log_warn("netconf",
			"%s: accept_ra: not kept, the host may lose its IPv6 default "
			"route, %s",
			name, strerror(-err));
	return 0;
}

static bool is_on(const struct sysctls *s, const char *key)
{
	char value[VALUE];

	return key_read(s, key, value) == 0 && strcmp(value, "0") != 0;
}

static int forward4(struct sysctls *s, const char *tun)
{
	static const char key[] = "ipv4/ip_forward";
	int err;

	if (is_on(s, key))
		return 0;
	err = each_interface(s, "ipv4/conf", tun, pin_forwarding);
	if (err == 0)
		err = pin(s, "ipv4/conf/all/accept_redirects");
	if (err == 0)
		err = change(s, key, "1");
	if (err != 0)
		log_error("netconf", "sysctl: net.ipv4.ip_forward: not set, %s", strerror(-err));
	return err;
}

static int forward6(struct sysctls *s, const char *tun)
{
	static const char key[] = "ipv6/conf/all/forwarding";
	int err;

	if (is_on(s, key))
		return 0;
	err = each_interface(s, "ipv6/conf", tun, keep_advertisements);
	if (err == 0)
		err = each_interface(s, "ipv6/conf", tun, pin_forwarding);
	if (err == 0)
		err = change(s, key, "1");
	if (err != 0)
		log_error("netconf", "sysctl: net.ipv6.conf.all.forwarding: not set, %s",
			strerror(-err));
	return err;
}

static void set_tun(
	struct sysctls *s, const char *conf, const char *tun, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char key[KEY], old[VALUE];

		snprintf(key, sizeof(key), "%s/%s/%s", conf, tun, rows[i].name);
		int err = key_read(s, key, old);
		if (err == 0 && strcmp(old, rows[i].value) != 0)
			err = key_write(s, key, rows[i].value);
		if (err != 0 && err != -ENOENT)
			log_warn("netconf", "sysctl: %s: not set, %s", key, strerror(-err));
	}
}

bool sysctls_have_ipv6(const struct sysctls *s)
{
	char value[VALUE];

	return key_read(s, "ipv6/conf/all/forwarding", value) == 0;
}

int sysctls_apply(struct sysctls *s, const char *tun, bool ipv6)
{
	set_tun(s, "ipv4/conf", tun, tun4, ARRAY_SIZE(tun4));
	int err = forward4(s, tun);

	if (err == 0 && ipv6) {
		set_tun(s, "ipv6/conf", tun, tun6, ARRAY_SIZE(tun6));
		err = forward6(s, tun);
	}
	return err;
}

void sysctls_restore(struct sysctls *s)
{
	while (s->n > 0) {
		const struct change *c = &s->list[--s->n];
		char now[VALUE];
		int err = key_read(s, c->key, now);

		if (err == 0 && strcmp(now, c->old) != 0 && (c->pinned || strcmp(now, c->now) == 0))
			err = key_write(s, c->key, c->old);
		/* An interface may have gone. */
		if (err != 0 && err != -ENOENT)
			log_warn("netconf", "sysctl: %s: not given back, %s", c->key,
				strerror(-err));
	}
}

void sysctls_free(struct sysctls *s)
{
	if (s == NULL)
		return;
	free(s->list);
	free(s);
}
