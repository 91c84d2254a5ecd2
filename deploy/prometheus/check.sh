#!/usr/bin/env bash
# Checks Prometheus' configuration and that each alert fires when it should and not before.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v promtool >/dev/null; then
    echo "promtool is missing; get it with \`apt-get install prometheus\`, \`brew install prometheus\`," >&2
    echo "or from the image of compose.yaml: it is /bin/promtool there" >&2
    exit 1
fi
promtool check config prometheus.yml prometheus.fleet.yml
promtool test rules alerts.test.yml
