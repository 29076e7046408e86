# Read by the scripts that install things for tests: where the cache is, and how one process installs while others wait.
# shellcheck shell=sh disable=SC2034

# Sets `cache`: the folder of everything that was installed.
find_cache() {
    if [ -n "${ROWTWIN_CACHE:-}" ]; then
        cache=$ROWTWIN_CACHE
    elif [ "$(id -u)" = 0 ]; then
        cache=/var/cache/rowtwin
    else
        cache=${XDG_CACHE_HOME:-$HOME/.cache}/rowtwin
    fi
}

# Installs packages of the system, if that can be done without asking; says nothing where it cannot.
install_packages() {
    root=
    if [ "$(id -u)" != 0 ]; then
        root='sudo -n'
    fi
    if command -v apt-get >/dev/null 2>&1 && $root true 2>/dev/null; then
        echo "installing $* with apt-get" >&2
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >&2 || {
            $root apt-get update -qq >&2
            $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >&2
        }
    fi
}

# Returns when nobody else fills this folder: it is ready, or ours to fill until this script ends. A lock whose owner is
# gone is taken over.
alone_with() {
    mkdir -p "$(dirname "$1")"
    lock=$1.lock
    nameless=0
    until mkdir "$lock" 2>/dev/null; do
        if [ -f "$1/ready" ]; then
            return
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
}
