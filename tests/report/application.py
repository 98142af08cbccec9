"""Small web application for recorded runs, which fails while something on host a is broken."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from drillbook.hosts.fake import Call, Reply
from tests.machine.world import World


@dataclass(slots=True)
class Application:
    """Serves ``/``, and stores records at ``/records``.

    A repair of host a restores the records that existed at its last check.
    """

    world: World
    flaps: bool = False
    """While host a is broken, only every other request fails."""
    hangs: bool = False
    """While host a is broken, requests get no answer at all."""
    forgets: bool = False
    """The first reading of the records after a repair fails."""
    says: str = "down"
    """Text of the answers while host a is broken."""
    records: list[str] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    unreadable: bool = False

    def __post_init__(self) -> None:
        """Observe the commands of host a that check and repair it."""
        self._follow("whole", self._save)
        self._follow("mend", self._restore)

    def _follow(self, word: str, then: Callable[[bool], None]) -> None:
        host = self.world.hosts["a"]
        act = host.commands[(word,)]

        def done(call: Call) -> Reply:
            broken = self.broken
            reply = act(call)
            if reply.exit == 0:
                then(broken)
            return reply

        host.on(word, done)

    def _save(self, broken: bool) -> None:
        if not broken:
            self.saved = list(self.records)

    def _restore(self, broken: bool) -> None:
        if broken:
            self.records, self.unreadable = list(self.saved), self.forgets

    @property
    def broken(self) -> bool:
        """True while something on host a is broken."""
        return any(host == "a" for host, _ in self.world.things())

    @property
    def down(self) -> bool:
        """True while requests get an error."""
        return self.broken and not (self.flaps and int(time.monotonic() * 4) % 2)

    def answer(self, method: str, path: str, body: str) -> tuple[int, str]:
        """Return status and text of the answer to a request."""
        while self.hangs and self.down:
            time.sleep(0.01)
        if self.down:
            return 503, self.says
        if path != "/records":
            return 200, "ok"
        if method == "POST":
            self.records.append(body)
            return 201, ""
        if method == "DELETE":
            self.records = []
            return 204, ""
        if self.unreadable:
            self.unreadable = False
            return 500, "cannot read the records"
        return 200, "\n".join(self.records)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve during the `with` block, which yields the URL. While the application hangs, connections wait."""
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                status, text = application.answer(self.command, self.path, body)
                self.wfile.write(f"HTTP/1.0 {status} {text if status == 503 else ''}\r\n\r\n{text}".encode())

            do_GET = do_POST = do_DELETE = reply  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(http.server.HTTPServer if application.hangs else http.server.ThreadingHTTPServer):  # type: ignore[misc]
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """Ignore clients that closed the connection before the answer."""

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()
