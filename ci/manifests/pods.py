"""What manifests say of their containers."""

# The model of those that have one in their process.
MODEL = "Qwen/Qwen3-4B-Thinking-2507"


def one(objects, kind, name):
    """The only object of that kind whose name begins so: generated ones end with a digest."""
    found = [it for it in objects if it["kind"] == kind and it["metadata"]["name"].startswith(name)]
    if len(found) != 1:
        raise SystemExit(f"{len(found)} objects {kind}/{name}")
    return found[0]


def containers(objects):
    for it in objects:
        pod = it.get("spec", {}).get("template", {}).get("spec", {})
        yield from pod.get("initContainers", [])
        yield from pod.get("containers", [])


def variables(container, objects, secrets):
    """The container's environment; a secret that is not in `secrets` is there where it must be, as `?`."""
    result = {}
    for source in container.get("envFrom", []):
        result |= one(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        if "value" in variable:
            result[variable["name"]] = variable["value"]
            continue
        if reference := variable["valueFrom"].get("configMapKeyRef"):
            result[variable["name"]] = one(objects, "ConfigMap", reference["name"])["data"][reference["key"]]
            continue
        reference = variable["valueFrom"]["secretKeyRef"]
        value = secrets.get((reference["name"], reference["key"]))
        if value is not None or not reference.get("optional"):
            result[variable["name"]] = value or "?"
    return result
