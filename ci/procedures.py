"""Walks CarePath's procedures in order, as its operators do them, and prints what it saw.

    python ci/procedures.py          # builds what it needs: some minutes; no network

Download, run, switch to mock and back, roll back, the persistent cache, parameters: with `make` where CarePath
has a target for it, against a server of its own and a Hub on loopback that serves models/triage-mini. It fails
where something is not as the runbooks say.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from local_hub import Hub

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MODEL = "carepath/triage-mini"
PORT, ADMIN_PORT = 18012, 18013


def step(text):
    print(f"\n== {text}", flush=True)


def saw(text):
    print(f"   {text}", flush=True)


def expect(holds, text):
    saw(text)
    if not holds:
        raise SystemExit("   that is not what should be")


class Place:
    """A folder with a cache and a database, and the variables that a deployment would set."""

    def __init__(self, folder, hub):
        self.variables = {
            "HF_ENDPOINT": hub,
            "MODEL_CACHE_DIR": str(folder / "models"),
            "DATA_DIR": str(folder / "data"),
            "CHAT_API_HOST": "127.0.0.1",
            "CHAT_API_PORT": str(PORT),
            "CHAT_ADMIN_PORT": str(ADMIN_PORT),
        }
        kept = ("PATH", "HOME", "CARGO_TARGET_DIR", "CARGO_HOME", "RUSTUP_HOME")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}

    def make(self, target, **variables):
        """What a target prints on standard output."""
        command = ["make", "-s", target, *(f"{name}={value}" for name, value in variables.items())]
        saw(" ".join(command))
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment | self.variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        expect(done.returncode == 0, f"exit code {done.returncode}" + (done.stderr[-2000:] if done.returncode else ""))
        return done.stdout.strip()

    def ctl(self, *arguments):
        command = [TARGET / "release" / "chat-server", "ctl", *arguments]
        done = subprocess.run(command, env=self.environment | self.variables, text=True, capture_output=True)
        expect(done.returncode == 0, f"chat-server ctl {' '.join(arguments)}: {done.stdout.splitlines()[0]}{done.stderr}")

    @contextlib.contextmanager
    def running(self, **variables):
        """`make run-chat` until the model is ready, and its end by SIGTERM."""
        environment = self.environment | self.variables | variables
        saw("make run-chat " + " ".join(f"{name}={value}" for name, value in variables.items()))
        started = time.monotonic()
        server = subprocess.Popen(
            ["make", "-s", "run-chat"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            while status("/ready") != 200:
                if server.poll() is not None or time.monotonic() - started > 120:
                    raise SystemExit("   the server does not get ready")
                time.sleep(0.05)
            saw(f"ready after {time.monotonic() - started:.1f} s")
            yield
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def ask(self, **variables):
        answer = json.loads(self.make("test-triage", **variables))
        saw(f"llm_mode {answer['llm_mode']}, model {answer['model']}: {answer['response'].splitlines()[-1]!r}")
        return answer


def status(path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def walk(folder, hub):
    place = Place(folder, hub.url)

    step("every target can be planned, every command explains itself")
    targets = [line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line and "## " in line]
    for target in targets:
        if target and target.replace("-", "").isalnum():
            done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
            expect(done.returncode == 0, f"make -n {target}: {done.returncode}")
    for command in (["chat-server"], ["chat-server", "ctl"], ["chat-server", "doctor"], ["chat-server", "health"],
                    ["chat-server", "settings"], ["fetch-model"]):  # fmt: skip
        done = subprocess.run([TARGET / "release" / command[0], *command[1:], "--help"], capture_output=True)
        expect(done.returncode == 0, f"{' '.join(command)} --help: {done.returncode}")

    step("download the model")
    path = place.make("download-llm-model", MODEL=MODEL)
    expect((pathlib.Path(path) / "model.safetensors").exists(), f"it is at {path.removeprefix(str(folder))}")

    step("run with it, and ask")
    with place.running(LLM_MODE="qwen", MODEL=MODEL):
        answer = place.ask()
        expect(answer["llm_mode"] == "qwen" and answer["model"].startswith(MODEL), "the model answered")

        step("switch to mock and back without a restart")
        place.ctl("default", "mock")
        expect(place.ask()["llm_mode"] == "mock", "mock answered")
        place.ctl("rollback")
        expect(place.ask()["llm_mode"] == "qwen", "the model answered again")
        place.ctl("default", "mock")

    step("what was decided outlives the restart; another LLM_MODE forgets it, as kubectl set env does")
    with place.running(LLM_MODE="qwen", MODEL=MODEL):
        expect(place.ask()["llm_mode"] == "mock", "mock answers still")
    with place.running(LLM_MODE="mock"):
        expect(place.ask()["llm_mode"] == "mock", "mock answers, because of LLM_MODE")

    step("roll back to the model before, by its setting")
    with place.running(LLM_MODE="qwen", MODEL=MODEL):
        expect(place.ask()["llm_mode"] == "qwen", "the model answered")

    step("the cache persists: without the Hub nothing is missing")
    hub.stop()
    with place.running(LLM_MODE="qwen", MODEL=MODEL, HF_HUB_OFFLINE="1"):
        expect(place.ask()["model"].startswith(MODEL), "the model answered")

    step("change parameters")
    with place.running(LLM_MODE="qwen", MODEL=MODEL, MAX_NEW_TOKENS="24", THINKING_BUDGET="off", HF_HUB_OFFLINE="1"):
        answer = place.ask()
        expect(len(answer["response"].split()) <= 24, f"a shorter answer: {answer['response']!r}")


def main():
    build = ["cargo", "build", "--release", "--locked"]
    subprocess.run([*build, "--bin", "chat-server", "--bin", "fetch-model"], cwd=ROOT, check=True)
    subprocess.run([*build, "-p", "model-cache", "--example", "fake_hub"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with Hub(TARGET / "release" / "examples" / "fake_hub", folder / "hub", MODEL) as hub:
            walk(folder, hub)
    print("\nall procedures work")


if __name__ == "__main__":
    main()
