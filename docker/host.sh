#!/bin/sh
# The service on this machine without containers: what `make up` and `make down` run.
#
#   host.sh users   the two system users: the dataplane's and the control plane's
#   host.sh up      start both daemons in the background, say how to go on; again: say what runs
#   host.sh down    end them; addresses, rules and sysctls go with the dataplane, the data stays
#
# Settings are the IREKO_* variables of the environment.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
bin=$top/build/bin
run=${IREKO_RUN_DIR:-/run/ireko}
data=${IREKO_DATA_DIR:-/var/lib/ireko}
logs=${IREKO_LOG_DIR:-/var/log/ireko}
listen=${IREKO_HTTP_LISTEN:-127.0.0.1:8080}

die() {
	echo "host.sh: $*" >&2
	exit 1
}

users() {
	[ "$(id -u)" = 0 ] || die "must be root"
	getent group ireko >/dev/null || groupadd --system ireko
	id ireko >/dev/null 2>&1 ||
		useradd --system --gid ireko --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin ireko
	id ireko-control >/dev/null 2>&1 ||
		useradd --system --gid ireko --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin ireko-control
}

# Process $1 has not ended. Z: ended, and its parent has not asked yet.
alive() {
	{ read -r _ name state _ <"/proc/$1/stat"; } 2>/dev/null && [ "$state" != Z ]
}

# Process number of daemon $1, if the one that we started still runs.
running() {
	pid=$(cat "$logs/$1.pid" 2>/dev/null) || return 1
	# The kernel keeps 15 characters of a name.
	alive "$pid" && [ "$name" = "($(printf %.15s "$1"))" ] && echo "$pid"
}

# Starts daemon $1 in its own session; its standard output goes to file $2.
start() {
	(umask 077 && : >>"$logs/$1.log")
	setsid "$bin/$1" </dev/null >"$2" 2>>"$logs/$1.log" &
	echo $! >"$logs/$1.pid"
}

url() {
	case $listen in
	127.* | "[::1]":*) scheme=http ;;
	*) scheme=https ;;
	esac
	case ${IREKO_HTTP_INSECURE:-} in 1 | on | true) scheme=http ;; esac
	[ -n "${IREKO_TLS_CERT:-}" ] && scheme=https
	case $listen in
	0.0.0.0:* | "[::]":*) echo "$scheme://127.0.0.1:${listen##*:}" ;;
	*) echo "$scheme://$listen" ;;
	esac
}

# Waits until the control plane says that everything answers.
wait_ready() {
	tries=0
	until curl -kfsS -o /dev/null -m 2 "$(url)/readyz" 2>/dev/null; do
		for daemon in ireko-dataplane ireko-controlplane; do
			# By number only: a moment ago it was still this shell.
			alive "$(cat "$logs/$daemon.pid")" || {
				tail -n 5 "$logs/$daemon.log" >&2
				die "$daemon did not start (log: $logs/$daemon.log)"
			}
		done
		tries=$((tries + 1))
		[ $tries -lt 150 ] || {
			curl -ksS -m 2 "$(url)/readyz" >&2 || true
			die "not ready after 30 s (logs: $logs)"
		}
		sleep 0.2
	done
}

up() {
	users
	[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; } ||
		die "/dev/net/tun is missing: this machine has no TUN devices"
	mkdir -p "$logs"
	chmod 0750 "$logs"
	[ -d "$data" ] || install -d -m 0700 -o ireko-control -g ireko "$data"
	out=$(mktemp) # 0600; holds the admin password until it has been shown
	trap 'rm -f "$out"' EXIT
	if ! running ireko-dataplane >/dev/null; then
		start ireko-dataplane /dev/null
	fi
	if ! running ireko-controlplane >/dev/null; then
		start ireko-controlplane "$out"
	fi
	wait_ready
	password=$(sed -n 's/^admin password: //p' "$out")
	IREKO_URL=$(url)
	export IREKO_URL
	echo
	echo "Ireko is running. Logs: $logs"
	echo "  dashboard and API  $IREKO_URL"
	endpoint=$(sed -n 's/.*profiles will name //p' "$logs/ireko-controlplane.log" | tail -n 1)
	echo "  clients connect to $endpoint   (IREKO_ENDPOINT)"
	if [ -n "$password" ]; then
		echo "  user               admin"
		echo "  password           $password   (shown this once)"
		printf '%s\n' "$password" | "$bin/ireko" login --user admin >/dev/null ||
			die "the first login failed"
	else
		echo "  user               admin, with the password of the first start"
	fi
	echo
	echo "Add the first device:"
	echo "  $([ "$IREKO_URL" = http://127.0.0.1:8080 ] || echo "IREKO_URL=$IREKO_URL ")$bin/ireko device add laptop"
}

down() {
	for daemon in ireko-controlplane ireko-dataplane; do
		pid=$(running $daemon) || continue
		kill "$pid"
		tries=0
		while running $daemon >/dev/null && [ $tries -lt 100 ]; do
			sleep 0.1
			tries=$((tries + 1))
		done
		[ $tries -lt 100 ] || die "$daemon (process $pid) did not end within 10 s"
		rm -f "$logs/$daemon.pid"
		echo "$daemon ended"
	done
	# The dataplane has removed its socket. Who sets rules and sysctls back holds this lock until done.
	[ ! -f "$run/netconf.lock" ] || flock -w 5 "$run/netconf.lock" rm "$run/netconf.lock" ||
		die "the network settings are still in use"
	rmdir "$run" 2>/dev/null || true
}

case ${1:-} in
users | up | down) "$1" ;;
*) die "usage: host.sh users|up|down" ;;
esac
