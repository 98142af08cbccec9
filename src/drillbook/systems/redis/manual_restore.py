"""Commands with which a person starts a Redis or Valkey server on a copy of its files, without Drillbook."""

from __future__ import annotations

import shlex
from dataclasses import replace

from drillbook.sdk import manual_move
from drillbook.sdk.manual_restore import Block, Files, ManualRestore, fetched

_AOF = 'aof=$(basename "$(printf \'%s\\n\' "${folder:?}"/data/appendonlydir/*.manifest | head -n 1)" .manifest)'
_ASK = 'redis-cli -s "${folder:?}/redis.sock"'
_UNTIL = (
    f'until test "$({_ASK} ping 2>&1)" = PONG; do sleep 1; tail -n 1 "${{folder:?}}/log"; done   '
    "# Ctrl-C when the log says why it ended"
)


def rdb(manual: ManualRestore, files: Files, program: str) -> list[Block]:
    """Return the commands that load an RDB file into a new server, which listens at a Unix socket only."""
    before, lines = fetched(manual, files)
    copy = 'mkdir "${folder:?}/data" && cp -- "$backup" "$folder/data/dump.rdb"'
    return [*before, manual.block(*lines, copy, *_serve(program, "--appendonly no --dbfilename dump.rdb", manual.folder))]


def move_rdb(manual: ManualRestore) -> str:
    """Return instructions, as sentences, for a person who makes the service load the restored RDB file."""
    data = manual.target.data or "the folder `dir` of the server"
    return manual_move.told(
        manual,
        f"stop the new server (`redis-cli -s {manual.folder}/redis.sock shutdown nosave`)",
        f"move `dump.rdb` and `appendonlydir` from {data} to another folder (the settings `dbfilename` and `appenddirname` of the "
        "server may contain other names for them)",
        f"copy {manual.folder}/data/dump.rdb to {data} under the name in `dbfilename`, and give it to the user of the server",
        "if the configuration has `appendonly yes`, change this to `appendonly no`, because otherwise the server "
        "does not read the RDB file",
        after=(
            "if the configuration had `appendonly yes`, run `redis-cli config set appendonly yes`, and change "
            "the configuration back"
        ),
    )


def aof(manual: ManualRestore, files: Files, program: str) -> list[Block]:
    """Return the commands that load append-only files into a new server. This server listens only at a Unix socket."""
    of_folder = 'test ! -e "$(printf \'%s\\n\' "${backup%/*}"/*.manifest | head -n 1)" || backup=${backup%/*}'
    before, lines = fetched(manual, replace(files, whole=of_folder))
    copy = (
        'mkdir "${folder:?}/data" && if test -d "$backup"; then cp -r -- "$backup" "$folder/data/appendonlydir"',
        'else cp -- "$backup" "$folder/data/appendonly.aof"; fi',
        f'{_AOF}; test -d "${{folder:?}}/data/appendonlydir" || aof=appendonly.aof',
    )
    options = '--appendonly yes --appendfilename "$aof" --appenddirname appendonlydir --aof-load-truncated no'
    return [*before, manual.block(*lines, *copy, *_serve(program, options, manual.folder))]


def _serve(program: str, options: str, folder: str) -> tuple[str, ...]:
    server = shlex.quote(program) if program else "$(command -v valkey-server || command -v redis-server)"
    return (
        f'{server} --port 0 --unixsocket "${{folder:?}}/redis.sock" --dir "$folder/data" {options} \\',
        '  --save "" --daemonize yes --logfile "$folder/log" --pidfile "$folder/redis.pid"',
        _UNTIL,
        f"{_ASK} dbsize",
        f"# stop the server: redis-cli -s {shlex.quote(folder)}/redis.sock shutdown nosave",
    )
