# Sourced by the scripts that check what is deployed, with their arguments: `what` is quick or slow, `target` the folder
# in which checkers are installed, and nothing outside of it.
what=${1:-quick}
case $what in
  quick | slow) ;;
  *) echo "usage: $0 [quick|slow]" >&2; exit 2 ;;
esac
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(realpath "$target")
export PYTHONDONTWRITEBYTECODE=1

# A Python of its own in a folder, with packages from PyPI; it fails where they cannot be had.
environment() {
  local folder=$1
  shift
  { [ -x "$folder/bin/python" ] || python3 -m venv "$folder"; } && "$folder/bin/pip" install --quiet "$@"
} >/dev/null 2>&1
