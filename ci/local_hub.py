"""A Hub on loopback that serves the model of this repository, under any name."""

import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Hub:
    """`program` is model-cache's example `fake_hub`; what it serves lies in `folder`."""

    def __init__(self, program, folder, model):
        ignored = shutil.ignore_patterns("src", "Cargo.toml", "*.svg", "*.toml")
        shutil.copytree(ROOT / "models" / "triage-mini", folder / model, ignore=ignored)
        self.process = subprocess.Popen(
            [program, "--dir", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.kill()
        self.process.wait()
