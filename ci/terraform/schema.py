"""Whether every argument in deploy/terraform is one that its provider has, as far as bindings say.

    python ci/terraform/schema.py aws=LIB kubernetes=LIB     the lib folders of the npm packages @cdktf/provider-…

CDK for Terraform's bindings are made of the providers' schemas, and say of each argument its name, whether it must be
there, whether it is a block, and of which there may be several. `terraform validate` says more; it needs the
providers themselves.
"""

import pathlib
import re
import sys

from source import IS_BLOCK, folders, is_block, labelled, leaves, parse, split

META = {"count", "for_each", "depends_on", "provider", "lifecycle", "provisioner", "connection"}
FIELD = re.compile(
    r"/\*\*(?P<doc>(?:(?!\*/).)*?)\*/\s*readonly (?P<camel>\w+)(?P<optional>\??): (?P<type>[^;]*?);", re.DOTALL
)
INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
REFERENCE = r"(?<![\w.])(data\.)?((?:aws|kubernetes)_\w+)\.(\w+)(?:\[[^\]]*\])?\.(\w+)"


class Argument:
    def __init__(self, doc, optional, kind):
        self.required = not optional
        self.is_block = bool(re.search(r"^\s*\*?\s*\w+ block\s*$", doc, re.MULTILINE))
        self.struct = re.sub(r"\[\]|\s*\|.*", "", kind).strip()
        self.many = "[]" in kind


class Resource:
    """One type of resource or data source."""

    def __init__(self, folder):
        text = "\n".join(file.read_text() for file in sorted(folder.rglob("*.d.ts")))
        self.structs = {}
        for name, body in INTERFACE.findall(text):
            fields = {}
            for field in FIELD.finditer(body):
                snake = re.search(r"#(\w+) \w+#\1\}", field["doc"])
                fields[snake[1] if snake else field["camel"]] = Argument(field["doc"], field["optional"], field["type"])
            self.structs[name] = fields
        self.arguments = next(
            fields
            for name, fields in self.structs.items()
            if name.endswith("Config") and f"interface {name} extends" in text
        )
        self.attributes = set(self.arguments) | {
            snake_case(name) for name in re.findall(r"^    get (\w+)\(", text, re.MULTILINE)
        }
        self.version = re.search(r"providers/(hashicorp/\w+/[\d.]+)/", text)[1]


def snake_case(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


class Schemas:
    def __init__(self, libraries):
        self.libraries = {name: pathlib.Path(path) for name, path in (one.split("=", 1) for one in libraries)}
        self.read = {}

    def of(self, kind, name):
        """The type that Terraform calls `name`, or None."""
        if (kind, name) not in self.read:
            provider, _, rest = name.partition("_")
            folder = f"data-{provider}-{rest}" if kind == "data" else rest
            path = self.libraries[provider] / folder.replace("_", "-")
            is_there = (path / "index.d.ts").exists()
            # The bindings' own names can differ from Terraform's.
            if is_there and f'tfResourceType = "{name}"' not in (path / "index.d.ts").read_text():
                raise ValueError(f"{path} is not {name}")
            self.read[kind, name] = Resource(path) if is_there else None
        return self.read[kind, name]


def faults_of(resource, arguments, body, where):
    given = {name: value for name, value in body.items() if name not in (IS_BLOCK, "dynamic")}
    for one in body.get("dynamic", []):
        for label, inner in one.items():
            if label != IS_BLOCK:
                given.setdefault(label, [])
                given[label] = [*given[label], *[content | {IS_BLOCK: True} for content in inner["content"]]]
    for name, argument in arguments.items():
        if argument.required and name not in given:
            yield f"{where}: {name} must be there"
    for name, value in given.items():
        argument = arguments.get(name)
        if argument is None:
            yield f"{where}: there is no {name}"
        elif argument.is_block != is_block(value):
            yield f"{where}: {name} is {'a block' if argument.is_block else 'no block'}"
        elif argument.is_block:
            if len(value) > 1 and not argument.many:
                yield f"{where}: {name} can be there once"
            for block in value:
                yield from faults_of(resource, resource.structs[argument.struct], block, f"{where}.{name}")


def main():
    schemas = Schemas(sys.argv[1:])
    faults, versions, checked = [], set(), 0
    for folder in folders():
        documents = [parse(file.read_text()) for file in sorted(folder.glob("*.tf"))]
        for document in documents:
            for kind in ("resource", "data"):
                for block in document.get(kind, []):
                    for (name, label), body in labelled(block, 2):
                        where = f"{folder.name}: {name}.{label}"
                        resource = schemas.of(kind, name)
                        if resource is None:
                            faults.append(f"{where}: the provider has no such {kind}")
                            continue
                        versions.add(resource.version)
                        checked += 1
                        inner = {key: value for key, value in body.items() if key not in META}
                        faults += faults_of(resource, resource.arguments, inner, where)
            for _, leaf in leaves(document):
                for data, name, label, attribute in re.findall(REFERENCE, split(leaf)[0]):
                    resource = schemas.of("data" if data else "resource", name)
                    if resource and attribute not in resource.attributes:
                        faults.append(f"{folder.name}: {name}.{label} has no attribute {attribute}")
    for fault in dict.fromkeys(faults):
        print(fault, file=sys.stderr)
    if faults:
        return 1
    print(f"schemas: ok ({checked} resources and data sources, {' and '.join(sorted(versions))})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
