#!/bin/sh
# Prints the folder that holds a Zabbix server and its web pages with the PHP they need, fetching them on the first call.
#
# The packages of Debian or Ubuntu are unpacked into the cache, without installing them; what they need and the machine
# has already is not fetched. Nothing is started. Words for people go to stderr.
set -eu

# shellcheck source=scripts/cache.sh
. "$(dirname "$0")/cache.sh"
find_cache
kept=$cache/zabbix
if [ -f "$kept/ready" ]; then
    echo "$kept"
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "zabbix.sh: there is no apt-get here; run this on Debian or Ubuntu" >&2
    exit 3
fi

mkdir -p "$cache"
scratch=$(mktemp -d "$cache/new.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

wanted='zabbix-server-pgsql zabbix-frontend-php php-cli php-pgsql php-bcmath php-gd php-mbstring php-xml'
names() {
    # the web servers that the pages may stand behind are of no use here
    # shellcheck disable=SC2086 # one package a word
    apt-get install --print-uris -qq -y --no-install-recommends $wanted |
        awk '{ print $2 }' | sed 's/_.*//' | grep -vE '^(apache2|libapache2|libapr|liblua)'
}
fetch() {
    found=$(names) && [ -n "$found" ] || return 1
    # shellcheck disable=SC2086
    (cd "$scratch" && apt-get download -qq $found >&2)
}

echo "zabbix.sh: fetching Zabbix and PHP with apt-get" >&2
if ! fetch; then
    # a machine that was just made has no list of packages
    root=
    [ "$(id -u)" = 0 ] || root='sudo -n'
    $root apt-get update -qq >&2
    fetch
fi
for package in "$scratch"/*.deb; do
    dpkg-deb -x "$package" "$scratch/unpacked"
done
# the package reads its settings from /etc, where nothing of ours belongs
sed -i "s|CConfigFile::CONFIG_FILE_PATH|getenv('ZABBIX_CONF')|" \
    "$scratch/unpacked/usr/share/zabbix/include/classes/core/ZBase.php"
if ! grep -q "getenv('ZABBIX_CONF')" "$scratch/unpacked/usr/share/zabbix/include/classes/core/ZBase.php"; then
    echo "zabbix.sh: this version of Zabbix reads its settings from somewhere else" >&2
    exit 3
fi
touch "$scratch/unpacked/ready"
# another process may have been quicker
mv -T "$scratch/unpacked" "$kept" 2>/dev/null || [ -f "$kept/ready" ]
chmod -R a+rX "$kept"
echo "$kept"
