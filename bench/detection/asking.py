"""Create each artefact of the corpus, check it with Drillbook and then with the other tools, and store the results."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from bench.detection import files, mariadb, pgbackrest, postgres
from bench.detection.tools import Case, Tool
from tests.artefacts import WHOLE, Artefact, Corpus

TOOLS: dict[str, Callable[[Any], AbstractContextManager[list[Tool]]]] = {
    "pg_dump": postgres.tools,
    "pgbackrest": pgbackrest.tools,
    "mariadb_dump": mariadb.dump_tools,
    "mariabackup": mariadb.physical_tools,
    "restic": files.restic_tools,
    "tar": files.tar_tools,
    "sqlite": files.sqlite_tools,
    "redis_rdb": files.rdb_tools,
    "redis_aof": files.aof_tools,
}
"""Other tools, by driver."""


@contextmanager
def folder() -> Iterator[Path]:
    """Folder that other users can enter, because servers on copies run as another user."""
    path = Path(tempfile.mkdtemp(prefix="drillbook-corpus-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def asked(corpus: Corpus) -> Iterator[dict[str, Any]]:
    """Check all artefacts of a corpus. Yield one result for each."""
    with folder() as place, corpus.opened(place) as origin, TOOLS[corpus.driver](origin) as tools:
        for artefact in corpus.artefacts:
            with folder() as root:
                yield {
                    "driver": corpus.driver,
                    "name": artefact.name,
                    "damage": artefact.damage,
                    "wanted": list(artefact.findings),
                    **_answers(artefact, Case(origin, artefact.lay(origin, root), root), tools),
                }


def _answers(artefact: Artefact, case: Case, tools: list[Tool]) -> dict[str, Any]:
    """Run Drillbook's check, its restore if a rehearsal is needed, and the other tools."""
    found = case.estate.found_by_check()
    rehearsed = artefact.seen_by == "restore" or artefact.damage == WHOLE
    by_restore = case.estate.found_by_restore() if rehearsed else []
    return {
        "check": found,
        "rehearsal": by_restore if rehearsed else None,
        "exact": found == artefact.expected("check") and by_restore == artefact.expected("restore"),
        "tools": {tool.name: _answer(tool, case) for tool in tools},
    }


def _answer(tool: Tool, case: Case) -> bool | None:
    try:
        return tool.noticed(case)
    except Exception as error:  # noqa: BLE001  a trial that cannot be carried out on a broken artefact is noticed
        print(f"{case.root.name}: {tool.name}: {type(error).__name__}: {error}")
        return True
