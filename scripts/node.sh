#!/bin/sh
# Prints the path of a node that finds the named packages, fetching them on the first call.
#
#   scripts/node.sh NAME PACKAGE@VERSION…
#
# The node lies beside `node_modules`, in a folder of the cache, one for each name and set of packages; a script of ours
# is run with that folder as NODE_PATH, or from inside of it. Nothing else is changed, but for the system packages that
# provide node and npm on Debian and Ubuntu where they are missing. A system's node older than 20 only fetches a newer
# one, from the package registry.
set -eu
# shellcheck source=scripts/cache.sh
. "$(dirname "$0")/cache.sh"

if [ $# -lt 2 ]; then
    echo "usage: scripts/node.sh NAME PACKAGE@VERSION..." >&2
    exit 2
fi
name=$1
shift
find_cache

hash=$(printf '%s\n' "$@" | cksum | cut -d' ' -f1)
folder=$cache/node/$name-$hash
if [ -f "$folder/ready" ]; then
    echo "$folder/node"
    exit 0
fi

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    install_packages nodejs npm
    if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
        echo "node.sh: no node with npm was found; install them (Debian, Ubuntu: apt install nodejs npm)" >&2
        exit 1
    fi
fi

alone_with "$folder"
if [ ! -f "$folder/ready" ]; then
    echo "node.sh: installing $* from the npm registry into $folder" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    printf '{"name": "%s", "private": true}\n' "$name" >"$folder/package.json"
    node=$(command -v node)
    newer=
    if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
        # A package that holds nothing but the program.
        newer=node-$(node -p 'process.platform + "-" + process.arch')
        node=$folder/node_modules/$newer/bin/node
        newer=$newer@22
    fi
    # Scripts of packages are not run: what is used here needs none, and they could do anything.
    # shellcheck disable=SC2086 # nothing, or one package
    npm install --prefix "$folder" --quiet --no-audit --no-fund --no-progress --ignore-scripts --legacy-peer-deps \
        "$@" $newer >&2
    ln -sf "$node" "$folder/node"
    touch "$folder/ready"
fi
echo "$folder/node"
