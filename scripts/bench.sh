#!/usr/bin/env bash
# Runs the measurements against peers, all of them or one:
#   scripts/bench.sh [sip|shield|relay|secure|mesh]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-test-tools.sh
mkdir -p bench bin
go build -o bin/lindero .
for main in e2e/bench/${1:-*}/main.go; do
	if [ ! -e "$main" ]; then
		echo "Nothing measures ${1:-anything} in this version." >&2
		exit 1
	fi
	dir=$(dirname "$main")
	echo "== $dir"
	go run "./$dir" -lindero bin/lindero -out bench
done
