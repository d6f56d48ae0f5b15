#!/bin/sh
# A Debian package from what `make install` puts into a folder.
#
#   build.sh TREE VERSION OUT   TREE is that folder, OUT the package's file
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$1" && pwd) version=$2 out=$3
command -v dpkg-shlibdeps >/dev/null || {
	echo "build.sh: dpkg-shlibdeps is missing (package dpkg-dev)" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arch=$(dpkg --print-architecture)

# It wants to be called in a source tree.
mkdir -p "$work/debian" "$tree/DEBIAN"
printf 'Source: ireko\n\nPackage: ireko\nArchitecture: any\n' >"$work/debian/control"
shlibs=$(cd "$work" && dpkg-shlibdeps -O "$tree"/usr/sbin/ireko-* "$tree"/usr/bin/ireko 2>"$work/log" |
	sed -n 's/^shlibs:Depends=//p')
[ -n "$shlibs" ] || {
	cat "$work/log" >&2
	exit 1
}
size=$(du -k -s --exclude=DEBIAN "$tree" | cut -f 1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@SHLIBS@/$shlibs/" \
	"$here/control" >"$tree/DEBIAN/control"
for script in postinst prerm postrm; do
	install -m 0755 "$here/$script" "$tree/DEBIAN/$script"
done
echo /etc/ireko/ireko.env >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr -type f -exec md5sum {} + | sort -k 2) >"$tree/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out" >/dev/null
