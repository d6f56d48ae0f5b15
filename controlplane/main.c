/*
 * Composition root of the control plane: settings, keys, database, service, loop thread, REST, and
 * then nothing but waiting for the signal to end.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "api/health.h"
#include "base/isolate.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/settings.h"
#include "config.h"
#include "first_password.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "db/db.h"
#include "db/meta_store.h"
#include "pki/api_cert.h"
#include "pki/ca.h"
#include "pki/keystore.h"
#include "restore.h"
#include "service/service.h"
#include "session/coordinator.h"
#include "syscalls.h"

enum { TUNNEL_MTU = 1420, KEEPALIVE_S = 25, WG_PORT = 51820, OVPN_PORT = 1194, NOFILE = 16384 };

/* What runs, so that it can be ended in the reverse order. */
struct house {
	struct config conf;
	struct clock clock;
	struct keystore *ks;
	struct db *db;
	struct ca *ca;
	struct service *service;
	struct coordinator *coordinator;
	struct api *api;
	char *cert_pem, *key_pem; /* from our own authority */
	struct ip_prefix net4, net6;
	char endpoint[256];
	bool tls;		  /* REST is served over HTTPS */
	bool password_kept, said; /* the first password: in its file; why it is not */
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "ireko-controlplane: %s: %s\n", what, why);
	return -1;
}

/* Started as root, with a folder that is root's (made by hand, or just now): it is given to the
 * user that we become. Nobody else could enter or write it, so what is in it is root's own. */
static int hand_over_data_dir(const struct config *c, int dir, struct stat *st)
{
	static const char *const files[] = {"ireko.db", "ireko.db-wal", "ireko.db-shm",
		"ireko.lock", "master.key", "api-ca.pem"};
	struct identity own;
	if (identity_lookup("ireko-control", &own) < 0)
		return fail(c->data_dir, "belongs to root, and there is no user ireko-control that "
					 "could take it");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (fchownat(dir, files[i], own.uid, own.gid, AT_SYMLINK_NOFOLLOW) < 0 &&
			errno != ENOENT)
			return fail(files[i], strerror(errno));
	if (fchown(dir, own.uid, own.gid) < 0)
		return fail(c->data_dir, strerror(errno));
	st->st_uid = own.uid;
	st->st_gid = own.gid;
	return 0;
}

static int check_data_dir(const struct config *c, int dir, struct stat *st)
{
	if (fstat(dir, st) < 0)
		return fail(c->data_dir, strerror(errno));
	if (geteuid() != 0 && st->st_uid != geteuid())
		return fail(c->data_dir, "belongs to another user");
	if (st->st_mode & 0022)
		return fail(c->data_dir, "others may write it: make it mode 0700");
	if (st->st_mode & 0055 && fchmod(dir, 0700) < 0)
		return fail(c->data_dir, strerror(errno));
	return st->st_uid == 0 ? hand_over_data_dir(c, dir, st) : 0;
}

/* The folder is 0700 and ours. Started as root, its owner is who we become, and that is never root.
 */
