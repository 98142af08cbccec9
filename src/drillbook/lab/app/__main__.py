"""Run the document API with settings from the environment: ``python -m drillbook.lab.app``."""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any

from drillbook.lab.app.settings import Settings, SettingsError


def _taken(host: str, port: int) -> str:
    """Return the reason why the port cannot be used, or an empty text.

    The port is tested before the server starts, so that the program fails at once if the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return str(error.strerror or error)
    return ""


def main() -> int:
    """Serve the document API until the supervisor stops the process. Return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.load()
    except SettingsError as error:
        logging.error("%s", error)
        return 78
    if taken := _taken(settings.host, settings.port):
        logging.error("cannot listen on port %d: %s", settings.port, taken)
        return 71
    # The imports are slow: if a loaded machine delays the bind, the supervisor counts the start as a success before it
    # fails.
    import uvicorn  # noqa: PLC0415  slow to load

    from drillbook.lab.app import serving  # noqa: PLC0415  slow to load

    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "access_log": False,
        "log_config": None,
        "timeout_graceful_shutdown": 1,
    }
    if settings.workers == 1:
        uvicorn.run(serving.application(), **options)
    else:
        serving.begin()
        uvicorn.run("drillbook.lab.app.serving:application", factory=True, workers=settings.workers, **options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
