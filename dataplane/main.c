/*
 * Composition root of the dataplane: the startup ladder, the control thread's loop, the stop.
 *
 *   root, or a user with CAP_NET_ADMIN permitted by the file: settings, no_new_privs, self-tests,
 *   run folder, door, outer sockets, TUN, netconf helper (forked)
 *   user without capabilities, no_new_privs, no dumps: engine, worker threads
 *   seccomp for all threads
 *   serve: door, timers, signals
 *
 * A step that fails has logged one line; what stands is taken down again in reverse.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/isolate.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/ulid.h"
#include "base/usage.h"
#include "config.h"
#include "crypto/aead.h"
#include "crypto/aead_choose.h"
#include "crypto/blake2s.h"
#include "crypto/epoch.h"
#include "fwd/fwd.h"
#include "health.h"
#include "io/ctl_apply.h"
#include "io/ctl_server.h"
#include "io/offloads.h"
#include "io/punt.h"
#include "io/steer.h"
#include "io/tcp.h"
#include "io/tun.h"
#include "io/udp.h"
#include "io/worker.h"
#include "netconf/netconf.h"
#include "sockets.h"
#include "uapi/door.h"

enum {
	MAX_PEERS = 65536,
	MAX_INDICES = 131072,
	MAX_PEER_IDS = 65536,
	STAGE_SLOTS = 1024,
	OPEN_FILES = 8192, /* TCP connections, and the sockets of all workers */
	TICK_MS = 100,
	TICK_SOON_MS = 5, /* when one is due at once: many peers that we called answer together */
	DOOR_LOOK_MS = 1000,
	NICER = 5, /* the control thread steps back behind the workers */
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Their run-times start threads and trace the process at the end. */
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* What was opened with privilege. Descriptors are -1 when closed. */
struct outside {
	uint32_t n_workers;
	struct sockets sockets;
	int tuns[CONFIG_WORKERS];
	struct tun_mode tun;
	struct netconf *netconf;
	char door_path[DOOR_PATH_MAX];
	struct door_place door_place; /* of what we have bound there */
	int door;
};

struct dataplane {
	struct config conf;
	struct aead_report aead;
	struct identity who;
	struct clock clock;
	int signals;
	int usage; /* of usage_open */
	struct outside out;
	struct offloads offloads;
	struct punt punt;
	struct fwd *fwd;
	struct tcp *tcp;
	struct workers *workers;
	struct ctl_server *server;
	struct ctl_apply apply;
	struct ctl_facts facts;
	char texts[CONFIG_LISTENERS][LISTENER_TEXT];
	const char *listeners[CONFIG_LISTENERS];
	bool tick_due, door_missed;
	uint64_t door_looked;
	int waits; /* for what is in use, while starting */
};
_Static_assert((int)CONFIG_LISTENERS == (int)NETCONF_PORTS, "every listener has a port");

/* What a running dataplane calls, all threads together; epoll_pwait, ppoll and unlinkat are how
 * some architectures spell it. */
static const char *const allowed[] = {
	/* workers */
	"epoll_wait",
	"epoll_pwait",
	"epoll_ctl",
	"recvmmsg",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"recvfrom",
	"accept4",
	"getsockname",
	"shutdown",
	"close",
	"read",
	"write",
	"writev",
	"clock_gettime",
	"futex",
	/* control thread */
	"poll",
	"ppoll",
	"recvmsg",
	"getsockopt",
	ISOLATE_SNDBUF,
	"dup3",
	"newfstatat",
	"pread64", /* of what was opened before: our own memory, in /proc */
	/* memory; with many threads malloc asks how many processors there are */
	"brk",
	"mmap",
	"mprotect",
	"mremap",
	"munmap",
	"madvise",
	"sched_getaffinity",
	"sched_yield",
	"clock_nanosleep",
	"getrandom",
	/* the end */
	"unlink",
	"unlinkat",
	"wait4",
	"rt_sigprocmask",
	"exit",
	"exit_group",
	"restart_syscall",
};

static int failed(const char *what, const char *why)
{
	log_error("main", "not started: %s: %s", what, why);
	return -1;
}

/* ---- with privilege ---- */

