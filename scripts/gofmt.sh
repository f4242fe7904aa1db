#!/usr/bin/env bash
# Fails, naming the files, when one is not as gofmt writes it.
set -euo pipefail
cd "$(dirname "$0")/.."
unformatted=$(git ls-files -co --exclude-standard -- '*.go' | while read -r f; do [ -e "$f" ] && echo "$f"; done | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
	echo "not as gofmt writes them:" >&2
	echo "$unformatted" >&2
	exit 1
fi
