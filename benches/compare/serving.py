#!/usr/bin/env python3
"""Measures chat-server over HTTP: several requests at once, a long prompt beside running streams, a shared prefix.

usage: serving.py --model 0.6b.gguf [--large 4b.gguf] [--target DIR] [--rounds N] [--threads N]

It starts the release build of chat-server from DIR (target, unless told otherwise) on a free port, on data of its own,
and prints each figure with what is wanted of it. Random weights do: how long an answer is, `max_new_tokens` says, and
tokens are counted by `usage`. Needs nothing but Python.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
Answer = dict[str, Any]
# As Qwen3's checkpoints ask for in their generation_config.json.
SAMPLING = {"temperature": 0.6, "top_k": 20, "top_p": 0.95}
# Next to nothing before the question, so that a prompt is as long as the question.
BARE = "Answer."


class Server:
    """A running chat-server."""

    def __init__(self, process: subprocess.Popen[str], port: int):
        self.process, self.port = process, port

    def request(self, query: str, **more: Any) -> Iterator[tuple[str, Answer]]:
        """The events of an answer, as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        body = {"patient_mrn": "P000123", "query": query, "stream": True, "thinking_budget": "off"} | SAMPLING | more
        connection.request("POST", "/triage", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            sys.exit(f"{response.status}: {response.read().decode()}")
        event = ""
        for line in response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                yield event, json.loads(value)
        connection.close()

    def ask(self, query: str, tokens: int, **more: Any) -> Answer:
        """The whole answer, and in `seconds` how long it took."""
        start = time.perf_counter()
        result: Answer = {}
        for event, data in self.request(query, max_new_tokens=tokens, **more):
            if event == "result":
                result = data
            elif event == "error":
                sys.exit(f"the server says {data}")
        return result | {"seconds": time.perf_counter() - start}

    def settle(self) -> None:
        """Waits until it does nothing: just started, it has the system give it the memory of its KV cache."""
        before = -1.0
        for _ in range(200):
            now = self.processor_seconds()
            if now - before < 0.02:
                return
            before = now
            time.sleep(0.3)
        sys.exit("chat-server has no rest, though nobody asks")

    def processor_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> float:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


@contextlib.contextmanager
def serve(arguments: argparse.Namespace, model: str, template: str | None, *more: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{arguments.target}/release/chat-server", "--llm-mode", "qwen", "--model", model]
        command += ["--chat-api-host", "127.0.0.1", "--chat-api-port", "0", "--chat-admin-port", "0", "--data-dir", folder]
        command += ["--threads", str(arguments.threads), "--max-query-chars", "40000", *more]
        if template is not None:
            path = pathlib.Path(folder, "template.jinja")
            path.write_text(template)
            command += ["--prompt-template", str(path)]
        log = pathlib.Path(folder, "log")
        with log.open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True, cwd=folder)
        try:
            server = Server(process, ready(process, log))
            server.settle()
            yield server
        finally:
            process.terminate()
            process.wait(30)


def ready(process: subprocess.Popen[str], log: pathlib.Path) -> int:
    """The port, once the model is loaded."""
    while process.poll() is None:
        found = re.search(r" port=(\d+)", log.read_text())
        if found:
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]))
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return int(found[1])
        time.sleep(0.1)
    sys.exit(f"chat-server ended:\n{log.read_text()}")


def words(count: int, seed: object) -> str:
    """Text of about `count` tokens that no other seed gives."""
    source = random.Random(str(seed))
    common = "the patient has pain in left knee since two days and takes no drug for it but would like to know more".split()
    return " ".join(source.choice(common) for _ in range(count))


