#!/usr/bin/env python3
"""Measures llama.cpp, through the C interface that llama-cpp-python brings, and prints JSON lines.

usage: llama.py MODEL.gguf [--prompt N,…] [--generate N,…] [--depth N,…] [--sequences N,…]
                [--threads N] [--repetitions N] [--repack 0|1] [--flash-attention 0|1]

A line is one test with qwen-bench's names (`n_prompt`, `n_gen`, `n_depth`, `n_seqs`, `avg_ts`), where `avg_ts` is the
median of the repetitions. As in llama-bench, a prompt goes through in batches of 512 and a depth is filled before the
clock starts; as in llama-batched-bench, sequences are decoded together and their tokens are added up.
"""

import argparse
import ctypes
import json
import resource
import statistics
import sys
import time

import llama_cpp

BATCH = 512
# What llama.cpp says of itself is not wanted; the reference keeps the callback alive.
QUIET = llama_cpp.llama_log_callback(lambda *_: None)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--prompt", type=numbers, default=[])
    parser.add_argument("--generate", type=numbers, default=[])
    parser.add_argument("--depth", type=numbers, default=[0])
    parser.add_argument("--sequences", type=numbers, default=[1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--repack", type=int, choices=(0, 1), default=1)
    parser.add_argument("--flash-attention", type=int, choices=(0, 1), default=1)
    return parser.parse_args()


class Engine:
    """A model and a context that is large enough for every test."""

    def __init__(self, arguments: argparse.Namespace, tokens: int, sequences: int):
        llama_cpp.llama_log_set(QUIET, None)
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_default_params()
        model.n_gpu_layers = 0
        model.use_extra_bufts = bool(arguments.repack)
        self.model = llama_cpp.llama_model_load_from_file(arguments.model.encode(), model)
        if not self.model:
            sys.exit(f"llama.cpp does not load {arguments.model}")
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = tokens
        context.n_batch = context.n_ubatch = BATCH
        context.n_seq_max = sequences
        context.kv_unified = sequences > 1
        context.n_threads = context.n_threads_batch = arguments.threads
        context.flash_attn_type = arguments.flash_attention
        context.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, context)
        if not self.context:
            sys.exit("llama.cpp makes no context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(BATCH, 0, 1)

    def step(self, places: list[tuple[int, int]], logits: bool) -> None:
        """Decodes a token at each (sequence, position), with logits of the last place, or of all."""
        batch = self.batch
        batch.n_tokens = len(places)
        for index, (sequence, position) in enumerate(places):
            batch.token[index] = (position * 7919 + sequence) % (self.vocabulary - 1)
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = logits or index + 1 == len(places)
        if llama_cpp.llama_decode(self.context, batch) != 0:
            sys.exit("llama.cpp decodes no more")
        llama_cpp.llama_synchronize(self.context)

    def prefill(self, tokens: int, start: int = 0, sequence: int = 0) -> None:
        for first in range(start, start + tokens, BATCH):
            self.step([(sequence, position) for position in range(first, min(first + BATCH, start + tokens))], False)

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self.memory, False)


def tests(arguments: argparse.Namespace) -> list[dict[str, int]]:
    return [
        {"n_prompt": prompt, "n_gen": generated, "n_depth": depth, "n_seqs": sequences}
        for prompt, generated in [(n, 0) for n in arguments.prompt] + [(0, n) for n in arguments.generate]
        for sequences in arguments.sequences
        for depth in arguments.depth
    ]


def seconds(engine: Engine, test: dict[str, int]) -> float:
    sequences, depth = test["n_seqs"], test["n_depth"]
    engine.clear()
    for sequence in range(sequences):
        engine.prefill(depth, 0, sequence)
    start = time.perf_counter()
    for sequence in range(sequences if test["n_prompt"] else 0):
        engine.prefill(test["n_prompt"], depth, sequence)
    for index in range(test["n_gen"]):
        engine.step([(sequence, depth + index) for sequence in range(sequences)], True)
    return time.perf_counter() - start


def main() -> None:
    arguments = options()
    planned = tests(arguments)
    most = max(arguments.sequences)
    tokens = max(t["n_seqs"] * (t["n_depth"] + t["n_prompt"] + t["n_gen"]) for t in planned)
    engine = Engine(arguments, max(tokens + 64, BATCH), most)
    # The first run of anything pays for pages and buffers.
    engine.prefill(BATCH if arguments.prompt else 16)
    for test in planned:
        tokens = (test["n_prompt"] + test["n_gen"]) * test["n_seqs"]
        speeds = [tokens / seconds(engine, test) for _ in range(arguments.repetitions)]
        line = {**test, "n_threads": arguments.threads, "avg_ts": statistics.median(speeds)}
        line |= {"repack": arguments.repack, "flash_attention": arguments.flash_attention}
        # In kilobytes on Linux.
        line["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
