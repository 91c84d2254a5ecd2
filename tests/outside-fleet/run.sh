#!/usr/bin/env bash
# Reads what the roles left in Kafka and Cassandra with clients that nobody here wrote (kafka-python, kcat,
# cassandra-driver, protobuf) and compares it with what the API answers.
#
#   tests/outside-fleet/run.sh [GEOPUSH]
#
# GEOPUSH (or $GEOPUSH_BIN) is the binary; without one it is built. The servers are those of $FLEET_KAFKA and
# $FLEET_CQL; without them they are started for this run. Ends with 0 when every claim holds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${FLEET_KAFKA:-}" ] || [ -z "${FLEET_CQL:-}" ]; then
    exec cargo run --quiet --locked -p geopush-fleet --bin geopush-servers -- with "$0" "$@"
fi
command -v kcat >/dev/null || {
    echo "kcat is missing; get it with \`apt-get install kcat\` or \`brew install kcat\`" >&2
    exit 1
}
. "$here/../python/environment.sh"
exec timeout 600 "$PYTHON" "$here/outside.py"
