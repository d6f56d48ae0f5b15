#!/bin/sh
# Prints a C initialiser for each file named NNNN_what.sql, in the order given: {1, "text"},
set -eu
for file in "$@"; do
	base=${file##*/}
	number=$(printf '%s' "${base%%_*}" | sed 's/^0*//')
	printf '{%s,\n' "$number"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' -e 's/^\(.*\)$/"\1\\n"/' "$file"
	printf '},\n'
done
