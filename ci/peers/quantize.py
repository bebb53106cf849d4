#!/usr/bin/env python3
"""Compares our quantizer with llama.cpp's.

usage: quantize.py [--errors] [--files] [--speed DIR] [--target DIR]

  --errors      for each block type, with and without an importance matrix: the mean squared error of our blocks over
                that of ggml's for the same rows; fails above 1.02
  --files       for each file type: llama.cpp loads our file of a golden checkpoint, picks the same types for its own,
                and its logits and ours agree; fails below a cosine of 0.999 at any position
  --speed DIR   quantizes the checkpoint DIR to Q4_K_M: seconds, values a second, peak memory
  --target DIR  where cargo has built `fetch-model` and the example `golden` in release mode [default: target]

Needs Python with llama-cpp-python, gguf, numpy and safetensors; with no option it does --errors and --files.
"""

import argparse
import ctypes
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import gguf
import llama_cpp
import numpy as np
from gguf import GGMLQuantizationType as Kind
from safetensors.numpy import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT.parent / "shared" / "golden"
BLOCKS = {"q4_k_m": Kind.Q4_K, "q5_k_m": Kind.Q5_K, "q6_k": Kind.Q6_K, "q8_0": Kind.Q8_0}
FTYPES = {"f16": 1, "q8_0": 7, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}
# llama.cpp's own words; the reference keeps the callback alive.
QUIET = llama_cpp.llama_log_callback(lambda *_: None)
QUERY = "blk.0.attn_q.weight"


def fetch_model(target, *arguments):
    program = pathlib.Path(target) / "release" / "fetch-model"
    done = subprocess.run([program, "quantize", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"fetch-model quantize {arguments}: {done.stderr}")
    return done.stderr


def ggml_base():
    library = next(pathlib.Path(llama_cpp.__file__).parent.glob("lib/*ggml-base*"))
    base = ctypes.CDLL(str(library))
    base.ggml_quantize_chunk.restype = ctypes.c_size_t
    base.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + 3 * [ctypes.c_int64] + [
        ctypes.c_void_p
    ]
    return base


def rows(rng, shape):
    """Rows of several distributions, by name."""
    count, columns = shape
    scales = np.exp(rng.normal(size=(count, 1)) * 0.5) * np.exp(rng.normal(size=(1, columns)) * 0.7)
    realistic = rng.standard_normal(shape) * scales * 0.02
    realistic[rng.random(shape) < 0.001] *= 12  # outliers
    made = {
        "normal": rng.standard_normal(shape) * 0.02,
        "heavy-tailed": rng.standard_t(3, shape) * 0.02,
        "laplace": rng.laplace(size=shape) * 0.02,
        "realistic": realistic,
        "uniform": rng.uniform(-0.1, 0.1, shape),
        "off centre": rng.standard_normal(shape) + 3,
    }
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in made.items()}


def write_checkpoint(directory, query):
    """A checkpoint of one layer with `query` as its query projection, whose other weights do not matter."""
    golden = GOLDEN / "k256-f16"
    config = json.loads((golden / "config.json").read_text())
    heads, hidden = query.shape[0] // 128, query.shape[1]
    config |= {"num_hidden_layers": 1, "hidden_size": hidden, "intermediate_size": 256, "num_attention_heads": heads}
    config |= {"num_key_value_heads": 1, "head_dim": 128}
    tensors = {"model.embed_tokens.weight": np.zeros((config["vocab_size"], hidden), np.float32)}
    tensors["model.norm.weight"] = np.ones(hidden, np.float32)
    layer = {"input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}
    layer |= {"self_attn.q_norm": (128,), "self_attn.k_norm": (128,), "self_attn.k_proj": (128, hidden)}
    layer |= {"self_attn.v_proj": (128, hidden), "self_attn.o_proj": (hidden, query.shape[0])}
    layer |= {"mlp.gate_proj": (256, hidden), "mlp.up_proj": (256, hidden), "mlp.down_proj": (hidden, 256)}
    tensors |= {f"model.layers.0.{name}.weight": np.zeros(shape, np.float32) for name, shape in layer.items()}
    tensors["model.layers.0.self_attn.q_proj.weight"] = query
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "tokenizer.json").write_text((golden / "tokenizer.json").read_text())
    save_file(tensors, directory / "model.safetensors")


def write_imatrix(path, importance):
    """llama.cpp's older format, with one entry."""
    name = QUERY.encode()
    head = np.array([1, len(name)], "<i4").tobytes() + name + np.array([1, len(importance)], "<i4").tobytes()
    path.write_bytes(head + importance.astype("<f4").tobytes())


