#!/usr/bin/env bash
# Whether the code for NVIDIA GPUs compiles, on a machine that has none.
#
#   ci/cuda.sh          clippy over the crates that compute, with the features cuda and flash-attn; candle's kernels are
#                       left out: a script stands in for nvcc and writes empty files; two minutes
#   ci/cuda.sh slow     candle's kernels and qwen-bench are compiled and linked, with NVIDIA's compiler and libraries from
#                       Python's package index (1 GB) and an empty library in place of the driver; half an hour
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/checkers.sh
# The oldest generation that computes in BF16.
export CUDA_COMPUTE_CAP=80

if [ "$what" = quick ]; then
  export CUDA_HOME=$target/cuda-quick
  mkdir -p "$CUDA_HOME"/{bin,include,lib64}
  install -m 755 ci/cuda/{nvcc,git} "$CUDA_HOME/bin"
  touch "$CUDA_HOME/include/cuda.h"
  export NVCC=$CUDA_HOME/bin/nvcc PATH=$CUDA_HOME/bin:$PATH CUDAFORGE_HOME=$CUDA_HOME
  exec cargo clippy -p qwen-runtime -p qwen-tune --all-targets --locked --features qwen-runtime/flash-attn,qwen-tune/cuda \
    -- -D warnings
fi

python=$target/cuda-slow/bin/python
packages=(nvidia-cuda-{nvcc,runtime,crt,nvrtc,cccl}==13.0.* nvidia-nvvm==13.0.* nvidia-cublas==13.0.* nvidia-curand)
environment "$target/cuda-slow" "${packages[@]}" || { echo "cuda: no packages: ${packages[*]}" >&2; exit 1; }
CUDA_HOME=$(echo "$target"/cuda-slow/lib/python3*/site-packages/nvidia/cu13)
export CUDA_HOME NVCC=$CUDA_HOME/bin/nvcc PATH=$CUDA_HOME/bin:$PATH LIBRARY_PATH=$CUDA_HOME/lib
# The wheels bring libraries under their numbered names alone.
ln -sfn lib "$CUDA_HOME/lib64"
for library in "$CUDA_HOME"/lib/lib*.so.*; do ln -sf "${library##*/}" "${library%%.so.*}.so"; done
# The driver's functions, as cudarc names them, and nothing in them.
cudarc=$(cargo metadata --locked --format-version 1 --features qwen-bench/cuda | "$python" -c '
import json, pathlib, sys
packages = json.load(sys.stdin)["packages"]
print(next(pathlib.Path(one["manifest_path"]).parent for one in packages if one["name"] == "cudarc"))')
grep -rhoE '\bcu[A-Z][A-Za-z0-9_]*' "$cudarc/src/driver/sys" | sort -u | sed 's/.*/void &(void) {}/' |
  cc -shared -fPIC -Wl,-soname,libcuda.so.1 -x c -o "$CUDA_HOME/lib/libcuda.so" -
# Apart from the program that runs here.
export CARGO_TARGET_DIR=$target/cuda
cargo build --release --locked -p qwen-bench --features cuda
ls -l "$CARGO_TARGET_DIR/release/qwen-bench"
