#!/usr/bin/env bash
# Does what deploy/Dockerfile does, without a container engine, in a new directory: builds, lays out the image's
# tree, starts it as the image's user with the image's environment alone, asks it as its health check and a patient
# would, and prints how large the tree is. With MODEL set, a model is put into it as strategy 2 does; HF_ENDPOINT
# and HUGGINGFACE_TOKEN are obeyed, and the token must not be found in the tree.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
port=${PORT:-18002}
root=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$root"' EXIT
chmod 755 "$root"

step() { printf '\n== %s\n' "$*"; }

step 'builder: cargo build --release --locked --bin chat-server --bin fetch-model'
cargo build --release --locked --bin chat-server --bin fetch-model
install -D -s -t "$root/usr/local/bin" "$target/release/chat-server" "$target/release/fetch-model"
install -d "$root/app/models" "$root/app/data"

if [ -n "${MODEL:-}" ]; then
  step "models: fetch-model $MODEL"
  MODEL_CACHE_DIR=$root/app/models "$root/usr/local/bin/fetch-model" "$MODEL" >/dev/null
fi

step 'size of the tree, in MB (the base image, distroless/cc-debian12, has another 23)'
du -sm --apparent-size "$root/usr" "$root/app"

if [ -n "${HUGGINGFACE_TOKEN:-}" ]; then
  step 'the token is nowhere in the tree'
  if grep -rqF "$HUGGINGFACE_TOKEN" "$root"; then echo 'it is!' >&2; exit 1; fi
fi

# The image's environment, and nothing of this one.
image=(env -i PATH=/usr/local/bin:/usr/bin:/bin MODEL_CACHE_DIR="$root/app/models" DATA_DIR="$root/app/data"
  CHAT_API_HOST=127.0.0.1 CHAT_API_PORT="$port" CHAT_ADMIN_PORT=0)
if [ "$(id -u)" = 0 ]; then
  chown -R 10001:10001 "$root/app"
  image=(setpriv --reuid=10001 --regid=10001 --clear-groups "${image[@]}")
fi

step 'chat-server starts'
(cd "$root/app" && exec "${image[@]}" "$root/usr/local/bin/chat-server" 2>"$root/log") &
server=$!
for _ in $(seq 100); do
  if "${image[@]}" "$root/usr/local/bin/chat-server" health 2>/dev/null; then break; fi
  sleep 0.1
done
"${image[@]}" "$root/usr/local/bin/chat-server" health
echo 'chat-server health: 0'

step 'POST /triage'
for _ in $(seq 100); do
  if curl -sf "http://127.0.0.1:$port/ready" >/dev/null; then break; fi
  sleep 0.1
done
curl -sS --fail-with-body "http://127.0.0.1:$port/triage" -H 'content-type: application/json' \
  -d '{"patient_mrn": "P000123", "query": "What are my current medications?"}'

step 'SIGTERM'
kill -TERM "$server"
wait "$server"
echo 'exit code 0'