def write_imatrix_gguf(path, importance):
    """The newer format: sums over 64 rows of activations."""
    writer = gguf.GGUFWriter(path, "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["made up"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 64)
    writer.add_tensor(f"{QUERY}.in_sum2", (importance * 64).reshape(1, -1))
    writer.add_tensor(f"{QUERY}.counts", np.full((1, 1), 64, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensors_of(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def errors(target):
    base, rng, shape, worst = ggml_base(), np.random.default_rng(1), (512, 1024), 0.0
    importance = np.exp(rng.normal(size=shape[1]) * 1.5).astype(np.float32)
    importance[rng.random(shape[1]) < 0.01] *= 100
    print(f"{'rows':14} {'type':8} {'importance':10} {'ours':>10} {'ggml':>10} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        write_imatrix(directory / "imatrix.dat", importance)
        write_imatrix_gguf(directory / "imatrix.gguf", importance)
        for label, values in rows(rng, shape).items():
            write_checkpoint(directory / "model", values)
            for file_type, kind in BLOCKS.items():
                for weights in (None, importance):
                    options = [] if weights is None else ["--imatrix", directory / "imatrix.dat"]
                    out = directory / "out.gguf"
                    arguments = [directory / "model", "--type", file_type, "--out", out, "--overwrite", *options]
                    fetch_model(target, *arguments)
                    tensor = tensors_of(out)[QUERY]
                    assert tensor.tensor_type == kind, tensor.tensor_type
                    ours = np.asarray(tensor.data).reshape(shape[0], -1)
                    theirs = np.empty_like(ours)
                    pointer = None if weights is None else weights.ctypes.data
                    base.ggml_quantize_chunk(int(kind), values.ctypes.data, theirs.ctypes.data, 0, *shape, pointer)

                    def error(blocks):
                        squares = (gguf.quants.dequantize(blocks, kind).astype(np.float64) - values) ** 2
                        return float((squares if weights is None else squares * weights).mean())

                    a, b = error(ours), error(theirs)
                    worst = max(worst, a / b)
                    given = "no" if weights is None else "yes"
                    print(f"{label:14} {file_type:8} {given:10} {a:10.3e} {b:10.3e} {a / b:7.4f}")
                    if weights is not None:
                        options[1] = directory / "imatrix.gguf"
                        fetch_model(target, *arguments[:6], *options)
                        assert (np.asarray(tensors_of(out)[QUERY].data).reshape(ours.shape) == ours).all()
    print(f"worst ratio {worst:.4f}")
    return worst <= 1.02


def llama_logits(path, prompts):
    """The logits of every position of every prompt."""
    model = llama_cpp.Llama(str(path), n_ctx=1024, n_threads=2, logits_all=True, verbose=False)
    out = []
    for prompt in prompts:
        model.reset()
        model.eval(prompt)
        out.append(np.array(model.scores[: len(prompt)], dtype=np.float64))
    return out


def llama_quantize(source, out, file_type):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = FTYPES[file_type]
    if llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(params)) != 0:
        sys.exit(f"llama.cpp could not quantize {source}")


def cosines(ours, theirs):
    ours, theirs = np.concatenate(ours), np.concatenate(theirs)
    return (ours * theirs).sum(1) / np.sqrt((ours**2).sum(1) * (theirs**2).sum(1))


def files(target):
    good = True
    print(f"{'checkpoint':10} {'type':8} {'cosine min':>10} {'mean':>9}  types, metadata")
    for checkpoint in ("tied-f32", "k256-f16", "long-bf16"):
        source = GOLDEN / checkpoint
        prompts = json.loads((source / "expected.json").read_text())["prompts"]
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            for file_type in FTYPES:
                ours = directory / f"{file_type}.gguf"
                fetch_model(target, source, "--type", file_type, "--out", ours)
                result = directory / "logits.safetensors"
                golden = pathlib.Path(target) / "release" / "examples" / "golden"
                arguments = ["logits", ours, "--prompts", source / "expected.json", "--out", result]
                subprocess.run([golden, *arguments], check=True)
                logits = load_file(result)
                own = [logits[f"logits.{i}"].astype(np.float64) for i in range(len(prompts))]
                cosine = cosines(own, llama_logits(ours, prompts))
                theirs = directory / f"{file_type}.llama.gguf"
                llama_quantize(directory / "f16.gguf", theirs, file_type)
                same = compare_headers(ours, theirs)
                good &= cosine.min() >= 0.999 and not same
                print(f"{checkpoint:10} {file_type:8} {cosine.min():10.5f} {cosine.mean():9.6f}  {same or 'the same'}")
    return good


def compare_headers(ours, theirs):
    """What differs between two files beside the values; types of rows that no super-block fills may."""
    a, b = tensors_of(ours), tensors_of(theirs)
    found = [] if a.keys() == b.keys() else ["tensor names"]
    for name in a.keys() & b.keys():
        if a[name].tensor_type != b[name].tensor_type and a[name].shape[0] % 256 == 0:
            found.append(f"{name}: {a[name].tensor_type.name}, llama.cpp {b[name].tensor_type.name}")
    value = lambda reader: {key: field.contents() for key, field in reader.fields.items() if key[:5] != "GGUF."}
    a, b = (value(gguf.GGUFReader(path)) for path in (ours, theirs))
    return "; ".join(found + [key for key in a.keys() | b.keys() if a.get(key) != b.get(key)])


def speed(target, source):
    with tempfile.TemporaryDirectory() as name:
        out, start = pathlib.Path(name) / "out.gguf", time.monotonic()
        print(fetch_model(target, source, "--type", "q4_k_m", "--out", out).splitlines()[-1])
        seconds = time.monotonic() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        weights = sum(int(tensor.n_elements) for tensor in gguf.GGUFReader(out).tensors)
        print(f"{seconds:.1f} s, {weights / seconds / 1e6:.1f} million weights a second, peak memory {peak:.0f} MiB")
    return True


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--speed", metavar="DIR")
    parser.add_argument("--target", default=ROOT / "target")
    args = parser.parse_args()
    llama_cpp.llama_log_set(QUIET, ctypes.c_void_p(0))
    everything = not (args.errors or args.files or args.speed)
    good = True
    if args.errors or everything:
        good &= errors(args.target)
    if args.files or everything:
        good &= files(args.target)
    if args.speed:
        good &= speed(args.target, args.speed)
    sys.exit(0 if good else "quantization differs from llama.cpp's")


if __name__ == "__main__":
    main()
