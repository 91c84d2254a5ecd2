#!/usr/bin/env bash
# Judges the real system's transitions by an implementation of the rules that shares nothing with it: Python, GEOS
# and GeographicLib.
#
#   tests/outside-judge/run.sh [GEOPUSH]
#
# GEOPUSH (or $GEOPUSH_BIN) is the binary; without one it is built. Ends with 0 when all agree.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../python/environment.sh"
exec timeout 600 "$PYTHON" "$here/judge.py"
