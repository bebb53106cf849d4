#!/usr/bin/env bash
# Compares the cpu engine with llama.cpp and candle's quantized Qwen3 on this machine, and writes the README's table and
# docs/performance.svg. Needs Python 3, a C++ compiler and a package index: llama.cpp is built from source, which takes
# ten minutes once; and in TOKENIZER a directory with Qwen3's tokenizer.json and tokenizer_config.json, since llama.cpp and
# chat-server want one in the file.
#
#   benches/compare/run.sh                                   five rounds on random weights of the 0.6B shape, 40 minutes
#   FIGURES=pp512,tg128 benches/compare/run.sh --rounds 1    three minutes
#   benches/compare/run.sh serving                           chat-server over HTTP, 5 minutes
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
models=$target/models
python=$target/peers/bin/python

cargo build --release --locked -p qwen-bench -p chat-server
mkdir -p "$models"
for type in q4_k_m q8_0; do
  if [ ! -f "$models/0.6b-$type.gguf" ]; then
    "$target/release/qwen-bench" make-random 0.6b --type "$type" --tokenizer "${TOKENIZER:?}" "$models/new.gguf"
    mv "$models/new.gguf" "$models/0.6b-$type.gguf"
  fi
done
if [ "${1:-}" = serving ]; then
  shift
  exec python3 benches/compare/serving.py --target "$target" --model "$models/0.6b-q4_k_m.gguf" "$@"
fi
cargo build --release --locked -p benches --example compare-candle
if [ ! -x "$python" ]; then python3 -m venv "$target/peers"; fi
CMAKE_ARGS=-DGGML_NATIVE=ON "$python" -m pip install --quiet 'llama-cpp-python>=0.3,<0.4'
exec "$python" benches/compare/compare.py --target "$target" --write \
  "$models/0.6b-q4_k_m.gguf=${FIGURES:-pp512,tg128,pp4096,tg32@4096}" "$models/0.6b-q8_0.gguf=${FIGURES:-pp512,tg128}" "$@"