static uint32_t cpus(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n > CONFIG_WORKERS ? CONFIG_WORKERS : (uint32_t)n;
}

static int signals_open(struct dataplane *d)
{
	sigset_t set;

	/* Blocked in all threads, so that they arrive here and interrupt nothing. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return d->signals < 0 ? failed("signals", strerror(errno)) : 0;
}

/* Not before the start has succeeded: one that fails says so in one line. */
static void aead_note(const struct aead_report *a)
{
	if (a->ipsec_mb == -EIO)
		log_warn("crypto", "ipsec-mb: not used, it does not pass its self-test");
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++) {
		const struct aead_choice *of = &a->of[c];

		if (of->ns[of->lib])
			log_info("crypto", "%s: %s: openssl %u ns, ipsec-mb %u ns a packet",
				aead_cipher_name((enum aead_cipher)c), aead_lib_name(of->lib),
				of->ns[AEAD_OPENSSL], of->ns[AEAD_IPSEC_MB]);
		else
			log_info("crypto", "%s: %s", aead_cipher_name((enum aead_cipher)c),
				aead_lib_name(of->lib));
	}
}

static int aead_pick(struct dataplane *d)
{
	const char *name = aead_lib_name(d->conf.aead);
	int r = aead_choose(d->conf.aead, &d->aead);

	if (r == -ENOTSUP)
		return failed(name, "this build or this processor does not have it, see --aead");
	if (r != 0)
		return failed(name, r == -EIO ? "does not pass its self-test" : strerror(-r));
	return 0;
}

/* First of all. A file capability was given when we were executed, and nobody has to give any
 * later. */
static int privilege_take(void)
{
	int r = isolate_no_new_privs();

	if (r == 0 && geteuid() != 0)
		r = isolate_raise();
	return r == 0 ? 0 : failed("privileges", strerror(-r));
}

static int basics(struct dataplane *d)
{
	int r;

	if (data_config_identity(&d->conf, &d->who) != 0)
		return failed(d->conf.user[0] != '\0' ? d->conf.user : "ireko", "no such user");
	if (aead_init() != 0 || blake2s_init() != 0 || epoch_init() != 0)
		return failed("cryptography", "OpenSSL lacks an algorithm or computes wrongly");
	if (aead_pick(d) != 0)
		return -1;
	if (ulid_new(&d->facts.boot_id, &d->clock) != 0)
		return failed("randomness", "none");
	r = isolate_limits(OPEN_FILES);
	/* A sanitizer's allocator has no arenas, and then there is no filter either. */
	if (r == 0 && !SANITIZED)
		r = isolate_allocator();
	return r == 0 ? 0 : failed("limits", strerror(-r));
}

