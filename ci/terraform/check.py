"""Whether names in deploy/terraform lead somewhere, and secrets stay out of it.

Modules get every argument that they must have and none that they do not; variables, locals, resources and outputs
that are referred to exist, and none is left over; the example names variables; what the container gets are settings
of .env.example. It prints every fault, and exits with 1 where there is one.
"""

import re
import sys

from source import CODE, IS_BLOCK, ROOT, blocks, folders, leaves, parse, split, unquoted

FILES = {"main.tf", "variables.tf", "outputs.tf", "versions.tf"}
META = {"source", "count", "for_each", "depends_on", "providers", "version"}
NAME = r"[A-Za-z_][\w-]*"
REFERENCE = re.compile(rf"(?<![\w.\"])(data\.)?({NAME})\.({NAME})((?:\[[^\]]*\])?\.({NAME}))?")
# Words that begin something else than a reference to a resource.
OTHER = {"each", "count", "path", "terraform", "self"}
SECRET = re.compile(
    r"hf_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}|\bsk-[A-Za-z0-9]{16,}|://[^/\s:\"…]+:[^/\s@\"…]+@|BEGIN [A-Z ]*PRIVATE KEY"
)
SECRET_NAME = re.compile(r"password|secret|token|api_key|private_key")
# They are about secrets, and hold none.
NOT_SECRET = {"http_tokens", "automount_service_account_token"}


class Folder:
    """One module, or the environment."""

    def __init__(self, path):
        self.path = path
        self.name = str(path.relative_to(ROOT))
        documents = [parse(file.read_text()) for file in sorted(path.glob("*.tf"))]
        self.variables = {labels[0]: body for labels, body in blocks(documents, "variable", 1)}
        self.outputs = {labels[0]: body for labels, body in blocks(documents, "output", 1)}
        self.calls = {labels[0]: body for labels, body in blocks(documents, "module", 1)}
        self.locals = {name: value for _, body in blocks(documents, "locals", 0) for name, value in body.items()}
        self.resources = dict(blocks(documents, "resource", 2))
        self.data = dict(blocks(documents, "data", 2))
        self.providers = [body for _, body in blocks(documents, "provider", 1)]
        self.versions = [body for _, body in blocks(documents, "terraform", 0)]
        self.iterators = set()
        everything = [self.variables, self.outputs, self.calls, self.locals, self.resources, self.data, self.providers]
        self.leaves = [leaf for part in everything for value in part_values(part) for leaf in leaves(value)]
        for part in everything:
            for value in part_values(part):
                self.iterators |= set(iterators(value))

    def references(self):
        """(kind, name, attribute): var, local, module, resource or data, without those of loops."""
        for name, leaf in self.leaves:
            if name == "description":
                continue
            code, _ = split(leaf)
            loops = self.iterators | {
                part.strip() for loop in re.findall(r"\bfor\s+([\w\s,]+?)\s+in\b", code) for part in loop.split(",")
            }
            for data, first, second, _, third in REFERENCE.findall(code):
                if not data and first in loops | OTHER:
                    continue
                if first in ("var", "local", "module"):
                    yield first, second, third
                elif data:
                    yield "data", (first, second), third
                else:
                    yield "resource", (first, second), third
            # module.gpu[*].name, which ends with a bracket where the pattern wants a name.
            for module, output in re.findall(rf"\bmodule\.({NAME})\[\*\]\.({NAME})", code):
                yield "module", module, output


def part_values(part):
    return part.values() if isinstance(part, dict) else part


