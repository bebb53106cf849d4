#!/usr/bin/env bash
# Compares this workspace with other software that does the same. Run by hand: it needs Python 3 and
# a package index, and takes some minutes. What it prints is read by people; it fails when ours is
# worse than it may be.
#
#   ci/peers.sh            all comparisons
#   ci/peers.sh hub        huggingface_hub and fetch-model before a Hub that misbehaves
#   ci/peers.sh image      the steps of the Dockerfile, without a container engine
#   ci/peers.sh procedures CarePath's procedures, one after the other
#   ci/peers.sh terraform  the Terraform code against its providers' schemas, and checkov
#   ci/peers.sh manifests  deploy/k8s against its schemas and checkov, and chat-server started as each overlay says
#   ci/peers.sh cuda       a program for NVIDIA GPUs, compiled and linked on a machine that has none
#   ci/peers.sh quantize   llama.cpp's quantizer and ours (llama.cpp is built from source: 10 minutes and more)
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
peers=$target/peers

python() {
  if [ ! -x "$peers/bin/python" ]; then python3 -m venv "$peers"; fi
  "$peers/bin/python" "$@"
}

hub() {
  python -m pip install --quiet 'huggingface_hub>=2,<3'
  cargo build --release --locked -p fetch-model
  cargo build --release --locked -p model-cache --example fake_hub
  python ci/peers/hub.py "$target/release/examples/fake_hub" "$target/release/fetch-model"
}

quantize() {
  python -m pip install --quiet 'llama-cpp-python>=0.3,<0.4' 'gguf>=0.19,<1' 'safetensors>=0.6,<1' 'numpy>=2,<3'
  cargo build --release --locked -p fetch-model
  cargo build --release --locked -p examples --example golden
  python ci/peers/quantize.py --target "$target"
}

image() { ci/image.sh; }

procedures() { python ci/procedures.py; }

terraform() { ci/terraform.sh slow; }

manifests() { ci/manifests.sh slow; }

cuda() { ci/cuda.sh slow; }

if [ $# -eq 0 ]; then set -- hub quantize image procedures terraform manifests cuda; fi
for comparison in "$@"; do
  case $comparison in
    hub | quantize | image | procedures | terraform | manifests | cuda) "$comparison" ;;
    *) echo "no such comparison: $comparison" >&2; exit 2 ;;
  esac
done
