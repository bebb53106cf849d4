"""Starts chat-server as each overlay would: its variables, arguments, ports, paths, probes, and the signal of its end.

    start.py PROGRAMS BUILT    BUILT has the manifests that build.py made

Volumes are folders, Secrets are made up, the Hub and vLLM are on loopback, and PostgreSQL is a server of its own where
POSTGRES_BIN names its programs.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

from local_hub import Hub
from local_peers import postgres, remote_model
from pods import MODEL, one, variables

QUESTION = {"patient_mrn": "P000123", "query": "What are my current medications?"}


def expect(holds, text):
    if not holds:
        raise SystemExit(f"{text}: that is not what should be")


class Pod:
    """chat-api of a manifest, with a folder for each of its volumes."""

    def __init__(self, manifest, scratch, secrets):
        self.objects = list(yaml.safe_load_all(manifest.read_text()))
        self.deployment = one(self.objects, "Deployment", "chat-api")
        self.spec = self.deployment["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        self.secrets = secrets
        self.volumes = {volume["name"]: self.volume(volume, scratch) for volume in self.spec["volumes"]}
        self.working = scratch / "app"
        self.working.mkdir()

    def volume(self, volume, scratch):
        folder = scratch / volume["name"]
        folder.mkdir()
        if "configMap" in volume:
            for name, text in one(self.objects, "ConfigMap", volume["configMap"]["name"])["data"].items():
                (folder / name).write_text(text)
        if "persistentVolumeClaim" in volume:
            one(self.objects, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        return folder

    def environment(self, container, peers):
        """Its variables; a path is in the folder that is mounted there, and must be mounted."""
        mounts = {mount["mountPath"]: self.volumes[mount["name"]] for mount in container["volumeMounts"]}
        result = {"HF_ENDPOINT": peers["hub"], "TMPDIR": str(mounts["/tmp"])}
        for name, value in variables(container, self.objects, self.secrets).items():
            if value.startswith("/"):
                mount = next((mount for mount in mounts if value == mount or value.startswith(mount + "/")), None)
                expect(mount, f"{name}={value} is on no volume, and the file system is read-only")
                value = str(mounts[mount]) + value.removeprefix(mount)
            result[name] = value.replace("//vllm:8000", peers["vllm"])
        return result

    def port(self, name):
        return next(port["containerPort"] for port in self.container["ports"] if port["name"] == name)

    def probe(self, kind):
        get = self.container[kind]["httpGet"]
        return f"http://127.0.0.1:{self.port(get['port'])}{get['path']}"

    def service(self):
        """Where the service leads."""
        spec = next(
            it["spec"] for it in self.objects if it["kind"] == "Service" and it["metadata"]["name"] == "chat-api"
        )
        labels = self.deployment["spec"]["template"]["metadata"]["labels"]
        expect(spec["selector"].items() <= labels.items(), "the service selects these pods")
        return f"http://127.0.0.1:{self.port(spec['ports'][0]['targetPort'])}"

    def metrics(self):
        """Where Prometheus looks."""
        annotations = self.deployment["spec"]["template"]["metadata"]["annotations"]
        return f"http://127.0.0.1:{annotations['prometheus.io/port']}{annotations['prometheus.io/path']}"


def get(url, body=None):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:
        return None, None


@contextlib.contextmanager
def running(command, environment, folder, log):
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait(process, seconds, ready, what):
    deadline = time.monotonic() + seconds
    while not ready():
        expect(process.poll() is None and time.monotonic() < deadline, f"{what} within {seconds} s")
        time.sleep(0.1)


def start(programs, pod, peers, log):
    for container in pod.spec.get("initContainers", []):
        program, *arguments = container["command"]
        environment = pod.environment(container, peers)
        done = subprocess.run([programs / program, *arguments], env=environment, cwd=pod.working, stdout=log, stderr=log)
        expect(done.returncode == 0, f"{container['name']}: exit code {done.returncode}")
    environment = pod.environment(pod.container, peers)
    # This build knows no GPU, and says so. What else there is to see is seen on a processor.
    if environment.get("DEVICE") == "cuda":
        with running([programs / "chat-server"], environment, pod.working, log) as process:
            wait(process, 60, lambda: "cuda" in json.dumps(get(pod.probe("readinessProbe"))[1]), "/ready names cuda")
        environment["DEVICE"] = "cpu"
    # Of the Hub's answers, what the init container brought is enough.
    if pod.spec.get("initContainers"):
        environment["HF_HUB_OFFLINE"] = "1"
    with running([programs / "chat-server"], environment, pod.working, log) as process:
        startup = pod.container["startupProbe"]
        seconds = startup["periodSeconds"] * startup["failureThreshold"]
        wait(process, seconds, lambda: get(pod.probe("startupProbe"))[0] == 200, "the startup probe answers")
        expect(get(pod.probe("livenessProbe"))[0] == 200, "the liveness probe answers")
        wait(process, 120, lambda: get(pod.probe("readinessProbe"))[0] == 200, "the readiness probe answers")
        status, answer = get(f"{pod.service()}/triage", QUESTION)
        expect(status == 200 and answer["llm_mode"] == environment["LLM_MODE"], f"/triage answers {status} {answer}")
        with urllib.request.urlopen(pod.metrics(), timeout=30) as metrics:
            # What the HorizontalPodAutoscaler goes by.
            expect(b"carepath_answers_in_progress{" in metrics.read(), "the metrics name answers in progress")
        process.send_signal(signal.SIGTERM)
        # What it has to do is bounded by this; the kubelet would wait for the rest of it.
        hook = pod.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        left = pod.spec["terminationGracePeriodSeconds"] - hook - int(environment["SHUTDOWN_TIMEOUT"])
        expect(left > 0 and process.wait(left) == 0, "it ends before it is killed, with exit code 0")
    return answer


def main(programs, built):
    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hub = stack.enter_context(Hub(programs / "examples" / "fake_hub", scratch / "hub", MODEL))
        database = stack.enter_context(postgres())
        peers = {"hub": hub.url, "vllm": stack.enter_context(remote_model(MODEL))}
        secrets = {("vllm-api-key", "key"): "made-up-key"}
        if database:
            secrets["chat-api-database", "url"] = database
        for manifest in sorted(built.iterdir()):
            if "\nkind: Deployment\n" not in manifest.read_text():
                continue
            name = manifest.stem
            (scratch / name).mkdir()
            pod = Pod(manifest, scratch / name, secrets)
            environment = pod.environment(pod.container, peers)
            if environment.get("DATABASE_URL") == "?":
                expect("REQUIRE_POSTGRES" not in os.environ, "POSTGRES_BIN is not set")
                print(f"started: {name} skipped, as there is no PostgreSQL")
                continue
            with open(scratch / name / "log", "w+") as log:
                try:
                    answer = start(programs, pod, peers, log)
                except SystemExit:
                    log.seek(0)
                    sys.stderr.write(f"{name}:\n{log.read()[-4000:]}\n")
                    raise
            print(f"started: {name} answers with llm_mode {answer['llm_mode']}, model {answer['model']}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]))
