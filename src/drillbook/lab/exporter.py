"""Exports the number of PostgreSQL sessions to Prometheus. The metrics are named as in postgres_exporter.

``python -m drillbook.lab.exporter PORT SERVER-PORT PASSWORD-FILE [ADDRESS]`` answers on PORT.

The exporter connects as a superuser, because a superuser can connect even when all ordinary connections are taken. It keeps
this session open.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg

from drillbook.lab.layout import ADDRESS

QUERY = """\
SELECT coalesce(datname, '') AS datname, coalesce(state, '') AS state, count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' GROUP BY 1, 2 ORDER BY 1, 2"""
WITHIN_MS = 500


class Exporter(HTTPServer):
    """HTTP server that answers the requests of Prometheus (scrapes) one at a time."""

    def __init__(self, port: int, server_port: int, password: Path, address: str = ADDRESS) -> None:
        """Listen on ``port`` for scrapes. ``server_port``: port of the PostgreSQL server to monitor."""
        super().__init__((address, port), _Handler)
        self.at, self.password = server_port, password
        self.session: psycopg.Connection | None = None

    def render(self) -> str:
        """Return the metrics as text. ``pg_up`` is 0 when the server does not answer."""
        try:
            if self.session is None or self.session.closed:
                self.session = psycopg.connect(
                    host=ADDRESS,
                    port=self.at,
                    user="postgres",
                    dbname="postgres",
                    connect_timeout=2,
                    autocommit=True,
                    password=self.password.read_text(encoding="ascii"),
                    application_name="exporter",
                    options=f"-c statement_timeout={WITHIN_MS}",
                )
            rows = self.session.execute(QUERY).fetchall()
        except (psycopg.Error, OSError):
            if self.session is not None:
                self.session.close()
            self.session = None
            return "# TYPE pg_up gauge\npg_up 0\n"
        counts = [f'pg_stat_activity_count{{datname="{name}",state="{state}"}} {count}' for name, state, count in rows]
        return "\n".join(["# TYPE pg_up gauge", "pg_up 1", "# TYPE pg_stat_activity_count gauge", *counts]) + "\n"


class _Handler(BaseHTTPRequestHandler):
    timeout = 1
    server: Exporter

    def do_GET(self) -> None:
        body = self.server.render().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Log nothing, because there is a scrape every second."""


if __name__ == "__main__":
    Exporter(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:]).serve_forever()
