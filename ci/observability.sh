#!/usr/bin/env bash
# Checks the alert rules with promtool, where Debian's package of Prometheus can be had; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${CARGO_TARGET_DIR:-target}/tools
promtool=$(command -v promtool || echo "$tools/prometheus/usr/bin/promtool")
if [ ! -x "$promtool" ]; then
  mkdir -p "$tools/prometheus"
  if ! (cd "$tools/prometheus" && apt-get download -qq prometheus && dpkg -x prometheus_*.deb .) >/dev/null 2>&1; then
    echo 'promtool cannot be had here: the alert rules are not checked'
    exit 0
  fi
fi
"$promtool" check rules deploy/observability/alerts.yaml
"$promtool" test rules deploy/observability/alerts_test.yaml
