"""A real HTTP server that takes webhooks, or fails, hangs and redirects as it is told; it checks signatures by hand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
DEADLINE_S = 30.0
LOCALHOST = Path(__file__).parent / "data" / "localhost.pem"
"""Certificate and key of `localhost`, signed by itself, good for a hundred years; trusted by nobody who is not told to."""


def hmac_by_hand(key: bytes, said: bytes) -> bytes:
    """RFC 2104, without the module that the sender uses."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(one ^ 0x36 for one in padded) + said).digest()
    return hashlib.sha256(bytes(one ^ 0x5C for one in padded) + inner).digest()


@dataclass
class Receiver:
    """Answers as it is told, the last answer for ever: a status, or "hang", or bytes."""

    script: list[object] = field(default_factory=lambda: [200])
    taken: list[dict[str, object]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Id of every attempt."""
    came: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        name, moment = handler.headers["webhook-id"], handler.headers["webhook-timestamp"]
        said = f"{name}.{moment}.".encode() + body
        assert handler.headers["webhook-signature"] == "v1," + base64.b64encode(hmac_by_hand(KEY, said)).decode()
        assert abs(int(moment) - time.time()) < 60
        self.seen.append(name)
        how = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if how == "hang":
            self.came.set()
            self.release.wait(DEADLINE_S)
        elif isinstance(how, bytes):
            handler.wfile.write(how)
        else:
            if how == 200:
                self.taken.append(json.loads(body))
            handler.send_response(int(str(how)))
            handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
            handler.end_headers()
        self.came.set()


@contextlib.contextmanager
def receiving(tls: bool = False) -> Iterator[Receiver]:
    """One on a free port of this machine; `tls`: with the certificate of LOCALHOST."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(LOCALHOST)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    where = "https://localhost" if tls else "http://127.0.0.1"
    found.url = f"{where}:{server.server_address[1]}/hook?a=1"
    yield found
    found.release.set()
    server.shutdown()
    thread.join()
    server.server_close()
