#!/usr/bin/env python3
"""Measures this workspace's cpu engine, llama.cpp and candle's quantized Qwen3 in turns, on the same file and threads.

usage: compare.py MODEL.gguf=pp512,tg128,… … [--rounds N] [--threads N] [--target DIR] [--write]

A figure is `ppN` (a prompt of N tokens), `tgN` (N generated tokens) or `tgN@D` (the same behind D tokens). In each round
each figure is measured once by each engine; of llama.cpp the best of its four combinations of weight repacking and flash
attention counts, and candle is left out where it takes minutes. A ratio is that of a round. Printed are medians over the rounds, and for generation the share that was
reached of what the memory delivered to as many threads in the same minute. `--write` puts the table into README.md and a
chart into docs/performance.svg.
"""

import argparse
import collections
import datetime
import itertools
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from typing import NamedTuple

import llama_cpp

from chart import bars

ROOT = pathlib.Path(__file__).resolve().parents[2]
START, END = "<!-- performance -->", "<!-- /performance -->"
ENGINES = ("this engine", "llama.cpp", "candle")


class Result(NamedTuple):
    """What one engine did in one round."""

    tokens_per_second: float
    peak_mib: float
    roofline: float | None = None


Rounds = dict[tuple[str, str], list[list[Result | None]]]
# Tokens of a figure that candle gets through in seconds.
SHORT = 1024


def measured(command: list[str], **variables: str) -> Result:
    """The one JSON line that a program prints, and the most memory that it had."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=os.environ | variables)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, errors):
            stream.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}: {errors.read()}")
        line = next(json.loads(line) for line in out if line.startswith("{"))
    # The system's figure, in kilobytes on Linux, counts a child of qwen-bench too, which measures the memory.
    peak = line["peak_rss"] / 2**20 if "peak_rss" in line else usage.ru_maxrss / 1024
    return Result(line["avg_ts"], peak, line.get("roofline_share"))


def parsed(figure: str) -> tuple[int, int, int]:
    """Prompt, generated tokens and depth."""
    found = re.fullmatch(r"(pp|tg)(\d+)(?:@(\d+))?", figure)
    if not found:
        sys.exit(f"{figure} is no figure: pp512, tg128 or tg32@4096")
    count, depth = int(found[2]), int(found[3] or 0)
    return (count, 0, depth) if found[1] == "pp" else (0, count, depth)


def ours(model: str, figure: str, arguments: argparse.Namespace) -> Result:
    prompt, generated, depth = map(str, parsed(figure))
    command = [f"{arguments.target}/release/qwen-bench", "-m", model, "-p", prompt, "-n", generated, "-d", depth]
    return measured([*command, "-t", str(arguments.threads), "-r", "1", "-o", "jsonl"])


def test(figure: str) -> list[str]:
    prompt, generated, depth = map(str, parsed(figure))
    return [*(["--prompt", prompt] if generated == "0" else ["--generate", generated]), "--depth", depth]


def llama(model: str, figure: str, arguments: argparse.Namespace) -> Result:
    script = str(pathlib.Path(__file__).with_name("llama.py"))
    command = [sys.executable, script, model, *test(figure), "--threads", str(arguments.threads)]
    flags = itertools.product("01", "01")
    return max(measured([*command, "--repack", repack, "--flash-attention", fa]) for repack, fa in flags)


def candle(model: str, figure: str, arguments: argparse.Namespace) -> Result | None:
    if sum(parsed(figure)) > SHORT:
        return None
    program = f"{arguments.target}/release/examples/compare-candle"
    return measured([program, model, *test(figure)], RAYON_NUM_THREADS=str(arguments.threads))


def planned(models: list[str]) -> list[tuple[str, str]]:
    """Every file with each of its figures."""
    pairs = [(path, figure) for path, _, figures in (model.partition("=") for model in models) for figure in figures.split(",")]
    for _, figure in pairs:
        parsed(figure)
    return pairs


def measure(arguments: argparse.Namespace) -> Rounds:
    rounds: Rounds = collections.defaultdict(list)
    for turn in range(arguments.rounds):
        for model, figure in planned(arguments.models):
            results = [engine(model, figure, arguments) for engine in (ours, llama, candle)]
            rounds[pathlib.Path(model).stem, figure].append(results)
            speeds = ", ".join(f"{name} {result.tokens_per_second:.1f}" for name, result in zip(ENGINES, results) if result)
            print(f"round {turn + 1}, {pathlib.Path(model).stem} {figure}: {speeds}", file=sys.stderr, flush=True)
    return rounds


def machine() -> str:
    info = pathlib.Path("/proc/cpuinfo").read_text()
    fields = dict(re.findall(r"^(.+?)\s*: (.*)$", info, re.MULTILINE))
    family = f"family {fields.get('cpu family')}, model {fields.get('model')}"
    return f"{fields.get('model name', platform.processor())} ({family})"


def medians(results: list[list[Result | None]]) -> list[Result | None]:
    """One result for each engine that was measured."""

    def middle(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    return [None if None in engine else Result(*map(middle, zip(*engine))) for engine in zip(*results)]


def table(rounds: Rounds, arguments: argparse.Namespace) -> str:
    rows = [
        "| model | test | this engine | llama.cpp | candle | × llama.cpp | peak MiB | share of bandwidth |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (model, figure), results in rounds.items():
        engines = medians(results)
        ratios = [own.tokens_per_second / other.tokens_per_second for own, other, _ in results]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        speeds = " | ".join(f"{engine.tokens_per_second:.1f}" if engine else "" for engine in engines)
        peaks = " / ".join(f"{engine.peak_mib:.0f}" for engine in engines if engine)
        share = "" if engines[0].roofline is None else f"{100 * engines[0].roofline:.0f} %"
        rows.append(f"| {model} | {figure} | {speeds} | {spread} | {peaks} | {share} |")
    note = (
        f"Tokens a second, medians of {arguments.rounds} rounds in turns, {arguments.threads} threads on {machine()}, "
        f"{datetime.date.today()}; llama-cpp-python {llama_cpp.__version__}, built for the machine, at its best flags; "
        "candle-transformers' quantized Qwen3. Peak memory in the order of the engines."
    )
    return "\n".join([*rows, "", note])


def write(text: str, rounds: Rounds) -> None:
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{START}\n{text}\n{END}{after}")
    speeds = {
        f"{model} {figure}": tuple(engine.tokens_per_second if engine else None for engine in medians(results))
        for (model, figure), results in rounds.items()
    }
    (ROOT / "docs" / "performance.svg").write_text(bars(speeds, ENGINES, "tokens a second"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf=FIGURES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", default=str(ROOT / "target"), help="where cargo built the programs")
    parser.add_argument("--write", action="store_true", help="into README.md and docs/performance.svg")
    arguments = parser.parse_args()
    rounds = measure(arguments)
    text = table(rounds, arguments)
    print(text)
    if arguments.write:
        write(text, rounds)


if __name__ == "__main__":
    main()
