"""What a deployment asks, on loopback: PostgreSQL, and a model server in the place of vLLM."""

import contextlib
import http.server
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time

# PostgreSQL does not run as root: then its processes are nobody's.
NOBODY = 65534


@contextlib.contextmanager
def postgres():
    """The address of a new database; None where POSTGRES_BIN is not set."""
    programs = os.environ.get("POSTGRES_BIN")
    if not programs:
        yield None
        return
    programs = pathlib.Path(programs)
    owner = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:
        if owner:
            os.chown(folder, NOBODY, NOBODY)
        data = pathlib.Path(folder) / "data"
        silent = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **owner}
        subprocess.run([programs / "initdb", "-D", data, "--username=carepath", "--no-sync"], check=True, **silent)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        listen = ["-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        server = subprocess.Popen([programs / "postgres", "-D", data, *listen], **silent)
        try:
            while subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode:
                if server.poll() is not None:
                    raise SystemExit("PostgreSQL does not start")
                time.sleep(0.1)
            yield f"postgres://carepath@127.0.0.1:{port}/postgres"
        finally:
            server.kill()
            server.wait()


class ChatCompletions(http.server.BaseHTTPRequestHandler):
    """OpenAI's chat completions, as a stream, to whoever shows a key; the reasoning is apart, as vLLM's parsers have it."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/chat/completions" or asked["model"] != self.server.model:
            return self.send_error(404)
        if not self.headers.get("authorization", "").startswith("Bearer "):
            return self.send_error(401)
        choices = [
            {"delta": {"reasoning_content": "I look."}},
            {"delta": {"content": "Take it with meals."}},
            {"delta": {}, "finish_reason": "stop"},
        ]
        lines = [json.dumps({"choices": [choice]}) for choice in choices] + ["[DONE]"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write("".join(f"data: {line}\n\n" for line in lines).encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def remote_model(name):
    """The host of a model server's address, with two slashes."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ChatCompletions)
    server.model = name
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"//127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
