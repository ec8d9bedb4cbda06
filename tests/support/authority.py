"""A time-stamping authority on loopback: real certificates and real tokens, made by the `openssl` program."""

import contextlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[stamping]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


class Authority:
    """`address` to ask, `ca` the file of its root; `asked` counts the requests. `answer` may be set to lie: it is called
    with the right answer and gives status and bytes."""

    def __init__(self, folder: Path, name: str = "Test time") -> None:
        assert shutil.which("openssl"), (
            "These tests need the program openssl (Debian: apt install openssl) to act as authority."
        )
        self.folder, self.ca, self.asked, self.answer = folder, folder / "ca.pem", 0, None
        (folder / "conf").write_text(CONFIG.format(folder=folder, name=name))
        (folder / "serial").write_text("01\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-config", "conf"]
        self._run("req", "-x509", *key, "-extensions", "root", "-days", "3650", "-keyout", "ca.key", "-out", "ca.pem")
        self._run("req", *key, "-subj", f"/CN={name} unit", "-keyout", "tsa.key", "-out", "tsa.csr")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-days", "3650", "-extfile", "conf", "-extensions", "stamping"]
        self._run("x509", "-req", "-in", "tsa.csr", *signed, "-out", "tsa.pem")
        self.address = ""

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def reply(self, query: bytes) -> bytes:
        """Return the answer to a request, as bytes."""
        (self.folder / "query").write_bytes(query)
        self._run("ts", "-reply", "-config", "conf", "-section", "one", "-queryfile", "query", "-out", "reply")
        return (self.folder / "reply").read_bytes()

    def holds(self, response: bytes, message: bytes) -> bool:
        """Say whether openssl, which knows nothing of us, finds that a token is of the message."""
        (self.folder / "held").write_bytes(response)
        (self.folder / "message").write_bytes(message)
        check = ["openssl", "ts", "-verify", "-in", "held", "-data", "message", "-CAfile", "ca.pem"]
        return subprocess.run(check, cwd=self.folder, check=False, capture_output=True).returncode == 0


@contextlib.contextmanager
def serving(authority: Authority) -> Iterator[Authority]:
    """Serve an authority on a free port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            authority.asked += 1
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if authority.answer is not None:
                status, body = authority.answer(self, query)
                if status is None:
                    return
            else:
                status, body = 200, authority.reply(query)
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    authority.address = f"http://127.0.0.1:{server.server_port}/tsa"
    try:
        yield authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
