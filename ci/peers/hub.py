"""Puts huggingface_hub and fetch-model before the same Hub that misbehaves, and prints what came of it.

First huggingface_hub downloads from the fake Hub as it does from the real one, which shows that the Hub is one. Then
both meet each trouble: the outcome, and the bytes of weights that the Hub has sent for each byte of them.

    python hub.py FAKE_HUB FETCH_MODEL [TROUBLE ...]
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time

SIZE = 50_000_000
LIMIT = 300
TROUBLES = [
    "cut-0", "cut-10", "cut-20", "cut-30", "cut-40", "cut-50", "cut-60", "cut-70", "cut-80", "cut-90",
    "length-short", "length-long", "digest-once", "digest-always", "rate-limit-once", "server-errors",
    "info-errors", "redirect-loop", "redirect-refused", "info-truncated", "info-web-page", "file-web-page",
    "no-range", "hang-up-once",
]  # fmt: skip
DOWNLOAD = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download(sys.argv[1], cache_dir=sys.argv[2]))
"""


class Hub:
    """A fake Hub in a process of its own."""

    def __init__(self, program, trouble=None):
        arguments = [program, "--size", str(SIZE)] + (["--trouble", trouble] if trouble else [])
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def sent(self):
        """Bytes of weights sent since the last call."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def environment(hub, home):
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": home, "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {**os.environ, **own, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def run(command, hub, home):
    """Exit code (None: it had to be stopped), seconds, and the last line of what was said."""
    start = time.monotonic()
    try:
        ended = subprocess.run(
            command, env=environment(hub, home), capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return None, LIMIT, "still running"
    said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
    return ended.returncode, time.monotonic() - start, said[-1] if said else ""


def wrong_blobs(cache):
    """Files under a final name that are not what it says."""
    wrong = []
    for folder, _, names in os.walk(cache):
        if os.path.basename(folder) != "blobs":
            continue
        for name in names:
            if len(name) not in (40, 64):
                continue
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if name not in (git, hashlib.sha256(data).hexdigest()):
                wrong.append(name)
    return wrong


def outcome(command, hub, cache, home):
    code, seconds, said = run(command, hub, home)
    sent = hub.sent() / SIZE
    if wrong_blobs(cache):
        word = "CORRUPT"
    else:
        word = {0: "whole", None: "endless"}.get(code, "error")
    return word, f"{word:8}{sent:6.2f} x {seconds:7.1f} s", said


def download(hub, repo, home, cache):
    return run([sys.executable, "-c", DOWNLOAD, repo, cache], hub, home)


def is_a_hub(program):
    """huggingface_hub downloads every repository of the Hub, and is refused as by the real one."""
    with Hub(program) as hub, tempfile.TemporaryDirectory() as home:
        cache = os.path.join(home, "cache")
        for repo in ("acme/large", "acme/tiny"):
            code, _, said = download(hub, repo, home, cache)
            assert code == 0, said
        for repo, word in (("acme/gated", "restricted"), ("acme/absent", "")):
            code, _, said = download(hub, repo, home, cache)
            assert code != 0 and word in said, said
        assert not wrong_blobs(cache)
    print("huggingface_hub downloads from the fake Hub")


def main():
    fake_hub, fetch_model, *names = sys.argv[1:]
    is_a_hub(fake_hub)
    failures = 0
    print(f"{'trouble':18}{'huggingface_hub':30}{'fetch-model':30}")
    for name in names or TROUBLES:
        row = f"{name:18}"
        for ours in (False, True):
            with Hub(fake_hub, name) as hub, tempfile.TemporaryDirectory() as home:
                cache = os.path.join(home, "cache")
                theirs = [sys.executable, "-c", DOWNLOAD, "acme/large", cache]
                own = [fetch_model, "--model-cache-dir", cache, "acme/large"]
                word, text, said = outcome(own if ours else theirs, hub, cache, home)
                row += f"{text:30}"
                failures += ours and word in ("CORRUPT", "endless")
        print(row, said[:120], flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
