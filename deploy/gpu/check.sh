#!/usr/bin/env bash
# What a GPU machine is worth: the golden logits of the repository on its GPU, chat-server answering with it, and a
# benchmark, as tables.
#
#   deploy/gpu/check.sh [cuda|cuda:1|cuda:0-3|metal]
#   FEATURE=flash-attn deploy/gpu/check.sh [cuda|…]      the same with FlashAttention-2
#
# Needs Rust and, for cuda, the CUDA toolkit (nvcc) and a driver. Models have random weights: nothing is downloaded.
set -euo pipefail
cd "$(dirname "$0")/../.."
device=${1:-cuda}
feature=${FEATURE:-${device%%:*}}
case ${device%%:*} in
  cuda | metal) ;;
  *) echo "usage: deploy/gpu/check.sh [cuda|cuda:1|cuda:0-3|metal]" >&2; exit 2 ;;
esac
target=${CARGO_TARGET_DIR:-target}
models=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$models"' EXIT

if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=index,name,memory.total,driver_version --format=csv
fi

printf '\n## Golden logits\n\n| model | engine | fed | least cosine | mean |\n|---|---|---|---:|---:|\n'
GPU=$device cargo test --release --locked --quiet -p qwen-runtime --features "$feature" --test it gpu -- \
  --ignored --nocapture | grep '^|'

cargo build --release --locked --features "chat-server/$feature,qwen-bench/$feature" --bin chat-server --bin qwen-bench

printf '\n## chat-server\n\n'
"$target/release/chat-server" --llm-mode qwen --model models/triage-mini --device "$device" --chat-api-host 127.0.0.1 \
  --chat-api-port 18002 --chat-admin-port 18003 --data-dir "$models/data" --log-level warn &
server=$!
answer=$(curl -sS --retry 60 --retry-delay 1 --retry-all-errors --fail http://127.0.0.1:18002/ready &&
  curl -sS --fail http://127.0.0.1:18002/triage -H 'content-type: application/json' \
    -d '{"patient_mrn": "P000123", "query": "What are my current medications?"}')
echo "$answer"
grep -q 'Metformin 500mg' <<< "$answer"
kill "$server" && wait "$server"
server=

for size in 0.6b 4b; do
  printf '\n## Qwen3-%s, random weights\n\n' "$size"
  "$target/release/qwen-bench" make-random "$size" "$models/$size.gguf" --seed 1 >/dev/null
  "$target/release/qwen-bench" -m "$models/$size.gguf" --device "$device" -p 512 -n 128 -r 3
  "$target/release/qwen-bench" -m "$models/$size.gguf" --device "$device" -p 0 -n 64 --npl 8 -r 3
  rm "$models/$size.gguf"
done
