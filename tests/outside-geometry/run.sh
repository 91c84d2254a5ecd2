#!/usr/bin/env bash
# Holds `crates/geometry` against others' work: GEOS, GeographicLib (as PROJ carries it) and the cases of JTS's suite.
#
#   tests/outside-geometry/run.sh
#
# SEED=n makes another run (2026); POINTS=n sets how many random points are asked (a million); JUDGE=path asks another binary than
# the crate's example `judge`. Packages and suites come from registries once, are checked against the sums that stand
# here, and stay in target/outside-geometry. Ends with 0 when all agree.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/outside-geometry

need() { command -v "$1" >/dev/null || { echo "this needs $1: install $2" >&2; exit 1; }; }
need python3 "Python 3.11 or later (with venv)"
need npm "Node.js 20 or later"
need mvn "Maven 3.8 or later, and Java 17"
mkdir -p "$work"

if ! cmp -s "$here/requirements.txt" "$work/venv/requirements.txt"; then
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$work/venv/requirements.txt"
fi

suites_are_there() { (cd "$work/suites" 2>/dev/null && sha256sum --check --quiet "$here/suites.sha256") 2>/dev/null; }
if ! suites_are_there; then
    rm -rf "$work/suites"
    mkdir -p "$work/suites"
    # The XML suite of JTS in its JavaScript port; the maps that JTS tests itself with.
    (cd "$work/suites" && npm pack --silent jsts@0.17.0 >/dev/null)
    mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact=org.locationtech.jts:jts-core:1.20.0:jar:tests -DoutputDirectory="$work/suites"
    suites_are_there || { echo "$work/suites is not what suites.sha256 says" >&2; exit 1; }
fi

JUDGE=${JUDGE:-}
if [ -z "$JUDGE" ]; then
    (cd "$root" && cargo build --quiet --locked -p geopush-geometry --example judge)
    JUDGE=$target/debug/examples/judge
fi
export JUDGE SUITES=$work/suites PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
exec timeout "${PATIENCE_S:-600}" "$work/venv/bin/python" "$here/outside.py"
