#!/usr/bin/env python3
"""Changes who answers while people ask, and measures what they notice.

usage: switching.py --model A --other B [--target DIR] [--threads N] [--seconds N]

It starts the release build of chat-server from DIR (target, unless told otherwise) with two models, lets eight clients
ask without a pause, and meanwhile goes from A to B, back, to mock, to A again, and to two A/B tests. It prints failed
requests, latency before and while a model is loaded and takes over, the shares of an A/B test over 2,000 patients, and
what memory is given back. Random weights do. Needs nothing but Python.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

CLIENTS = 8
PATIENTS = 2000


class Server:
    """A running chat-server with the models `a`, which is loaded, and `b`, which is not."""

    def __init__(self, process: subprocess.Popen[str], port: int, admin_port: int, data: pathlib.Path):
        self.process, self.port, self.admin_port, self.data = process, port, admin_port, data

    def ask(self, patient: str, tokens: int) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        body = {"patient_mrn": patient, "query": "How are you?", "max_new_tokens": tokens, "thinking_budget": 0}
        start = time.perf_counter()
        connection.request("POST", "/triage", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return answer | {"status": response.status, "start": start, "seconds": time.perf_counter() - start}

    def admin(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=60)
        text = None if body is None else json.dumps(body)
        connection.request(method, f"/admin/{path}", text, {"content-type": "application/json"})
        response = connection.getresponse()
        state = json.loads(response.read())
        connection.close()
        assert response.status in (200, 202), state
        return state

    def load(self, mode: str) -> None:
        self.admin("POST", f"models/{mode}/load")
        while True:
            status = next(m["status"] for m in self.admin("GET", "models")["models"] if m["mode"] == mode)
            assert status in ("loading", "ready"), status
            if status == "ready":
                return
            time.sleep(0.1)

    def resident_mib(self) -> float:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


@contextlib.contextmanager
def serve(arguments: argparse.Namespace) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        models = ((mode, pathlib.Path(path).resolve()) for mode, path in (("a", arguments.model), ("b", arguments.other)))
        text = "".join(f"[models.{mode}]\nmodel = {json.dumps(str(path))}\n" for mode, path in models)
        (folder / "models.toml").write_text(text)
        (folder / "template.jinja").write_text("Answer.")
        target = pathlib.Path(arguments.target).resolve()
        command = [f"{target}/release/chat-server", "--llm-mode", "a", "--models-file", "models.toml"]
        command += ["--chat-api-host", "127.0.0.1", "--chat-api-port", "0", "--chat-admin-port", "0"]
        command += ["--data-dir", "data", "--prompt-template", "template.jinja", "--threads", str(arguments.threads)]
        with (folder / "log").open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True, cwd=folder)
        try:
            while not (found := re.search(r" port=(\d+) admin_port=(\d+)", (folder / "log").read_text())):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            server = Server(process, int(found[1]), int(found[2]), folder / "data")
            server.load("a")
            yield server
        finally:
            process.terminate()
            process.wait(30)


def add_patients(database: pathlib.Path) -> list[str]:
    """Many patients with the record of one."""
    names = [f"T{number:06}" for number in range(PATIENTS)]
    with sqlite3.connect(database) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(patients)")]
        row = dict(zip(columns, connection.execute("SELECT * FROM patients LIMIT 1").fetchone()))
        row.pop("seq", None)
        old = row["mrn"]
        for name in names:
            new = {column: value.replace(old, name) if isinstance(value, str) else value for column, value in row.items()}
            marks = ", ".join("?" * len(new))
            connection.execute(f"INSERT INTO patients ({', '.join(new)}) VALUES ({marks})", list(new.values()))
    return names


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else float("nan")


def switching(server: Server, seconds: float) -> None:
    """Eight clients ask while the default changes."""
    answers: list[dict[str, Any]] = []
    stop = threading.Event()

    def person(number: int) -> None:
        while not stop.is_set():
            answers.append(server.ask(f"P{number + 1:06}", 24))

    people = [threading.Thread(target=person, args=[number]) for number in range(CLIENTS)]
    for thread in people:
        thread.start()
    pause = seconds / 8
    begin = time.perf_counter()
    time.sleep(2 * pause)
    swaps = []

    def swap(mode: str) -> None:
        start = time.perf_counter()
        server.load(mode)
        server.admin("PUT", "default", {"mode": mode})
        swaps.append((start, time.perf_counter() + 2))
        time.sleep(pause)

    swap("b")
    server.admin("POST", "models/a/unload")
    start = time.perf_counter()
    server.load("a")
    server.admin("POST", "rollback")
    swaps.append((start, time.perf_counter() + 2))
    time.sleep(pause)
    server.admin("PUT", "default", {"mode": "mock"})
    time.sleep(pause / 2)
    swap("a")
    for share in (50, 10):
        server.admin("PUT", "weights", {"weights": {"a": 100 - share, "b": share}})
        time.sleep(pause)
    stop.set()
    for thread in people:
        thread.join()
    failed = [answer for answer in answers if answer["status"] != 200]
    # The random stream of a model names itself; what made an answer is one of the three.
    made_by = Counter((answer["llm_mode"], answer["model"]) for answer in answers if answer["status"] == 200)
    before = p95([answer["seconds"] for answer in answers if answer["start"] < begin + 2 * pause - 1])
    during = p95([answer["seconds"] for answer in answers if any(a <= answer["start"] <= b for a, b in swaps[:2])])
    print(f"requests {len(answers)}, failed {len(failed)} (0 wanted), made by {dict(made_by)}")
    print(f"p95 before {before * 1000:.0f} ms, while a model is loaded and takes over {during * 1000:.0f} ms:", end=" ")
    print(f"{during / before:.2f} × (2 wanted)")


def shares(server: Server) -> None:
    """An A/B test over many patients, and what their next questions get."""
    patients = add_patients(server.data / "carepath.db")
    server.admin("PUT", "weights", {"weights": {"a": 30, "b": 70}})

    def mode(patient: str) -> str:
        return server.ask(patient, 1)["llm_mode"]

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        first = list(pool.map(mode, patients))
        again = list(pool.map(mode, patients[:200]))
    share = 100 * first.count("a") / len(first)
    print(f"share of a at a weight of 30: {share:.1f} % of {len(first)} ({abs(share - 30):.1f} points off, 3.5 wanted);", end=" ")
    print(f"{sum(x != y for x, y in zip(first, again))} of 200 changed (0 wanted)")
    server.admin("PUT", "weights", {"weights": {}})


def memory(server: Server) -> None:
    """What a model's unloading gives back."""
    server.admin("POST", "models/b/unload")
    time.sleep(20)
    before = server.resident_mib()
    server.load("b")
    server.admin("PUT", "default", {"mode": "b"})
    for number in range(8):
        server.ask(f"P{number + 1:06}", 8)
    both = server.resident_mib()
    server.admin("PUT", "default", {"mode": "a"})
    server.admin("POST", "models/b/unload")
    time.sleep(60)
    after = server.resident_mib()
    print(f"memory with a {before:.0f} MiB, with both {both:.0f}, a minute after unloading b {after:.0f}:", end=" ")
    print(f"{100 * (after / before - 1):+.1f} % (5 wanted)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--other", required=True)
    parser.add_argument("--target", default="target")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with serve(arguments) as server:
        switching(server, arguments.seconds)
        shares(server)
        memory(server)


if __name__ == "__main__":
    main()