static int open_data_dir(const struct config *c, struct identity *who)
{
	if (mkdir(c->data_dir, 0700) < 0 && errno != EEXIST)
		return fail(c->data_dir, strerror(errno));
	int dir = open(c->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail(c->data_dir, errno == ENOTDIR ? "is not a folder" : strerror(errno));
	struct stat st;
	int r = check_data_dir(c, dir, &st);
	close(dir);
	*who = (struct identity){.uid = st.st_uid, .gid = geteuid() ? getegid() : st.st_gid};
	return r;
}

/* Root comes only as far as here. The group of that name is who may use the dataplane's socket. */
static int give_up_privilege(const struct identity *owner)
{
	struct identity who = *owner;
	const struct group *door = geteuid() == 0 ? getgrnam("ireko") : NULL;
	if (door)
		who.gid = door->gr_gid;
	int r = isolate_become(&who, 0);
	if (r == 0)
		r = isolate_no_dumps();
	if (r == 0)
		r = isolate_no_rings();
	if (r == 0)
		r = isolate_limits(NOFILE);
	return r < 0 ? fail("giving up privilege", strerror(-r)) : 0;
}

static int load_wg_key(struct house *h)
{
	uint8_t blob[KEYSTORE_WG_BLOB];
	size_t len;
	int r = meta_get_blob(h->db, "wg_key", blob, sizeof(blob), &len);
	if (r == -ENOENT) {
		r = keystore_wg_create(h->ks, blob);
		if (r == 0)
			r = meta_set_blob(h->db, "wg_key", blob, sizeof(blob));
		return r < 0 ? fail("making the WireGuard key", strerror(-r)) : 0;
	}
	if (r == 0)
		r = len == sizeof(blob) ? keystore_wg_load(h->ks, blob) : -EBADMSG;
	if (r == -EBADMSG)
		return fail(h->conf.master_key_file, "is not the master key of this database");
	return r < 0 ? fail("reading the WireGuard key", strerror(-r)) : 0;
}

static int random_ula(struct ip_prefix *out)
{
	*out = (struct ip_prefix){.addr.family = IP_V6, .len = 64};
	out->addr.bytes[0] = 0xfd; /* RFC 4193: 40 random bits of global id, and a random subnet */
	return secret_random(out->addr.bytes + 1, 7);
}

/* A network is fixed at first start; naming another one later is a mistake to be told. */
static int fix_network(struct house *h, const char *key, const char *flag,
	const struct ip_prefix *asked, const struct ip_prefix *initial, struct ip_prefix *out)
{
	char text[IP_PREFIX_TEXT], why[160];
	int r = meta_get_text(h->db, key, text, sizeof(text));
	if (r == -ENOENT) {
		*out = asked->addr.family ? *asked : *initial;
		r = meta_set_text(h->db, key, ip_prefix_format(out, text));
		return r < 0 ? fail(flag, strerror(-r)) : 0;
	}
	if (r < 0 || ip_prefix_parse(out, text) < 0)
		return fail(flag, "the database's value cannot be read");
	if (asked->addr.family &&
		(!ip_addr_equal(&asked->addr, &out->addr) || asked->len != out->len)) {
		snprintf(
			why, sizeof(why), "was fixed at first start to %s and cannot change", text);
		return fail(flag, why);
	}
	return 0;
}

static int fix_networks(struct house *h)
{
	struct ip_prefix initial4, initial6;
	if (ip_prefix_parse(&initial4, "10.77.0.0/16") < 0 || random_ula(&initial6) < 0)
		return fail("--network6", "no randomness");
	if (fix_network(h, "net4", "--network4", &h->conf.network4, &initial4, &h->net4) < 0)
		return -1;
	return fix_network(h, "net6", "--network6", &h->conf.network6, &initial6, &h->net6);
}

/* What a database has sealed, a new key can't open: then a missing one is to be told, not made. */
static bool has_database(const struct config *c)
{
	char path[PATH_MAX];
	return snprintf(path, sizeof(path), "%s/ireko.db", c->data_dir) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

static int open_keys(struct house *h, bool create)
{
	int r = keystore_open(&h->ks, h->conf.master_key_file, create);
	if (r == -ENOENT && !create)
		return fail(h->conf.master_key_file,
			"is missing, and the database cannot be read without it");
	if (r == -EINVAL)
		return fail(h->conf.master_key_file, "is not 32 bytes");
	if (r == -EPERM)
		return fail(h->conf.master_key_file, "others can read it: make it mode 0600");
	return r < 0 ? fail(h->conf.master_key_file, strerror(-r)) : 0;
}

static int open_store(struct house *h)
{
	if (open_keys(h, !has_database(&h->conf)) < 0)
		return -1;
	char why[128] = "";
	int r = db_open(&h->db, h->conf.data_dir, why);
	if (r < 0)
		return fail("database", why[0] ? why : strerror(-r));
	if (load_wg_key(h) < 0)
		return -1;
	r = ca_open(&h->ca, h->ks, h->db, &h->clock);
	if (r < 0)
		return fail("the authority for OpenVPN certificates", strerror(-r));
	return fix_networks(h);
}

/* Whoever can read our output for ever, as of a container, is not whom the password is for. */
static int keep_password(void *house, const char *password)
{
	struct house *h = house;
	int r = first_password_write(h->conf.admin_password_to, password);
	if (r == -EEXIST)
		fail(h->conf.admin_password_to, "is there already: the admin's first password "
						"goes into a new file");
	else if (r < 0)
		fail(h->conf.admin_password_to, strerror(-r));
	h->password_kept = r == 0;
	h->said = r < 0;
	return r;
}

/* Also of a start that was ended before it came to this. */
static void name_password(const struct house *h)
{
	const char *path = h->conf.admin_password_to;
	int r = first_password_keep(path);
	if (r < 0)
		log_error(
			"main", "the password of user admin is in %s.new: %s", path, strerror(-r));
	else if (h->password_kept)
		log_info("main", "the password of user admin is in %s", path);
}

static void say_password(const struct house *h, const char *made)
{
	if (h->password_kept)
		return;
	/* Not a log line: whoever starts us at a terminal or reads our output sees it once. */
	printf("admin password: %s\n", made);
	fflush(stdout);
}

static int start_service(struct house *h)
{
	struct svc_conf sc = {
		.net4 = h->net4,
		.net6 = h->net6,
		.wg_port = WG_PORT,
		.ovpn_port = OVPN_PORT,
		.mtu = TUNNEL_MTU,
		.keepalive_s = KEEPALIVE_S,
		.clock = h->clock,
		.admin_password = h->conf.admin_password[0] ? h->conf.admin_password : NULL,
	};
	snprintf(sc.endpoint_host, sizeof(sc.endpoint_host), "%s", h->endpoint);
	snprintf(sc.dns, sizeof(sc.dns), "%s", h->conf.dns);
	if (h->conf.admin_password_to[0]) {
		sc.keep_password = keep_password;
		sc.keep_arg = h;
	}
	char made[33];
	int r = service_new(&h->service, &sc, h->db, h->ks, h->ca, made);
	if (r < 0 && h->password_kept)
		first_password_drop(h->conf.admin_password_to);
	if (r < 0)
		return h->said ? -1 : fail("service", strerror(-r));
	if (h->conf.admin_password_to[0])
		name_password(h);
	if (made[0])
		say_password(h, made);
	secret_wipe(made, sizeof(made));
	return 0;
}

/* Its thread begins when nothing can fail any more. */
static int make_coordinator(struct house *h)
{
	struct coordinator_conf cc = {
		.run_dir = h->conf.run_dir,
		.net4 = h->net4,
		.net6 = h->net6,
		.clock = h->clock,
		.ks = h->ks,
		.ca = h->ca,
		.reneg_ms = h->conf.openvpn_reneg_s * 1000,
		.tls_crypt = h->conf.has_openvpn_tls_crypt ? &h->conf.openvpn_tls_crypt : NULL,
	};
	struct svc_settings set;
	svc_settings_now(h->service, &set);
	cc.mtu = (uint16_t)set.number[SVC_MTU];
	snprintf(cc.dns, sizeof(cc.dns), "%s", set.dns);
	snprintf(h->endpoint, sizeof(h->endpoint), "%s", set.endpoint);
	const struct coordinator_hooks hooks = {
		.on_device_state = service_on_device_state,
		.on_credential_state = service_on_credential_state,
		.arg = h->service,
		.on_event = service_on_event,
		.on_counters = service_on_counters,
	};
	int r = coordinator_new(&h->coordinator, &cc, &hooks);
	if (r == 0)
		r = service_attach(h->service, h->coordinator);
	return r < 0 ? fail("session", strerror(-r)) : 0;
}

/* Root of this machine, and whoever is in this container, can trust it. That it can't be written is
 * no reason not to serve. */
static void publish_authority(const struct house *h)
{
	char path[PATH_MAX];
	int r = -ENAMETOOLONG;
	if (snprintf(path, sizeof(path), "%s/api-ca.pem", h->conf.data_dir) < (int)sizeof(path))
		r = api_cert_publish(h->cert_pem, path);
	if (r < 0)
		log_warn("main", "api-ca.pem: not written, %s", strerror(-r));
}

static int start_api(struct house *h)
{
	const struct config *c = &h->conf;
	struct api_conf ac = {
		.listen = c->http_listen,
		.public_url = c->public_url[0] ? c->public_url : NULL,
		.proxies = c->trusted_proxies,
		.n_proxies = c->n_trusted_proxies,
		.tls = config_serves_tls(c),
		.tls_cert_file = c->tls_cert[0] ? c->tls_cert : NULL,
		.tls_key_file = c->tls_key[0] ? c->tls_key : NULL,
		.max_connections = 4096,
		.request_ms = 15000,
		.metrics_devices = c->metrics_devices,
	};
	if (ac.tls && !ac.tls_cert_file) {
		int r = api_cert_make(
			h->ks, h->db, h->endpoint, &h->clock, &h->cert_pem, &h->key_pem);
		if (r < 0)
			return fail("making a certificate", strerror(-r));
		ac.tls_cert_pem = h->cert_pem;
		ac.tls_key_pem = h->key_pem;
		publish_authority(h);
	}
	char why[160] = "";
	int r = api_start(&h->api, &ac, h->service, why);
	if (r < 0)
		return fail("--http-listen", why[0] ? why : strerror(-r));
	h->tls = ac.tls;
	return 0;
}

static void stop(struct house *h)
{
	/* First: a request may be waiting for a dataplane that does not answer. */
	if (h->coordinator)
		coordinator_stop(h->coordinator);
	if (h->api)
		api_stop(h->api);
	if (h->service)
		service_stop(h->service);
	if (h->service)
		service_free(h->service);
	coordinator_free(h->coordinator);
	if (h->db)
		db_close(h->db);
	ca_free(h->ca);
	if (h->ks)
		keystore_free(h->ks);
	if (h->key_pem)
		secret_wipe(h->key_pem, strlen(h->key_pem));
	free(h->key_pem);
	free(h->cert_pem);
	config_wipe(&h->conf);
}

static void say_ready(const struct house *h)
{
	char at[ENDPOINT_TEXT];
	struct ip_addr literal;
	const struct endpoint bound = api_address(h->api);
	log_info("main", "profiles will name %s", h->endpoint);
	if (ip_addr_parse(&literal, h->endpoint) == 0 && ip_addr_is_loopback(&literal))
		log_warn("main", "no other machine can reach that: set IREKO_ENDPOINT");
	log_info(
		"main", "ready on %s://%s", h->tls ? "https" : "http", endpoint_format(&bound, at));
}

static int settle(struct house *h)
{
	struct identity who;
	if (aead_init() < 0 || blake2s_init() < 0)
		return fail("OpenSSL", "its algorithms do not pass their self-test");
	return open_data_dir(&h->conf, &who) < 0 ? -1 : give_up_privilege(&who);
}

static int restore(struct house *h)
{
	const int fd = restore_open(h->conf.restore);
	if (fd < 0)
		return -1;
	int r = settle(h);
	if (r == 0)
		r = open_keys(h, false);
	if (r == 0)
		r = restore_run(h->conf.data_dir, fd, h->ks, &h->clock);
	close(fd);
	return r;
}

/* Over the settings' own address, as whoever watches a container does it from inside. */
static int healthcheck(const struct config *c)
{
	char why[API_HEALTH_TEXT];
	const bool well = api_health(&c->http_listen, config_serves_tls(c), why) == 0;
	fprintf(well ? stdout : stderr, "ireko-controlplane: %s: %s\n",
		well ? "healthy" : "not healthy", why);
	return well ? 0 : 1;
}

static int start(struct house *h)
{
	if (settle(h) < 0)
		return -1;
	if (h->conf.endpoint[0])
		snprintf(h->endpoint, sizeof(h->endpoint), "%s", h->conf.endpoint);
	else
		config_first_global_address(h->endpoint);
	if (open_store(h) < 0 || start_service(h) < 0 || make_coordinator(h) < 0 ||
		start_api(h) < 0)
		return -1;
	config_wipe(&h->conf); /* the engine has its own copy */
	int r = coordinator_start(h->coordinator);
	if (r < 0)
		return fail("session", strerror(-r));
	r = controlplane_seccomp();
	if (r < 0)
		return fail("seccomp", strerror(-r));
	say_ready(h);
	return 0;
}

int main(int argc, char **argv)
{
	static struct house h;
	int r = config_load(&h.conf, argc, argv);
	if (r)
		return r == SETTINGS_DONE ? 0 : 2;
	if (h.conf.healthcheck) {
		r = healthcheck(&h.conf);
		config_wipe(&h.conf);
		return r;
	}
	log_init(h.conf.log_level, h.conf.log_format);
	h.clock = clock_system();
	umask(0077);

	/* Blocked before there are threads, so that only sigwait below sees them. */
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);

	if (h.conf.restore[0]) {
		r = restore(&h);
		stop(&h);
		return r < 0 ? 1 : 0;
	}
	if (start(&h) < 0) {
		stop(&h);
		return 1;
	}
	int sig;
	sigwait(&ends, &sig);
	log_info("main", "stopping on %s", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	stop(&h);
	return 0;
}
