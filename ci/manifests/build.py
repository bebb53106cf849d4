"""Builds every overlay of deploy/k8s, and the component that no overlay has, as `kubectl apply -k` would.

    build.py PROGRAMS OUT      kubectl is on the PATH; OUT gets one file for each
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from local_hub import ROOT, Hub
from pods import MODEL

LOCKED = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: carepath-demo
resources: [../cpu]
components: [../../components/locked-model]
"""


def build(folder, out):
    manifest = subprocess.run(["kubectl", "kustomize", folder], check=True, stdout=subprocess.PIPE).stdout
    (out / f"{folder.name}.yaml").write_bytes(manifest)


def lock(programs, scratch, file):
    """The lock file that a deployment's owner writes; here of what the Hub on loopback serves."""
    with Hub(programs / "examples" / "fake_hub", scratch / "hub", MODEL) as hub:
        environment = {"PATH": os.environ["PATH"], "HF_ENDPOINT": hub.url, "MODEL_CACHE_DIR": str(scratch / "models")}
        command = [programs / "fetch-model", "--lock", "--lock-file", file, "--progress", "none", MODEL]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def main(programs, out):
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        code = shutil.copytree(ROOT / "deploy" / "k8s", scratch / "k8s")
        lock(programs, scratch, code / "components" / "locked-model" / "models.lock")
        locked = code / "overlays" / "locked"
        locked.mkdir()
        (locked / "kustomization.yaml").write_text(LOCKED)
        for folder in [code / "efs", *sorted((code / "overlays").iterdir())]:
            build(folder, out)
    print("overlays:", ", ".join(sorted(file.stem for file in out.iterdir())))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
