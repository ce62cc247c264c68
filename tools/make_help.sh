#!/bin/sh
# Prints the targets of the Makefile named by $1: those with a "## sentence", under "##@ headings".
set -eu
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') cyan=$(printf '\033[36m') plain=$(printf '\033[0m')
else
    bold='' cyan='' plain=''
fi
awk -v bold="$bold" -v cyan="$cyan" -v plain="$plain" '
    BEGIN { print "docmill turns files into searchable, cited passages in your own Postgres." }
    /^##@ / { printf "\n%s%s%s\n", bold, substr($0, 5), plain }
    /^[a-z-]+:.*## / {
        name = $0; sub(/:.*/, "", name)
        what = $0; sub(/.*## /, "", what)
        if (name != "help") printf "  %s%-12s%s %s\n", cyan, name, plain, what
    }' "$1"
