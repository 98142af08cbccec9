"""Commands of the runbook of a rehearsal: a shell runs them as a person would, and the restored data is there."""

import re
import shlex
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from drillbook.cli import make_runbook
from drillbook.judge.result import Verdict
from tests.e2e.test_rehearsals import need_programs
from tests.needs import need

BLOCK = re.compile(r"  - by hand, in bash on [^(\n]*?(?:\(`(ssh [^`]*)`\))?:\n\n    ```sh\n(.*?)\n    ```\n", re.DOTALL)
STOPS = {
    "rehearse-database": 'pg_ctl --pgdata="$folder/data" --mode=immediate stop',
    "rehearse-wal": 'pg_ctl --pgdata="$folder/data" --mode=immediate stop',
    "rehearse-cache": 'redis-cli -s "$folder/redis.sock" shutdown nosave',
    "rehearse-cache-log": 'redis-cli -s "$folder/redis.sock" shutdown nosave',
    "rehearse-shop-dump": 'kill "$(cat "$folder/pid")"; wait',
    "rehearse-shop-stream": 'kill "$(cat "$folder/pid")"; wait',
}
ROWS = (
    'psql --host="$folder" --username=postgres --tuples-only --no-align --dbname=dpa '
    "--command='SELECT count(*) > 1000 FROM documents'"
)
ASKED = {
    "rehearse-database": ROWS,
    "rehearse-wal": ROWS,
    "rehearse-cache": 'test "$(redis-cli -s "$folder/redis.sock" dbsize)" -gt 0 && echo t',
    "rehearse-cache-log": 'test "$(redis-cli -s "$folder/redis.sock" dbsize)" -gt 0 && echo t',
    "rehearse-files": "find \"$folder/data\" -name '7.html' | grep -q . && echo t",
    "rehearse-archives": "find \"$folder/data\" -name '7.html' | grep -q . && echo t",
    "rehearse-guestbook": 'test -s "$folder/data/guestbook.db" && echo t',
    "rehearse-shop-dump": (
        'mariadb --no-defaults --socket="$folder/server.sock" --user=root --skip-column-names '
        "--execute=\"SELECT IF(COUNT(*) > 0, 't', 'f') FROM shop.purchase\""
    ),
}
ASKED["rehearse-shop-stream"] = ASKED["rehearse-shop-dump"]
QUESTIONS = {"rehearse-cache-log", "rehearse-database", "rehearse-wal", "rehearse-shop-dump", "rehearse-shop-stream"}
"""Drills with a question to the copy that a person can ask with one command."""


def folder_of(page):
    """Folder into which the commands on ``page`` restore the copy."""
    return Path(re.search(r"folder=(/\S+)", page)[1])


def asked(page, folder):
    """Commands on ``page`` that ask the restored copy, one after another."""
    found = [textwrap.dedent(text) for _, text in BLOCK.findall(page.partition("\n## Verify")[2])]
    return "\n".join(text for text in found if str(folder) in text)


def typed(name, page, secrets):
    """Result of the restore's commands on ``page``, typed where it says. ``secrets``: answers to its questions."""
    restore = page.partition("\n## Restore the service\n")[2].partition("\n## ")[0]
    folder = folder_of(page)
    for path in (folder, Path(f"{folder}.backup")):
        shutil.rmtree(path, ignore_errors=True)
    found = [(login, textwrap.dedent(text)) for login, text in BLOCK.findall(restore)]
    stop = f'test -n "$folder" && {STOPS.get(name, "true")}'
    try:
        for login, text in found:
            script = f"set -e -o pipefail\n{text}"
            if login:
                script = f"trap {shlex.quote(stop)} EXIT\n{script}\necho ANSWER\n{ASKED[name]}\n{asked(page, folder)}\n"
            done = subprocess.run(
                [*shlex.split(login), shlex.join(["bash", "-c", script])] if login else ["bash", "-c", script],
                input="".join(f"{secret}\n" for secret in secrets),
                capture_output=True,
                text=True,
                timeout=120,
                cwd="/",
                check=False,
            )
            if done.returncode:
                break
    finally:
        for path in (folder, Path(f"{folder}.backup")):
            shutil.rmtree(path, ignore_errors=True)
    return done


SECRETS = {"rehearse-files": ("restic", "s3_key", "s3_secret")}


@pytest.mark.parametrize("name", sorted(ASKED))
def test_the_commands_of_a_runbook_restore_the_backup(bench, name):
    need_programs(name)
    if name == "rehearse-files":
        need("restic")
    plan = bench.plan(name)
    last = plan.phase("backup")[-1].id
    page = make_runbook.page(plan, "lab")
    secrets = [bench.secret(secret) for secret in SECRETS.get(name, ())]
    seen = []

    def observe(event):
        if event.kind == "done" and event.step == last:
            seen.append(typed(name, page, secrets))

    _, view = bench.run(plan, observer=observe)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    [done] = seen
    said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, said
    assert done.stdout.rpartition("ANSWER\n")[2].split()[:1] == ["t"], said
    assert "<folder of the restored copy>" not in page
    assert bool(asked(page, folder_of(page))) == (name in QUESTIONS)
    assert "pg_catalog" not in done.stdout, "the tables of PostgreSQL itself are listed among those of the copy"
    assert not [secret for secret in secrets if secret in page + done.stdout + done.stderr]
