#!/bin/sh
# Prints the path of a python that has the named packages, making a private environment on the first call.
#
#   scripts/python.sh NAME PACKAGE==VERSION…
#
# Environments live in the cache folder, one for each name and set of packages; nothing outside it is changed, but
# for the system packages that provide venv on Debian and Ubuntu where they are missing.
set -eu
# shellcheck source=scripts/cache.sh
. "$(dirname "$0")/cache.sh"

if [ $# -lt 2 ]; then
    echo "usage: scripts/python.sh NAME PACKAGE==VERSION..." >&2
    exit 2
fi
name=$1
shift
find_cache

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
    install_packages python3 python3-venv python3-pip
    if ! python=$(find_python); then
        echo "python.sh: no python 3.9 or newer with venv was found;" \
            "install one (Debian, Ubuntu: apt install python3-venv; macOS: brew install python)" >&2
        exit 1
    fi
fi

alone_with "$folder"
if [ ! -f "$folder/ready" ]; then
    echo "python.sh: installing $* from the Python package index into $folder" >&2
    rm -rf "$folder"
    "$python" -m venv "$folder" >&2
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
    touch "$folder/ready"
fi
echo "$folder/bin/python"
