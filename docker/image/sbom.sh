#!/bin/sh
# The bill of materials of an image (SPDX 2.3, JSON): $1 its name, $2 what its program says to --version; names of
# Debian packages on standard input, the dashboard's npm packages from build/web/npm.tsv. All of it is what the build
# stage really installed. The same contents give the same text: nothing in it is random, the time is SOURCE_DATE_EPOCH
# (or the one of the build).
set -eu
name=ireko-$1
version=${2##* }
top=$(cd "$(dirname "$0")/../.." && pwd)
created=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%dT%H:%M:%SZ)
debian=debian-$(sed -n 's/^VERSION_ID="\(.*\)"$/\1/p' /etc/os-release)
list=$(mktemp)
trap 'rm -f "$list"' EXIT

# Lines of: id, name, version, licence, purl, relationship to the image.
while read -r package; do
	dpkg-query -W -f "deb-\${Package}\t\${Package}\t\${Version}\tNOASSERTION\tpkg:deb/debian/\${Package}@\${Version}?arch=\${Architecture}&distro=$debian\tpart\n" "$package"
done >"$list"
if [ "$1" = controlplane ]; then
	awk -F '\t' -v OFS='\t' '{
		id = $1; gsub(/[^A-Za-z0-9.-]/, "-", id)
		purl = $1; sub(/^@/, "%40", purl)
		print "npm-" id, $1, $2, $3, "pkg:npm/" purl "@" $2, $4
	}' "$top/build/web/npm.tsv" >>"$list"
fi
digest=$(sha256sum "$list" | cut -c 1-32)

awk -F '\t' -v name="$name" -v version="$version" -v created="$created" -v digest="$digest" '
function text(s) { gsub(/["\\]/, "\\\\&", s); return "\"" s "\"" }
function package(id, name, version, licence, purl) {
	return "{\"SPDXID\": " text("SPDXRef-" id) ", \"name\": " text(name) ", \"versionInfo\": " text(version) \
		", \"downloadLocation\": \"NOASSERTION\", \"filesAnalyzed\": false, \"licenseConcluded\": \"NOASSERTION\"" \
		", \"licenseDeclared\": " text(licence) ", \"copyrightText\": \"NOASSERTION\"" \
		", \"externalRefs\": [{\"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\"" \
		", \"referenceLocator\": " text(purl) "}]}"
}
function relation(from, how, to) {
	return "{\"spdxElementId\": " text("SPDXRef-" from) ", \"relationshipType\": " text(how) \
		", \"relatedSpdxElement\": " text("SPDXRef-" to) "}"
}
BEGIN {
	packages = package("image", name, version, "Apache-2.0", "pkg:generic/" name "@" version)
	relations = relation("DOCUMENT", "DESCRIBES", "image")
}
{
	packages = packages ",\n  " package($1, $2, $3, $4, $5)
	relations = relations ",\n  " ($6 == "tool" ? relation($1, "BUILD_TOOL_OF", "image") : relation("image", "CONTAINS", $1))
}
END {
	print "{\"spdxVersion\": \"SPDX-2.3\", \"dataLicense\": \"CC0-1.0\", \"SPDXID\": \"SPDXRef-DOCUMENT\","
	print " \"name\": " text(name "-" version) ", \"documentNamespace\": " text("urn:ireko:sbom:" name ":" version ":" digest) ","
	print " \"creationInfo\": {\"created\": " text(created) ", \"creators\": [\"Tool: ireko-sbom.sh\", \"Organization: Ireko\"]},"
	print " \"packages\": [\n  " packages "\n ],"
	print " \"relationships\": [\n  " relations "\n ]}"
}' "$list"
