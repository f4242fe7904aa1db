#!/usr/bin/env bash
# Fails when the committed BPF objects are not what their sources make. They are made
# by one major version of clang, since others write other code; where it is not
# installed there is nothing to compare, and this says so.
set -euo pipefail
cd "$(dirname "$0")/.."
major=14

have=$(clang --version 2>/dev/null | sed -n 's/.*clang version \([0-9]*\)\..*/\1/p' | head -1) || true
if [ "$have" != "$major" ] || ! command -v llvm-strip >/dev/null; then
	echo "bpf-gen-check: skipped: needs clang $major and llvm-strip, has clang ${have:-none}"
	exit 0
fi

# A copy is generated, so that a tree somebody works in stays as it is.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -- go.mod go.sum bpf | xargs cp --parents -t "$copy"
find "$copy/bpf" -name '*_bpfel*.o' -delete
(cd "$copy" && go generate ./bpf/...)
stale=$(diff -rq bpf "$copy/bpf" | grep '_bpfel' || true)
if [ -n "$stale" ]; then
	echo "bpf-gen-check: not what the sources make; run make gen and commit:" >&2
	echo "$stale" >&2
	exit 1
fi
