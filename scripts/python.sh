#!/bin/sh
# Prints the path of a python that has the named packages, making a private environment on the first call.
#
#   scripts/python.sh NAME PACKAGE==VERSION…
#
# Environments live in the cache folder, one for each name and set of packages; nothing outside it is changed, but
# for the system packages that provide venv on Debian and Ubuntu where they are missing.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: scripts/python.sh NAME PACKAGE==VERSION..." >&2
    exit 2
fi
name=$1
shift

if [ -n "${ROWTWIN_CACHE:-}" ]; then
    cache=$ROWTWIN_CACHE
elif [ "$(id -u)" = 0 ]; then
    cache=/var/cache/rowtwin
else
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/rowtwin
fi

hash=$(printf '%s\n' "$@" | cksum | cut -d' ' -f1)
folder=$cache/python/$name-$hash
if [ -f "$folder/ready" ]; then
    echo "$folder/bin/python"
    exit 0
fi

# A python that is new enough and can make environments that have pip.
find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

if ! python=$(find_python); then
    root=
    if [ "$(id -u)" != 0 ]; then
        root='sudo -n'
    fi
    if command -v apt-get >/dev/null 2>&1 && $root true 2>/dev/null; then
        echo "python.sh: installing python3, python3-venv and python3-pip with apt-get" >&2
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv python3-pip >&2 || {
            $root apt-get update -qq >&2
            $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv python3-pip >&2
        }
    fi
    if ! python=$(find_python); then
        echo "python.sh: no python 3.9 or newer with venv was found;" \
            "install one (Debian, Ubuntu: apt install python3-venv; macOS: brew install python)" >&2
        exit 1
    fi
fi

# One process installs, the others wait for it. A lock whose owner is gone is taken over.
mkdir -p "$cache/python"
lock=$folder.lock
nameless=0
until mkdir "$lock" 2>/dev/null; do
    if [ -f "$folder/ready" ]; then
        echo "$folder/bin/python"
        exit 0
    fi
    owner=$(cat "$lock/pid" 2>/dev/null || true)
    if [ -z "$owner" ]; then
        # Whoever made it had no time to sign it: give it a while, then take it for abandoned too.
        nameless=$((nameless + 1))
        if [ "$nameless" -gt 10 ]; then
            owner=0
        fi
    fi
    if [ "$owner" = 0 ] || { [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; }; then
        nameless=0
        # Only one of those who wait can move it away.
        mv "$lock" "$lock.stale.$$" 2>/dev/null && rm -rf "$lock.stale.$$"
        continue
    fi
    sleep 1
done
echo $$ >"$lock/pid"
trap 'rm -rf "$lock"' EXIT
trap 'exit 1' HUP INT TERM

if [ ! -f "$folder/ready" ]; then
    echo "python.sh: installing $* from the Python package index into $folder" >&2
    rm -rf "$folder"
    "$python" -m venv "$folder" >&2
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
    touch "$folder/ready"
fi
echo "$folder/bin/python"
