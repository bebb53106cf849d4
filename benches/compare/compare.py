#!/usr/bin/env python3
"""Measures llama.cpp and this workspace's cpu engine in turns, on the same file with the same threads.

usage: compare.py MODEL.gguf… [--figures pp512,tg128,…] [--rounds N] [--threads N] [--target DIR] [--write]

A figure is `ppN` (a prompt of N tokens), `tgN` (N generated tokens) or `tgN@D` (the same behind D tokens). In each round
each figure is measured once by us and once by llama.cpp with each of its four combinations of weight repacking and flash
attention, of which the best counts; the ratio is that of the round. Printed are medians over the rounds. `--write` puts
the table into README.md and a chart into docs/performance.svg.
"""

import argparse
import collections
import datetime
import itertools
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys

import llama_cpp

from chart import bars

ROOT = pathlib.Path(__file__).resolve().parents[2]
START, END = "<!-- performance -->", "<!-- /performance -->"
Speeds = dict[str, float]
Rounds = dict[tuple[str, str], list[tuple[float, float]]]


def lines(command: list[str]) -> list[dict[str, float]]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def parsed(figure: str) -> tuple[int, int, int]:
    """Prompt, generated tokens and depth."""
    found = re.fullmatch(r"(pp|tg)(\d+)(?:@(\d+))?", figure)
    if not found:
        sys.exit(f"{figure} is no figure: pp512, tg128 or tg32@4096")
    count, depth = int(found[2]), int(found[3] or 0)
    return (count, 0, depth) if found[1] == "pp" else (0, count, depth)


def ours(model: str, figure: str, arguments: argparse.Namespace) -> float:
    prompt, generated, depth = map(str, parsed(figure))
    command = [f"{arguments.target}/release/qwen-bench", "-m", model, "-p", prompt, "-n", generated, "-d", depth]
    return lines([*command, "-t", str(arguments.threads), "-r", "1", "-o", "jsonl"])[0]["avg_ts"]


def theirs(model: str, figure: str, arguments: argparse.Namespace) -> float:
    prompt, generated, depth = map(str, parsed(figure))
    script = str(pathlib.Path(__file__).with_name("llama.py"))
    test = ["--prompt", prompt] if generated == "0" else ["--generate", generated]
    command = [sys.executable, script, model, *test, "--depth", depth, "--threads", str(arguments.threads)]
    flags = itertools.product("01", "01")
    return max(lines([*command, "--repack", repack, "--flash-attention", fa])[0]["avg_ts"] for repack, fa in flags)


def measure(arguments: argparse.Namespace) -> Rounds:
    rounds: Rounds = collections.defaultdict(list)
    for turn in range(arguments.rounds):
        for model, figure in itertools.product(arguments.models, arguments.figures.split(",")):
            both = ours(model, figure, arguments), theirs(model, figure, arguments)
            rounds[pathlib.Path(model).stem, figure].append(both)
            print(f"round {turn + 1}, {pathlib.Path(model).stem} {figure}: {both[0]:.1f} and {both[1]:.1f}", file=sys.stderr)
    return rounds


def machine() -> str:
    info = pathlib.Path("/proc/cpuinfo").read_text()
    fields = dict(re.findall(r"^(.+?)\s*: (.*)$", info, re.MULTILINE))
    family = f"family {fields.get('cpu family')}, model {fields.get('model')}"
    return f"{fields.get('model name', platform.processor())} ({family})"


def table(rounds: Rounds, arguments: argparse.Namespace) -> str:
    rows = ["| model | test | llama.cpp | ours | ratio |", "| --- | --- | ---: | ---: | ---: |"]
    for (model, figure), pairs in rounds.items():
        own, other = (statistics.median(side) for side in zip(*pairs))
        ratios = [a / b for a, b in pairs]
        spread = f"{statistics.median(ratios):.2f} × ({min(ratios):.2f}–{max(ratios):.2f})"
        rows.append(f"| {model} | {figure} | {other:.1f} | {own:.1f} | {spread} |")
    note = (
        f"Tokens a second, medians of {arguments.rounds} rounds in turns, {arguments.threads} threads on {machine()}, "
        f"{datetime.date.today()}; llama-cpp-python {llama_cpp.__version__}, built for the machine, at its best flags."
    )
    return "\n".join([*rows, "", note])


def write(text: str, rounds: Rounds) -> None:
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{START}\n{text}\n{END}{after}")
    named = {f"{model} {figure}": tuple(statistics.median(side) for side in zip(*pairs)) for (model, figure), pairs in rounds.items()}
    (ROOT / "docs" / "performance.svg").write_text(bars(named, ("this engine", "llama.cpp"), "tokens a second"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--figures", default="pp512,tg128,pp4096,tg32@4096")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", default=str(ROOT / "target"), help="where cargo built qwen-bench")
    parser.add_argument("--write", action="store_true", help="into README.md and docs/performance.svg")
    arguments = parser.parse_args()
    rounds = measure(arguments)
    text = table(rounds, arguments)
    print(text)
    if arguments.write:
        write(text, rounds)


if __name__ == "__main__":
    main()
