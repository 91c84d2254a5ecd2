#!/usr/bin/env bash
# Tries what outsiders rely on, call by call: statuses, members, headers, files and metrics' names.
#
#   tests/contracts/run.sh [GEOPUSH]
#
# GEOPUSH (or $GEOPUSH_BIN) is the binary; without one it is built. Ends with 0 when every claim holds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../python/environment.sh"
exec timeout 300 "$PYTHON" "$here/contracts.py"