def together(server: Server, count: int, tokens: int, seed: object) -> float:
    """Tokens a second of `count` requests at once."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        start = time.perf_counter()
        jobs = [pool.submit(server.ask, words(8, (seed, index)), tokens) for index in range(count)]
        made = sum(job.result()["usage"]["completion_tokens"] for job in jobs)
        return made / (time.perf_counter() - start)


def decode_speed(server: Server, seed: object) -> float:
    """Tokens a second of one stream once it runs: what 160 tokens take more than 32."""
    short, long = (server.ask(words(8, seed), tokens)["seconds"] for tokens in (32, 160))
    return 128 / (long - short)


def gaps(server: Server, seed: object, long_prompt: str | None) -> tuple[list[float], float]:
    """Times between pieces of four running streams, and how long `long_prompt` beside them took."""
    times: list[list[float]] = [[] for _ in range(4)]

    def listen(index: int) -> None:
        for event, _ in server.request(words(8, (seed, index)), max_new_tokens=400):
            if event in ("answer", "reasoning"):
                times[index].append(time.perf_counter())

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(listen, index) for index in range(4)]
        while not all(len(stream) > 20 for stream in times):
            if any(stream.done() for stream in streams):
                sys.exit("a stream ended before the prompt came")
            time.sleep(0.01)
        start = time.perf_counter()
        if long_prompt is None:
            time.sleep(1.5)
        else:
            server.ask(long_prompt, 1)
        end = time.perf_counter()
        for stream in streams:
            stream.result()
    inside = [[t for t in stream if start <= t <= end] for stream in times]
    return [b - a for stream in inside for a, b in zip(stream, stream[1:])], end - start


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


class Report:
    def __init__(self) -> None:
        self.missed = False

    def figure(self, name: str, values: list[float], limit: str, unit: str = "") -> None:
        """One figure of several rounds against a limit such as `>= 3`."""
        median, (sign, bound) = statistics.median(values), limit.split()
        good = median >= float(bound) if sign == ">=" else median <= float(bound)
        self.missed |= not good
        spread = f"{min(values):.2f}–{max(values):.2f}"
        print(f"{name:<58} {median:8.2f}{unit} ({spread}), wanted {limit}{unit}: {'yes' if good else 'NO'}", flush=True)


def small(arguments: argparse.Namespace, report: Report) -> None:
    bench = [f"{arguments.target}/release/qwen-bench", "-m", arguments.model, "-p", "0", "-n", "128", "-r", "1"]
    bench += ["-t", str(arguments.threads), "-o", "jsonl", "-d", "40"]
    eight, one, gap, slower, prefix = [], [], [], [], []
    with serve(arguments, arguments.model, BARE) as server:
        server.ask(words(8, "first"), 8)
        for turn in range(arguments.rounds):
            alone = together(server, 1, 128, (turn, "one"))
            eight.append(together(server, 8, 128, (turn, "eight")) / alone)
            streamed = decode_speed(server, (turn, "decode"))
            lines = subprocess.run(bench, capture_output=True, text=True, check=True).stdout.splitlines()
            one.append(streamed / next(json.loads(line)["avg_ts"] for line in lines))
            prompt_alone = server.ask(words(1990, (turn, "alone")), 1)["seconds"]
            without, _ = gaps(server, (turn, "without"), None)
            beside, seconds = gaps(server, (turn, "with"), words(1990, (turn, "beside")))
            gap.append(p95(beside) / p95(without))
            slower.append(seconds / prompt_alone)
            shared = words(990, (turn, "prefix"))
            first = server.ask(f"{shared} {words(25, (turn, 1))}", 1)
            second = server.ask(f"{shared} {words(25, (turn, 2))}", 1)
            prefix.append(100 * second["seconds"] / first["seconds"])
        prompt = first["usage"]["prompt_tokens"]
        report.figure("eight requests at once / one", eight, ">= 3", " ×")
        report.figure("one stream / qwen-bench", one, ">= 0.93", " ×")
        report.figure("p95 gap of four streams beside a 2,000-token prompt", gap, "<= 3", " ×")
        report.figure("that prompt / alone", slower, "<= 1.5", " ×")
        report.figure(f"second of a shared prefix ({prompt} tokens) / first", prefix, "<= 12", " %")
        before = server.processor_seconds()
        time.sleep(5)
        report.figure("processor time of an idle server", [(server.processor_seconds() - before) / 5 * 100], "<= 1", " %")
        print(f"peak memory: {server.peak_mib():.0f} MiB", flush=True)


def same_text(arguments: argparse.Namespace, report: Report) -> None:
    """Seeded requests alone, together, in a KV cache that is too small for all, and from cached blocks."""
    queries = [words(60 + 40 * index, ("same", index)) for index in range(6)]

    def answers(server: Server, at_once: int) -> list[str]:
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            jobs = [pool.submit(server.ask, query, 120, seed=7, temperature=0.8, include_reasoning=True) for query in queries]
            return [str(job.result()["reasoning"]) + job.result()["response"] for job in jobs]

    with serve(arguments, arguments.model, BARE) as server:
        alone = answers(server, 1)
        again, mixed = answers(server, 1), answers(server, 6)
    with serve(arguments, arguments.model, BARE, "--max-context", "512", "--kv-memory", "80MiB") as server:
        tight = answers(server, 6)
    different = sum(a != b for other in (again, mixed, tight) for a, b in zip(alone, other))
    report.figure("texts that differ: resumed, together, paused", [different], "<= 0", " of 18")


def large(arguments: argparse.Namespace, report: Report) -> None:
    """CarePath's own prompt and limits on the large model."""
    with serve(arguments, arguments.large, None) as server:
        question = {"tokens": 192, "thinking_budget": 96}
        cold = server.ask("What are my current medications?", **question)
        warm = [server.ask(f"What are my {kind}?", **question) for kind in ("allergies", "conditions", "encounters")]
        print(f"POST /triage cold: {cold['seconds']:.1f} s, {cold['usage']}", flush=True)
        report.figure("POST /triage, warm prefix, 96 + 96 tokens", [answer["seconds"] for answer in warm], "<= 15", " s")
        print(f"peak memory: {server.peak_mib():.0f} MiB; {warm[0]['usage']}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # The server starts in a folder of its own.
    parser.add_argument("--model", type=os.path.abspath, help="a GGUF file of the 0.6B shape")
    parser.add_argument("--large", type=os.path.abspath, help="a GGUF file of the 4B shape")
    parser.add_argument("--target", type=os.path.abspath, default=ROOT / "target", help="where cargo built the programs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    report = Report()
    if arguments.model:
        small(arguments, report)
        same_text(arguments, report)
    if arguments.large:
        large(arguments, report)
    sys.exit(report.missed)


if __name__ == "__main__":
    main()