def iterators(value):
    """Names that `dynamic` blocks give to what they go through."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "dynamic":
                yield from (label for one in item for label in one if label != IS_BLOCK)
            yield from iterators(item)
    elif isinstance(value, list):
        for item in value:
            yield from iterators(item)


def dotted(name):
    return name if isinstance(name, str) else ".".join(name)


def names(folder):
    """Faults of one folder, by itself."""
    missing = FILES - {file.name for file in folder.path.glob("*.tf")}
    yield from (f"{file} is missing" for file in sorted(missing))
    for kind, things in (("variable", folder.variables), ("output", folder.outputs)):
        for name, body in things.items():
            if not unquoted(str(body.get("description", ""))).strip():
                yield f"{kind} {name} has no description"
    yield from (f"variable {name} has no type" for name, body in folder.variables.items() if "type" not in body)

    used = set()
    known = {
        "var": folder.variables,
        "local": folder.locals,
        "module": folder.calls,
        "resource": folder.resources,
        "data": folder.data,
    }
    for kind, name, _ in folder.references():
        used.add((kind, name))
        if name not in known[kind]:
            yield f"{kind} {dotted(name)} is not declared"
    for kind in ("var", "local", "data"):
        yield from (f"{kind} {dotted(name)} is not used" for name in known[kind] if (kind, name) not in used)


def calls(folder, all_folders):
    """Faults between a folder and the modules that it uses."""
    for name, body in folder.calls.items():
        path = (folder.path / unquoted(body.get("source", ""))).resolve()
        module = all_folders.get(path)
        if module is None:
            yield f"module {name}: {body.get('source')} is not a folder with configuration"
            continue
        passed = set(body) - META
        required = {variable for variable, declared in module.variables.items() if "default" not in declared}
        yield from (
            f"module {name}: {module.name} has no variable {one}" for one in sorted(passed - set(module.variables))
        )
        yield from (f"module {name}: {one} must be passed" for one in sorted(required - passed))
    for kind, name, attribute in folder.references():
        if kind == "module" and name in folder.calls and attribute:
            module = all_folders.get((folder.path / unquoted(folder.calls[name]["source"])).resolve())
            if module and attribute not in module.outputs:
                yield f"module.{name}.{attribute}: {module.name} has no such output"


def example(environment):
    text = (environment.path / "terraform.tfvars.example").read_text()
    live = parse(text)
    commented = re.findall(rf"^# ({NAME})\s+= ", text, re.MULTILINE)
    for name in [*live, *commented]:
        if name not in environment.variables:
            yield f"terraform.tfvars.example: there is no variable {name}"
    return live


def settings():
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def container(app, environment):
    """Whether what the container gets are chat-server's settings, and none that is secret lies in the clear."""
    known = settings()
    given = set()
    for value in (app.locals["config"], app.locals["secret_env"]):
        for _, leaf in leaves(value):
            given |= set(re.findall(r"\b([A-Z][A-Z0-9_]+)\s*=(?!=)", split(leaf)[0]))
    for folder in (app, environment):
        given |= set(folder.variables["secret_env"]["default"])
    live = parse((environment.path / "terraform.tfvars.example").read_text())
    given |= set(live.get("extra_env", {})) | set(live.get("secret_env", {}))
    forbidden = set()
    for _, leaf in leaves(app.variables["extra_env"]["validation"]):
        forbidden |= {text for text in split(leaf)[1] if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", text)}
    if not {"LLM_MODE", "MODEL", "DATABASE_URL"} <= given or not forbidden:
        yield "the container's settings were not found: this check must be changed with modules/app"
    yield from (f"{name} is not a setting of .env.example" for name in sorted((given | forbidden) - known))
    secrets = {name for name in known if re.search(r"(TOKEN|API_KEY)$", name)} | {"DATABASE_URL"}
    yield from (f"{name} is a secret, which extra_env must refuse" for name in sorted(secrets - forbidden))

    shutdown = re.search(r'SHUTDOWN_TIMEOUT\s*=\s*"(\d+)"', str(app.locals["config"]))
    deployment = app.resources["kubernetes_deployment_v1", "this"]
    grace = [leaf for name, leaf in leaves(deployment) if name == "termination_grace_period_seconds"]
    if not shutdown or len(grace) != 1 or int(grace[0]) < int(shutdown[1]) + 10:
        yield "the grace period must be longer than SHUTDOWN_TIMEOUT"


def secrets(folder):
    for name, leaf in folder.leaves:
        texts = split(leaf)[1]
        if name and SECRET_NAME.search(name) and name not in NOT_SECRET and any(texts):
            yield f"{name} = {leaf} may be a secret"


def literal_secrets():
    for file in sorted(CODE.rglob("*")):
        if file.is_file() and ".terraform" not in file.parts:
            for number, line in enumerate(file.read_text().splitlines(), 1):
                if SECRET.search(line):
                    yield f"{file.relative_to(ROOT)}:{number} looks like a secret"


def pins(all_folders):
    wanted = {}
    for folder in all_folders:
        for body in folder.versions:
            for provider in body.get("required_providers", []):
                for name, pin in provider.items():
                    if name == IS_BLOCK:
                        continue
                    if wanted.setdefault(name, pin) != pin:
                        yield f"{folder.name}: another version of {name} than elsewhere"
        if not folder.versions or not all("required_version" in body for body in folder.versions):
            yield f"{folder.name}: no required_version"


def main():
    all_folders = {path: Folder(path) for path in folders()}
    environment = all_folders[CODE / "envs" / "demo"]
    app = all_folders[CODE / "modules" / "app"]
    faults = []
    for folder in all_folders.values():
        for check in (names(folder), calls(folder, all_folders), secrets(folder)):
            faults += [f"{folder.name}: {fault}" for fault in check]
    called = {(environment.path / unquoted(body["source"])).resolve() for body in environment.calls.values()}
    faults += [
        f"{folder.name} is used by nobody"
        for path, folder in all_folders.items()
        if path not in called | {environment.path}
    ]
    faults += [*example(environment), *container(app, environment), *literal_secrets(), *pins(all_folders.values())]
    for fault in dict.fromkeys(faults):
        print(fault, file=sys.stderr)
    if faults:
        return 1
    resources = sum(len(folder.resources) for folder in all_folders.values())
    variables = sum(len(folder.variables) for folder in all_folders.values())
    print(f"names: ok ({len(all_folders)} folders, {resources} resources, {variables} variables)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
