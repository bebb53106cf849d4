"""deploy/terraform, parsed: blocks with their labels, and what in a value is code and what is text."""

import pathlib

import hcl2

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CODE = ROOT / "deploy" / "terraform"
# What the parser puts into a block, so that it is not taken for the value of an argument.
IS_BLOCK = "__is_block__"


def folders():
    """Every folder with configuration."""
    return sorted({file.parent for file in CODE.rglob("*.tf") if ".terraform" not in file.parts})


def parse(text):
    return plain(hcl2.loads(text if text.endswith("\n") else text + "\n"))


def plain(value):
    """The same without comments, and with labels and names without their quotes; values keep theirs."""
    if isinstance(value, dict):
        items = ((name, item) for name, item in value.items() if name == IS_BLOCK or not name.startswith("__"))
        return {unquoted(name): plain(item) for name, item in items}
    return [plain(item) for item in value] if isinstance(value, list) else value


def unquoted(text):
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def is_block(value):
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and IS_BLOCK in one for one in value)


def blocks(documents, kind, labels):
    """The blocks of a kind in a folder: their labels, and what is in them."""
    for document in documents:
        for block in document.get(kind, []):
            yield from labelled(block, labels)


def labelled(block, labels, before=()):
    if labels == 0:
        yield before, {name: item for name, item in block.items() if name != IS_BLOCK}
        return
    for label, inner in block.items():
        if label != IS_BLOCK:
            yield from labelled(inner, labels - 1, (*before, label))


def leaves(value, name=None):
    """Every value that is no list and no map, with the name that it stands behind; and each computed name."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key.startswith("${"):
                yield name, key
            yield from leaves(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, name)
    else:
        yield name, value


def split(leaf):
    """What in a value is code, and the texts in it."""
    if not isinstance(leaf, str):
        return "", []
    code, texts = [], []
    scan(leaf[2:-1] if leaf.startswith("${") and leaf.endswith("}") else leaf, 0, None, code, texts)
    return "".join(code), texts


def scan(text, at, end, code, texts):
    """Code until `end`; texts in quotes are left out, what they interpolate is not."""
    depth = 0
    while at < len(text):
        char = text[at]
        if char == '"':
            at = quoted(text, at + 1, code, texts)
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            if depth == 0 and end == "}":
                return at + 1
            depth -= 1
        code.append(char)
        at += 1
    return at


def quoted(text, at, code, texts):
    said = []
    code.append('"')
    while at < len(text) and text[at] != '"':
        if text.startswith(("$${", "%%{"), at):
            said.append(text[at : at + 3])
            at += 3
        elif text.startswith(("${", "%{"), at):
            code.append(" ")
            at = scan(text, at + 2, "}", code, texts)
            code.append(" ")
        else:
            width = 2 if text[at] == "\\" else 1
            said.append(text[at : at + width])
            at += width
    texts.append("".join(said))
    code.append('"')
    return at + 1
