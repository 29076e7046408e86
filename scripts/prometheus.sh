#!/bin/sh
# Prints the folder that holds prometheus and promtool, fetching them for this user on the first call.
#
# Looked for on the PATH first, then in the cache; else the Debian or Ubuntu package is unpacked into the cache, without
# installing it. Nothing is started. Words for people go to stderr.
set -eu

# shellcheck source=scripts/cache.sh
. "$(dirname "$0")/cache.sh"
find_cache

if program=$(command -v promtool) && command -v prometheus >/dev/null; then
    dirname "$program"
    exit 0
fi
kept=$cache/prometheus
if [ -x "$kept/usr/bin/promtool" ]; then
    echo "$kept/usr/bin"
    exit 0
fi

mkdir -p "$cache"
scratch=$(mktemp -d "$cache/new.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

fetch() { (cd "$scratch" && apt-get download -qq prometheus >&2); }

if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    echo "prometheus.sh: fetching the package prometheus with apt-get" >&2
    if ! fetch; then
        # a machine that was just made has no list of packages
        root=
        [ "$(id -u)" = 0 ] || root='sudo -n'
        $root apt-get update -qq >&2
        fetch
    fi
    dpkg-deb -x "$scratch"/prometheus_*.deb "$scratch/unpacked"
    # another process may have been quicker
    mv -T "$scratch/unpacked" "$kept" 2>/dev/null || [ -x "$kept/usr/bin/promtool" ]
    chmod -R a+rX "$kept"
    echo "$kept/usr/bin"
    exit 0
fi
if command -v brew >/dev/null; then
    echo "prometheus.sh: installing the formula prometheus with brew" >&2
    brew install -q prometheus >&2
    dirname "$(command -v promtool)"
    exit 0
fi
echo "prometheus.sh: there is no promtool here; install Prometheus" >&2
exit 3
