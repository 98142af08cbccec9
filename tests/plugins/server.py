"""Ledger server: `server.py FILE` serves the lines of FILE on a free port and prints the port; the file FILE.frozen
freezes it.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import unquote

FILE = Path(sys.argv[1])
LOCK = Lock()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            self.answer(503 if self.frozen else 200)
        else:
            with LOCK:
                self.answer(200, FILE.read_bytes())

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.frozen:
            self.answer(503)
            return
        with LOCK:
            lines = FILE.read_text().splitlines()
            number = 1 + int(lines[-1].partition(" ")[0]) if lines else 1
            with FILE.open("a") as file:
                file.write(f"{number} {text}\n")
        self.answer(201, str(number).encode())

    def do_DELETE(self):
        begin = unquote(self.path).removeprefix("/lines/")
        with LOCK:
            kept = [line for line in FILE.read_text().splitlines() if not line.partition(" ")[2].startswith(begin)]
            FILE.write_text("".join(f"{line}\n" for line in kept))
        self.answer(200)

    @property
    def frozen(self):
        return Path(f"{FILE}.frozen").exists()

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


FILE.touch()
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