/* Made when it is not there; otherwise its owner and mode are the administrator's. */
static int run_dir_make(const struct dataplane *d)
{
	const char *path = d->conf.run_dir;
	struct stat st;

	if (mkdir(path, 0750) == 0) {
		if (chmod(path, 0750) != 0 || chown(path, d->who.uid, d->who.gid) != 0)
			return failed(path, strerror(errno));
		return 0;
	}
	if (errno != EEXIST)
		return failed(path, strerror(errno));
	if (stat(path, &st) != 0)
		return failed(path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return failed(path, "is not a folder");
	return access(path, W_OK | X_OK) == 0 ? 0 : failed(path, strerror(errno));
}

static int door_open(struct dataplane *d)
{
	struct outside *o = &d->out;
	int r = door_path(o->door_path, d->conf.run_dir);

	if (r != 0)
		return failed(d->conf.run_dir, "is too long");
	do
		r = door_listen(o->door_path);
	while (sockets_try_again(&d->waits, r));
	if (r == -EADDRINUSE)
		return failed(o->door_path, "another dataplane listens there");
	if (r < 0)
		return failed(o->door_path, strerror(-r));
	o->door = r;
	r = door_place(&o->door_place, o->door_path);
	if (r != 0)
		return failed(o->door_path, strerror(-r));
	/* Not through a symbolic link: the folder may already be that user's. */
	if (lchown(o->door_path, d->who.uid, d->who.gid) != 0)
		return failed(o->door_path, strerror(errno));
	return 0;
}

/* What is open, for the status and for the paths that may be named. */
static void listeners_note(struct dataplane *d)
{
	struct ctl_facts *f = &d->facts;

	for (uint32_t i = 0; i < d->conf.n_listeners; i++) {
		const struct listener *l = &d->conf.listeners[i];

		d->listeners[i] = listener_format(l, d->texts[i]);
		*(l->tcp ? &f->tcp_listeners : &f->udp_listeners) |= 1u << i;
	}
	f->n_listeners = d->conf.n_listeners;
}

/* Every socket or none: what is received has one form. */
static void udp_offloads_start(struct dataplane *d)
{
	const struct sockets *s = &d->out.sockets;
	int gso = 0, gro = 0;

	for (size_t i = 0; i < ARRAY_SIZE(s->udp); i++) {
		if (s->udp[i].fd < 0)
			continue;
		if (gso == 0 && offloads_has(&d->offloads, UAPI_OFFLOAD_UDP_GSO))
			gso = udp_gso_probe(&s->udp[i]);
		if (gro == 0 && offloads_has(&d->offloads, UAPI_OFFLOAD_UDP_GRO))
			gro = udp_gro_set(&s->udp[i], true);
	}
	if (gso != 0)
		offloads_drop(&d->offloads, UAPI_OFFLOAD_UDP_GSO, -gso);
	for (size_t i = 0; i < ARRAY_SIZE(s->udp) && gro != 0; i++) {
		if (s->udp[i].fd >= 0)
			(void)!udp_gro_set(&s->udp[i], false);
	}
	if (gro != 0)
		offloads_drop(&d->offloads, UAPI_OFFLOAD_UDP_GRO, -gro);
}

static void offloads_start(struct dataplane *d)
{
	const unsigned tun = UAPI_OFFLOAD_TUN_GSO | UAPI_OFFLOAD_TUN_GRO;

	offloads_drop(&d->offloads, tun & ~d->out.tun.offloads, d->out.tun.error);
	udp_offloads_start(d);
}

/* Order between whole packets and fragments of a flow; a single worker has it anyway. */
static void steering_start(struct dataplane *d)
{
	int r = d->out.n_workers > 1 ? steer_by_destination(d->out.tuns[0]) : 0;

	if (r < 0)
		log_warn("main",
			"%s: the kernel spreads packets its own way: fragments may be overtaken: "
			"%s",
			d->conf.tun, strerror(-r));
}

static int device_open(struct dataplane *d)
{
	int r = tun_open(d->conf.tun, d->out.tuns, d->out.n_workers, d->conf.offloads, &d->out.tun);

	switch (-r) {
	case 0:
		offloads_start(d);
		steering_start(d);
		return 0;
	case EBUSY:
		return failed(d->conf.tun, "a device of that name exists already");
	case ENOENT:
	case ENODEV:
		return failed(d->conf.tun, "/dev/net/tun is missing");
	case EACCES:
		return failed("/dev/net/tun", "this user may not open it");
	case EPERM:
		return failed(d->conf.tun, "making a TUN device needs CAP_NET_ADMIN");
	default:
		return failed(d->conf.tun, strerror(-r));
	}
}

static void port_add(struct netconf_static *s, uint16_t port)
{
	for (uint32_t i = 0; i < s->n_ports; i++) {
		if (s->ports[i] == port)
			return;
	}
	s->ports[s->n_ports++] = port;
}

static int helper_start(struct dataplane *d)
{
	struct netconf_static s = {.nat = d->conf.nat, .who = d->who};
	int r;

	memcpy(s.tun, d->conf.tun, sizeof(s.tun));
	for (uint32_t i = 0; i < d->conf.n_listeners; i++)
		port_add(&s, d->conf.listeners[i].at.port);
	snprintf(s.lock_path, sizeof(s.lock_path), "%s/netconf.lock", d->conf.run_dir);
	r = netconf_start(&d->out.netconf, &s);
	return r == 0 ? 0 : failed("network configuration", strerror(-r));
}

/* ---- without privilege ---- */

static int privilege_drop(const struct dataplane *d)
{
	int r = isolate_become(&d->who, 0);

	if (r == 0)
		r = isolate_no_dumps();
	return r == 0 ? 0 : failed("privileges", strerror(-r));
}

static const struct udp_socket *control_socket(const struct dataplane *d, uint8_t listener)
{
	const struct udp_socket *s = d->out.sockets.udp;

	return listener < d->conf.n_listeners && s[listener].fd >= 0 ? &s[listener] : NULL;
}

/* The engine has one worker number more than there are workers, for what this thread counts. */
static void count(const struct dataplane *d, enum fwd_verdict v)
{
	fwd_count(d->fwd, d->out.n_workers, v, 1);
}

/* Control thread: keepalives and handshake answers leave through worker 0's socket, or on their
 * connection. */
static void send_outer(void *arg, const struct path *path, const uint8_t *datagram, size_t len)
{
	struct dataplane *d = arg;
	const struct udp_socket *s = control_socket(d, path->listener);

	if (path->connection) {
		if (tcp_send(d->tcp, path->connection, datagram, len) != 0)
			count(d, FWD_STREAM_FULL);
	} else if (!s || udp_send_one(s, path, datagram, len) != 0) {
		count(d, FWD_SEND_FAILED);
	}
}

static void on_tick_send(void *arg, struct fwd_packet *p)
{
	struct dataplane *d = arg;

	if (p->verdict == FWD_STREAM)
		tcp_send_run(d->tcp, d->out.n_workers, &p, 1, clock_mono_ms(&d->clock));
	else
		send_outer(d, &p->path, p->data, p->len);
}

static bool on_fwd_event(void *arg, const struct fwd_event *e)
{
	struct dataplane *d = arg;

	return ctl_server_event(d->server, e);
}

static int on_configure(void *arg, const struct netconf_networks *networks)
{
	struct dataplane *d = arg;

	return netconf_apply(d->out.netconf, networks);
}

static void on_admission(void *arg, const uint8_t wg_public[32], uint8_t openvpn)
{
	struct dataplane *d = arg;

	workers_set_admission(d->workers, wg_public, openvpn);
}

static void on_connection_close(void *arg, uint32_t connection)
{
	struct dataplane *d = arg;

	tcp_close(d->tcp, connection, clock_mono_ms(&d->clock));
}

static void on_gone(void *arg, uint32_t peer, uint32_t connection)
{
	struct dataplane *d = arg;

	fwd_connection_closed(d->fwd, peer, connection);
}

static bool on_closed(void *arg, uint32_t connection)
{
	struct dataplane *d = arg;

	return ctl_server_closed(d->server, connection);
}

static void on_session_installed(void *arg)
{
	struct dataplane *d = arg;

	d->tick_due = true;
	workers_wake(d->workers);
}

static void on_usage(void *arg, struct usage *out)
{
	struct dataplane *d = arg;

	usage_now(d->usage, out);
}

static void facts_set(struct dataplane *d)
{
	struct ctl_facts *f = &d->facts;

	f->max_peers = MAX_PEERS;
	f->max_indices = MAX_INDICES;
	f->max_peer_ids = MAX_PEER_IDS;
	f->workers = d->out.n_workers;
	f->started_ms = clock_mono_ms(&d->clock);
	memcpy(f->tun, d->conf.tun, sizeof(f->tun));
	f->listeners = d->listeners;
	f->offloads = &d->offloads;
	d->apply = (struct ctl_apply){
		.fwd = d->fwd,
		.clock = d->clock,
		.ops = {on_configure, on_admission, on_session_installed, on_connection_close,
			on_usage, d},
		.facts = f,
	};
}

static int engine_new(struct dataplane *d)
{
	const struct fwd_limits limits = {
		.max_peers = MAX_PEERS,
		.max_indices = MAX_INDICES,
		.max_peer_ids = MAX_PEER_IDS,
		.workers = d->out.n_workers,
		.stage_slots = STAGE_SLOTS,
		.mtu_max = WORKER_MTU_MAX,
	};
	struct tcp_conf tcp = {
		.n_workers = d->out.n_workers,
		.listeners = d->out.sockets.tcp,
	};
	int r = fwd_new(&d->fwd, &limits);

	tcp.fwd = d->fwd;
	if (r == 0)
		r = tcp_new(&d->tcp, &tcp);
	return r == 0 ? 0 : failed("engine", strerror(-r));
}

static int workers_run(struct dataplane *d)
{
	const struct workers_conf conf = {
		.fwd = d->fwd,
		.punt = &d->punt,
		.tcp = d->tcp,
		.clock = d->clock,
		.n = d->out.n_workers,
		.n_listeners = d->conf.n_listeners,
		.sockets = d->out.sockets.udp,
		.tuns = d->out.tuns,
		.tun = d->out.tun,
		.offloads = &d->offloads,
	};
	int r = workers_new(&d->workers, &conf);

	if (r == 0)
		r = workers_start(d->workers);
	return r == 0 ? 0 : failed("workers", strerror(-r));
}

static int engine_start(struct dataplane *d)
{
	const struct ctl_server_conf server = {
		.listener = d->out.door,
		.who = d->who,
		.apply = &d->apply,
		.punt = &d->punt,
		.sink = {send_outer, d},
	};
	int r;

	if (engine_new(d) != 0)
		return -1;
	facts_set(d);
	r = punt_init(&d->punt);
	if (r != 0)
		return failed("punt", strerror(-r));
	r = ctl_server_new(&d->server, &server);
	if (r != 0)
		return failed("door", strerror(-r));
	return workers_run(d);
}

/* The last step: no new threads, and only the calls that a running dataplane makes. */
static int seal_off(void)
{
	const struct rlimit none = {0, 0};
	int r;

	errno = 0;
	r = getpriority(PRIO_PROCESS, 0);
	/* For this thread only; that it can't be had is no reason not to serve. */
	if (errno != 0 || setpriority(PRIO_PROCESS, 0, r + NICER) != 0)
		log_warn("main", "control thread: priority stays, %s", strerror(errno));
	if (SANITIZED)
		return 0;
	if (setrlimit(RLIMIT_NPROC, &none) != 0)
		return failed("limits", strerror(errno));
	r = isolate_syscalls(allowed, ARRAY_SIZE(allowed), 0);
	return r == 0 ? 0 : failed("seccomp", strerror(-r));
}

static int start(struct dataplane *d)
{
	char offloads[OFFLOADS_TEXT];

	d->out.n_workers = d->conf.workers ? d->conf.workers : cpus();
	atomic_init(&d->offloads.used, d->conf.offloads);
	if (privilege_take() != 0 || signals_open(d) != 0 || basics(d) != 0 ||
		run_dir_make(d) != 0 || door_open(d) != 0 ||
		sockets_open(&d->out.sockets, &d->conf, &d->out.n_workers, &d->waits) != 0 ||
		device_open(d) != 0)
		return -1;
	listeners_note(d);
	if (helper_start(d) != 0)
		return -1;
	d->usage = usage_open();
	if (privilege_drop(d) != 0 || engine_start(d) != 0 || seal_off() != 0)
		return -1;
	aead_note(&d->aead);
	log_info("main", "ready: %s, %u workers, offloads %s, %s", d->conf.tun, d->out.n_workers,
		offloads_format(atomic_load(&d->offloads.used), offloads), d->out.door_path);
	return 0;
}

/* ---- running ---- */

/*
 * Somebody has removed the run folder or what is in it, as happens to a volume. We have given up
 * what it takes to make it again; our supervisor starts us with it. But while a control plane is
 * connected nothing is missing yet, and its tunnels are worth more than tidiness: only who has
 * neither a connection nor a door is of no use. Returns: whether to go on.
 */
static bool door_look(struct dataplane *d, uint64_t now)
{
	if (now < d->door_looked + DOOR_LOOK_MS)
		return true;
	d->door_looked = now;
	if (door_stands(&d->out.door_place, d->out.door_path)) {
		d->door_missed = false;
		return true;
	}
	if (!d->door_missed)
		log_error("main", "%s: was removed or replaced: nobody can connect any more",
			d->out.door_path);
	d->door_missed = true;
	if (ctl_server_has_control(d->server))
		return true;
	log_error("main", "stopping: no control plane is connected, and none can");
	return false;
}

static void tick(struct dataplane *d, uint64_t now)
{
	const struct fwd_tick_ops ops = {on_fwd_event, on_tick_send, d};
	const struct tcp_news news = {on_gone, on_closed, d};

	d->tick_due = false;
	/* First: the engine tells with the same tick what it lost by them. */
	tcp_tell(d->tcp, &news);
	fwd_tick(d->fwd, now, &ops);
	ctl_server_tick(d->server);
}

/* Returns: the exit status. */
static int serve(struct dataplane *d)
{
	enum { SIGNALS, HELPER, WORKERS, DOOR, N };
	struct pollfd fds[N] = {
		[SIGNALS] = {.fd = d->signals, .events = POLLIN},
		[HELPER] = {.fd = netconf_fd(d->out.netconf), .events = POLLIN},
		[WORKERS] = {.fd = workers_fd(d->workers), .events = POLLIN},
		[DOOR] = {.fd = ctl_server_fd(d->server), .events = POLLIN},
	};
	uint64_t last = 0;

	for (;;) {
		uint64_t now = clock_mono_ms(&d->clock);
		uint64_t next = last + (d->tick_due ? TICK_SOON_MS : TICK_MS);

		if (poll(fds, N, next > now ? (int)(next - now) : 0) < 0)
			continue; /* interrupted */
		if (fds[SIGNALS].revents) {
			log_info("main", "stopping: told to");
			return 0;
		}
		if (fds[HELPER].revents) {
			log_error("main", "stopping: the network configuration's helper is gone");
			return 1;
		}
		if (fds[WORKERS].revents) {
			log_error("main", "stopping: a worker can't go on");
			return 1;
		}
		if (fds[DOOR].revents)
			ctl_server_turn(d->server);
		now = clock_mono_ms(&d->clock);
		if (now - last < (d->tick_due ? TICK_SOON_MS : TICK_MS))
			continue;
		last = now;
		tick(d, now);
		if (!door_look(d, now))
			return 1;
	}
}

/* In reverse; whatever does not stand is passed over. */
static void stop(struct dataplane *d)
{
	struct outside *o = &d->out;

	if (o->door >= 0) {
		/* Another's that has come there is not ours to remove. */
		if (door_stands(&o->door_place, o->door_path))
			(void)!unlink(o->door_path);
		close(o->door);
	}
	ctl_server_free(d->server);
	if (d->workers)
		workers_stop(d->workers);
	workers_free(d->workers);
	tcp_free(d->tcp);
	netconf_stop(o->netconf);
	fwd_free(d->fwd);
	if (d->punt.fd >= 0)
		punt_fini(&d->punt);
	for (uint32_t i = 0; i < CONFIG_WORKERS; i++) {
		if (o->tuns[i] >= 0)
			close(o->tuns[i]);
	}
	sockets_close(&o->sockets);
	if (d->usage >= 0)
		close(d->usage);
	if (d->signals >= 0)
		close(d->signals);
}

static void descriptors_init(struct dataplane *d)
{
	d->signals = d->usage = d->out.door = d->punt.fd = -1;
	sockets_init(&d->out.sockets);
	for (size_t i = 0; i < ARRAY_SIZE(d->out.tuns); i++)
		d->out.tuns[i] = -1;
}

int main(int argc, char **argv)
{
	struct dataplane *d = calloc(1, sizeof(*d));
	int status = 1;

	if (!d)
		return failed("memory", "none") + 2;
	switch (data_config_load(&d->conf, argc, argv)) {
	case SETTINGS_OK:
		break;
	case SETTINGS_DONE:
		free(d);
		return 0;
	default:
		free(d);
		return 2;
	}
	if (d->conf.healthcheck) {
		status = data_health(&d->conf);
		free(d);
		return status;
	}
	log_init((enum log_level)d->conf.log_level, (enum log_format)d->conf.log_format);
	d->clock = clock_system();
	descriptors_init(d);
	if (start(d) == 0)
		status = serve(d);
	stop(d);
	if (status == 0)
		log_info("main", "stopped");
	free(d);
	return status;
}
