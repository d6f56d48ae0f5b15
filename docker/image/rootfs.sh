#!/bin/sh
# The whole file system of one image, below folder $1: the named programs (of build/bin), stripped; the libraries that
# they load; the two users; the folders that become volumes; licences, and a bill of materials of all that (SPDX).
# Runs as root in the image's build stage. No shell, no package manager: nothing but the programs can be run.
set -eu
out=$1
shift
top=$(cd "$(dirname "$0")/../.." && pwd)
owners=$(mktemp) # packages that something was taken from

# The package that file $1 came with; it may be known by the name without /usr as well, and be said to be diverted.
owner() {
	for path in "$1" "/usr$1" "${1#/usr}"; do
		package=$(dpkg-query -S "$path" 2>/dev/null | sed -n '/^diversion by /d; s/: .*//p' | head -n 1)
		[ -z "$package" ] || break
	done
	[ -n "$package" ] || {
		echo "rootfs.sh: $1 belongs to no package" >&2
		exit 1
	}
	echo "$package"
}

# Takes file $1 of the build stage over to the same place.
take() {
	owner "$1" >>"$owners"
	mkdir -p "$out$(dirname "$1")"
	cp -L "$1" "$out$1"
}

libraries() {
	ldd "$1" | sed -nE 's,^[^/]*(/[^ ]+) \(0x[0-9a-f]+\)$,\1,p'
}

mkdir -p "$out/usr/bin" "$out/usr/lib" "$out/usr/lib64" "$out/etc" "$out/usr/share/ireko"
ln -s usr/bin "$out/bin"
ln -s usr/lib "$out/lib"
ln -s usr/lib64 "$out/lib64"
for program; do
	strip -o "$out/usr/bin/$program" "$top/build/bin/$program"
	for library in $(libraries "$top/build/bin/$program"); do
		[ -e "$out$library" ] || take "$library"
	done
done

cat >"$out/etc/passwd" <<'END'
root:x:0:0:root:/:/usr/sbin/nologin
ireko:x:6201:6201:Ireko dataplane:/:/usr/sbin/nologin
ireko-control:x:6202:6201:Ireko control plane:/:/usr/sbin/nologin
END
cat >"$out/etc/group" <<'END'
root:x:0:
ireko:x:6201:
END

# An empty volume takes owner and mode from here, and whichever image comes first says the same.
install -d -m 0750 -o 6201 -g 6201 "$out/run" "$out/run/ireko"
chmod 0755 "$out/run"
chown 0:0 "$out/run"
case " $* " in
*" ireko-controlplane "*)
	install -d -m 0755 "$out/var" "$out/var/lib"
	install -d -m 0700 -o 6202 -g 6201 "$out/var/lib/ireko"
	# What `ireko --url https://...` trusts; without this machine's own additions.
	mkdir -p "$out/etc/ssl/certs"
	cat /usr/share/ca-certificates/mozilla/*.crt >"$out/etc/ssl/certs/ca-certificates.crt"
	echo ca-certificates >>"$owners"
	echo uthash-dev >>"$owners" # headers only: it is in the program itself
	;;
esac
case " $* " in
*" ireko-dataplane "*)
	# For a process that is not root: what makes the device and the rules. Permitted only, it is for the program
	# to raise it, and to give it up again.
	setcap cap_net_admin=p "$out/usr/bin/ireko-dataplane"
	;;
esac

sort -u "$owners" | while read -r package; do
	copyright=/usr/share/doc/${package%%:*}/copyright
	[ ! -e "$copyright" ] || install -D -m 0644 "$copyright" "$out$copyright"
done
install -m 0644 "$top/LICENSE" "$out/usr/share/ireko/LICENSE"
sort -u "$owners" | sh "$top/docker/image/sbom.sh" "$(basename "$out")" "$("$top/build/bin/$1" --version)" \
	>"$out/usr/share/ireko/sbom.spdx.json"
rm "$owners"
