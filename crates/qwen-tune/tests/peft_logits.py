"""Compares an adapter of tune-model, merged by qwen-runtime, with the same adapter in Python's peft.

    pip install torch transformers peft safetensors
    python peft_logits.py --base DIR --adapter DIR            # writes prompts.json beside this call
    cargo run --release -p examples --example golden -- \\
        logits DIR --adapter DIR --prompts prompts.json --engine cpu --out ours.safetensors
    python peft_logits.py --base DIR --adapter DIR --ours ours.safetensors

The logits of both must agree within 1e-3, and those of the base alone must not. It takes a gigabyte of
packages, so it is run by hand and not with the tests.
"""

import argparse
import json
import pathlib
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = [
    "Patient: female, born 1994\nAllergies: Penicillin (Rash, mild)\nWhen was I born?",
    "Current medications:\n- Zorvimab 35mg: Take 1 tablet at bedtime\nWhat are my current medications?",
    "I have chest pain.",
]

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--base", required=True)
arguments.add_argument("--adapter", required=True)
arguments.add_argument("--prompts", default="prompts.json")
arguments.add_argument("--ours")
arguments = arguments.parse_args()

if arguments.ours is None:
    tokenizer = AutoTokenizer.from_pretrained(arguments.base)
    chats = [[{"role": "user", "content": text}] for text in TEXTS]
    prompts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False) for chat in chats]
    pathlib.Path(arguments.prompts).write_text(json.dumps({"prompts": prompts}))
    print(f"{arguments.prompts}: {[len(prompt) for prompt in prompts]} tokens")
    sys.exit()

prompts = json.loads(pathlib.Path(arguments.prompts).read_text())["prompts"]
ours = load_file(arguments.ours)
base = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model, prompt):
    with torch.no_grad():
        return model(torch.tensor([prompt])).logits[0]


plain = [logits(base, prompt) for prompt in prompts]
adapted = PeftModel.from_pretrained(base, arguments.adapter).eval()
worst = 0.0
for index, prompt in enumerate(prompts):
    theirs = logits(adapted, prompt)
    difference = (theirs - ours[f"logits.{index}"]).abs().max().item()
    change = (theirs - plain[index]).abs().max().item()
    print(f"prompt {index}: {len(prompt)} tokens, off by {difference:.2e}; the adapter changes up to {change:.2f}")
    worst = max(worst, difference)
    assert change > 0.1, "the adapter changes nothing"
assert worst < 1e-3, worst
