#!/usr/bin/env bash
# Runs the README's tour as pasted, and looks for the push, the transition and the delivery at its end.
#
#   tests/tour.sh [GEOPUSH]
#
# With GEOPUSH (a built binary) the tour's own release build is left out; nothing else is changed.
set -euo pipefail
cd "$(dirname "$0")/.."

blocks=$(awk '/^## /{tour = ($0 == "## A tour")} /^```/{inside = !inside && /^```sh$/; next} tour && inside' README.md)
if [ $# -gt 0 ]; then
    bin=$(cd "$(dirname "$1")" && pwd)
    blocks=$(sed "s|cargo build --release && PATH=\"[^\"]*\"|PATH=\"$bin:\$PATH\"|" <<<"$blocks")
fi
[ -n "$blocks" ] || { echo "the README has no tour" >&2; exit 1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The tour leaves its two servers running, as a reader would; job control stops both.
timeout 1200 bash -c "set -m
trap 'kill %1 %2; wait' EXIT
$blocks" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }

for wanted in '"title":"Welcome in"' '"geopush_push_id"' '"kind":"enter"' '"outcome":"accepted"'; do
    grep -q "$wanted" "$log" || { cat "$log" >&2; echo "the tour did not show $wanted" >&2; exit 1; }
done
echo "the tour works as pasted"
