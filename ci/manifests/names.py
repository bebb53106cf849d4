"""Every variable that a deployment sets for our programs is one of their settings.

    names.py PROGRAMS BUILT    BUILT has the manifests that build.py made
"""

import pathlib
import re
import subprocess
import sys

import yaml

from local_hub import ROOT
from pods import containers, variables

# What the HTTP client itself reads.
PROXIES = {"HTTPS_PROXY", "NO_PROXY"}


def settings(programs):
    text = subprocess.run([programs / "chat-server", "settings"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return set(re.findall(r"^#([A-Z][A-Z0-9_]*)=", text, re.MULTILINE))


def named(built):
    """Where a variable is named, and the variable."""
    for manifest in sorted(built.iterdir()):
        objects = list(yaml.safe_load_all(manifest.read_text()))
        for container in containers(objects):
            if container["image"].startswith("carepath/chat-api"):
                for variable in variables(container, objects, {}):
                    yield f"{manifest.stem}: {container['name']}", variable
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    for variable in compose["services"]["chat-api"]["environment"]:
        yield "compose.yaml", variable
    for dockerfile in (ROOT / "deploy").glob("Dockerfile*"):
        last = dockerfile.read_text().rsplit("\nFROM ", 1)[1]
        for block in re.findall(r"^ENV (.*(?:\\\n.*)*)", last, re.MULTILINE):
            for variable in re.findall(r"([A-Z][A-Z0-9_]*)=", block):
                yield dockerfile.name, variable
    for file in (ROOT / "deploy" / "terraform").rglob("*.tf*"):
        for variable in re.findall(r"^\s+([A-Z][A-Z0-9_]+)\s+=|\{ ([A-Z][A-Z0-9_]+) =", file.read_text(), re.MULTILINE):
            yield file.relative_to(ROOT / "deploy").as_posix(), "".join(variable)


def main(programs, built):
    known = settings(programs) | PROXIES
    pairs = set(named(built))
    unknown = sorted(pair for pair in pairs if pair[1] not in known)
    for where, variable in unknown:
        print(f"{where}: {variable} is no setting", file=sys.stderr)
    places = {where for where, _ in pairs}
    print(f"variables: {len({variable for _, variable in pairs})} in {len(places)} places, {len(unknown)} unknown")
    if unknown or not any("terraform" in place for place in places):
        raise SystemExit(1)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
