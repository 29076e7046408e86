#!/bin/sh
# Runs the integration tests against several versions of Postgres, one after the other.
#
#   matrix.sh [-s SUBSET] [MAJOR…]
#
# Without versions: 14 15 16 17 18. SUBSET is a filter of test names, for example `rules::` or `r01_`. The tests
# install versions that are missing, as scripts/postgres.sh says. Ends with a line for each version; exit 1 when one failed.
set -eu
cd "$(dirname "$0")/.."

subset=
if [ "${1:-}" = -s ]; then
    subset=${2:?a filter of test names}
    shift 2
fi
[ $# -gt 0 ] || set -- 14 15 16 17 18

results=
failed=0
for major in "$@"; do
    printf '\n== Postgres %s\n' "$major"
    began=$(date +%s)
    if PG_MAJOR=$major cargo test --test it -- $subset; then
        verdict=passed
    else
        verdict=FAILED
        failed=1
    fi
    results="$results$(printf 'Postgres %s %s in %s s' "$major" "$verdict" "$(($(date +%s) - began))")
"
done
printf '\n%s' "$results"
exit $failed
