#!/usr/bin/env bash
# Proves the sandbox with clients that others wrote: Google's and Apple-facing ones, of Python and of Node.
#
#   tests/official-clients/run.sh [GEOPUSH]
#
# GEOPUSH (or $GEOPUSH_BIN) is a binary that understands `sandbox --out DIR`; without one, the sandbox crate's
# example is built and used. Clients are installed under target/official-clients, at pinned versions.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/official-clients
bin=${1:-${GEOPUSH_BIN:-}}

if [ -z "$bin" ]; then
    (cd "$root" && cargo build --quiet -p geopush-sandbox --example sandbox)
    bin=$target/debug/examples/sandbox
fi

command -v npm >/dev/null || { echo "Node's clients need npm: install Node.js 20 or later" >&2; exit 1; }
command -v python3 >/dev/null || { echo "Python's clients need python3 (with venv): install Python 3.11 or later" >&2; exit 1; }
mkdir -p "$work"
if ! cmp -s "$here/requirements.txt" "$work/venv/requirements.txt"; then
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$work/venv/requirements.txt"
fi

if ! cmp -s "$here/package.json" "$work/node/package.json"; then
    rm -rf "$work/node"
    mkdir -p "$work/node"
    cp "$here/package.json" "$work/node/"
    (cd "$work/node" && timeout 300 npm install --silent --no-audit --no-fund --no-package-lock) || {
        rm -rf "$work/node"
        echo "npm could not install the clients of package.json" >&2
        exit 1
    }
fi

export SANDBOX_DIR
SANDBOX_DIR=$(mktemp -d)
"$bin" sandbox --out "$SANDBOX_DIR" >"$work/sandbox.log" 2>&1 &
sandbox=$!
trap 'kill "$sandbox" 2>/dev/null || true; wait "$sandbox" 2>/dev/null || true; rm -rf "$SANDBOX_DIR"' EXIT

for _ in $(seq 100); do
    [ -e "$SANDBOX_DIR/sandbox.json" ] && break
    if ! kill -0 "$sandbox" 2>/dev/null; then
        echo "the sandbox ended before it was ready:" >&2
        cat "$work/sandbox.log" >&2
        exit 1
    fi
    sleep 0.1
done
[ -e "$SANDBOX_DIR/sandbox.json" ] || { echo "the sandbox was not ready within 10 s; see $work/sandbox.log" >&2; exit 1; }

# requests, httpx and Node each have their own way to trust a root.
export REQUESTS_CA_BUNDLE=$SANDBOX_DIR/ca.pem SSL_CERT_FILE=$SANDBOX_DIR/ca.pem NODE_EXTRA_CA_CERTS=$SANDBOX_DIR/ca.pem
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
export PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore::DeprecationWarning

run() {
    echo "== $1"
    shift
    timeout 120 "$@"
}

run "firebase-admin (Python)" "$work/venv/bin/python" "$here/firebase_admin_client.py"
run "aioapns (Python)" "$work/venv/bin/python" "$here/aioapns_client.py"
export NODE_PATH=$work/node/node_modules
run "@parse/node-apn (Node)" node "$here/node_clients.js" node-apn
run "firebase-admin (Node)" node "$here/node_clients.js" firebase-admin
echo "all clients agree with the sandbox"
