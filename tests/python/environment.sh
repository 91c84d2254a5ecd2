# Sourced by the scripts that need Python: `PYTHON` (pinned packages, under target) and `GEOPUSH` (the binary).
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=$target/python-tests

command -v python3 >/dev/null || { echo "this needs python3 (with venv): install Python 3.11 or later" >&2; exit 1; }
if ! cmp -s "$root/tests/python/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$root/tests/python/requirements.txt"
    cp "$root/tests/python/requirements.txt" "$venv/requirements.txt"
fi

GEOPUSH=${1:-${GEOPUSH_BIN:-}}
if [ -z "$GEOPUSH" ]; then
    (cd "$root" && cargo build --quiet --locked)
    GEOPUSH=$target/debug/geopush
fi

PYTHON=$venv/bin/python
export GEOPUSH PYTHONPATH=$root/tests/python PYTHONDONTWRITEBYTECODE=1
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
