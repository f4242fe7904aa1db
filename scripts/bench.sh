#!/usr/bin/env bash
# Runs the measurements against peers, all of them or one:
#   scripts/bench.sh [sip|shield|relay|secure|mesh]
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -d e2e/bench ]; then
	echo "Nothing is measured yet: e2e/bench does not exist in this version." >&2
	exit 1
fi
mkdir -p bench bin
go build -o bin/lindero .
for dir in e2e/bench/${1:-*}/; do
	echo "== $dir"
	go run "./$dir" -lindero bin/lindero -out bench
done
