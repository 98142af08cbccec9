"""Commands with which a person restores a backup without Drillbook. The runbook of a drill shows them.

The commands restore into a new folder, and change nothing that exists. They ask for passwords, and never contain them.

A person pastes the commands into an interactive shell. After a failed command, this shell continues with the next command in
the present folder. So every path is absolute, and begins with ``"${folder:?}"``: bash does not run such a command when the
variable is not set. The commands unset the variable when the folder already exists, or when no backup was found.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from drillbook.sdk.encryption import SUFFIX
from drillbook.sdk.host import Target
from drillbook.sdk.service import Service
from drillbook.values import Secret

CONTROLLER = ""
"""Value of ``Block.host`` when the commands are typed on the machine that runs Drillbook."""
_LOGIN = re.compile(r"://[^/\s]*:[^/\s]*@")
"""Pattern of an address that contains a password."""
_NAMED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST = 70
"""Maximum number of characters of the variable part of the folder's name. This part contains the names of the target and of the
source. The limit is needed because the path of a Unix socket in the folder may have at most 107 characters.
"""
STOP = "unset folder   # no command below does anything:"
"""Shell command that unsets the variable ``folder``. All later commands need this variable, so they fail before they do
anything. The reason is appended as a comment.
"""
DONE = ': > "${folder:?}/restored"'
"""Shell command that follows a complete restore of the data. It creates a file which shows that the restore is complete.
Later commands move nothing into a service if this file is missing.
"""
_FOUND = f'test -e "$backup" || {STOP} there is no such backup'
_FILE = '"${folder:?}/backup"'
_SHOWN = 'ls -ld -- "$backup" ${second:+"$second"}'
_ARRIVED = '"${folder:?}.backup/whole"'
_OWN = f'test -O "${{folder:?}}.backup" && test ! -L "$folder.backup" || {STOP} another user owns the copied backup'


@dataclass(frozen=True, slots=True)
class Block:
    """Commands that a person types into one shell (bash)."""

    host: str
    """Host on which the person types the commands: its name in the inventory, or ``CONTROLLER``."""
    run_as: str
    """User as whom the person runs the shell. Empty: the SSH user."""
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ManualRestore:
    """The restore of one step: the target, the selected backup, and the hosts and services of the inventory."""

    hosts: Mapping[str, Target]
    services: Mapping[str, Service]
    target: Service
    source: str
    """Name of the backup source."""
    at: str = "latest"
    """Selection of the backup, as in the step: `latest`, the id of a backup, or a time with its offset from UTC."""

    @property
    def folder(self) -> str:
        """New folder on the target's host into which the backup is restored."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{self.target.name}-{self.source}")
        return f"/var/tmp/by-hand-{name[:_LONGEST]}"

    @property
    def moment(self) -> datetime | None:
        """Time that selects the backup. It is None when `at` is not a time."""
        try:
            moment = datetime.fromisoformat(self.at)
        except ValueError:
            return None
        return moment if moment.tzinfo else None

    @property
    def chosen(self) -> str:
        """Id of the selected backup. It is empty when the step selects the newest backup or a time, or when an earlier step
        sets the id.
        """
        return "" if self.at in ("", "latest") or self.moment or "{{" in self.at else self.at

    def block(self, *lines: str) -> Block:
        """Return a block of commands for a shell on the target's host."""
        return Block(self.target.host, self.target.run_as, tuple(filter(None, lines)))

    def begin(self) -> tuple[str, ...]:
        """Return the commands that make the new folder, and set ``folder`` to its path."""
        return (
            f"umask 077; folder={shlex.quote(self.folder)} backup= second=",
            f'mkdir -- "$folder" || {STOP} the folder exists already',
        )


def ssh(target: Target, hosts: Mapping[str, Target]) -> str:
    """Return the command that logs in to ``target`` from the machine that runs Drillbook. The result is empty for a local
    host.
    """
    if target.local:
        return ""
    words = ["ssh"]
    if jump := hosts.get(target.gateway):
        at = f":{jump.port}" if jump.port else ""
        words += ["-J", f"{f'{jump.user}@' if jump.user else ''}{jump.address or jump.name}{at}"]
    words += ["-p", str(target.port)] if target.port else []
    words += ["-i", target.identity] if target.identity else []
    words += ["-o", f"UserKnownHostsFile={target.known_hosts}"] if target.known_hosts else []
    words.append(f"{f'{target.user}@' if target.user else ''}{target.address or target.name}")
    return shlex.join(words)


def secret(variable: str, value: Secret | str, *, exported: bool = True) -> str:
    """Return the command that sets the shell variable ``variable`` to ``value``.

    If ``value`` is a secret, or an address with a password, the command asks the person for the value. Otherwise, the command
    contains the value.
    """
    export = "export " if exported else ""
    if isinstance(value, str) and not _LOGIN.search(value):
        return f"{export}{variable}={shlex.quote(value)}"
    said = f"{variable} ({value.of if isinstance(value, Secret) else 'as in the inventory'}): "
    return f"read -rsp {shlex.quote(said)} {variable}" + (f"; export {variable}" if exported else "")


def path_of(*folders: str) -> str:
    """Return the command that extends PATH. The first of ``folders`` that is not empty is added at the beginning of PATH,
    and /usr/sbin at the end. If all of ``folders`` are empty, /usr/local/sbin, /usr/sbin and /sbin are added at the end.
    """
    named = [shlex.quote(folder) for folder in folders if folder]
    return f"PATH={named[0]}:$PATH:/usr/sbin" if named else 'PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"'


def search(manual: ManualRestore, place: str, pattern: str, *, by_name: bool = False) -> str:
    """Return the shell command that prints the path of the backup file to restore: the file that `at` names, or else the
    newest file that matches ``pattern``. ``place``: the folder of the file, or the file itself. ``by_name``: true when the
    last name in alphabetical order is the newest file.
    """
    if manual.chosen:
        path = f"{place.rstrip('/')}/{manual.chosen}"
        return f'printf "%s\\n" {_word(path)}'
    words = ["find", _word(place), "-type f", "-path" if "/" in pattern else "-name", f'"{_escaped(_whole(pattern))}"']
    if moment := manual.moment:
        words.append(f'! -newermt "{moment.isoformat()}"')
    form = "%p\\n" if by_name else "%T@ %p\\n"
    command = f'{" ".join(words)} -printf "{form}" | sort {"" if by_name else "-n "}| tail -n 1'
    return command if by_name else f'{command} | cut -d " " -f 2-'


def _word(text: str) -> str:
    """Quote a word of the shell. Double quotes are easier to read than single quotes inside a command that is quoted again."""
    return text if shlex.quote(text) == text else f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", text)


def _whole(pattern: str) -> str:
    return f"*/{pattern}" if "/" in pattern else pattern or "*"


@dataclass(frozen=True, slots=True)
class Files:
    """Files of a backup, and the place from which a person fetches them."""

    name: str
    """Name of the backup source."""
    host: str
    run_as: str
    at: Secret | str | tuple[str, ...]
    pattern: str
    by_name: bool = False
    identity: Secret | None = None
    beside: str = ""
    """Text behind the name of the backup in the command that packs the backup into an archive. With ``*``, the command also
    packs all files whose names begin with the name of the backup.
    """
    whole: str = ""
    """Shell command that corrects the shell variable ``backup`` when a backup is a folder. The command that searches for the
    newest backup finds files only. So for a folder, the variable first contains the path of a file in this folder, and this
    command replaces it with the path of the folder. For a backup that is a single file, it changes nothing.
    """
    second: str = ""
    """Shell pattern for the names of further files that are in the same place as the backup, and that a restore also needs.
    The path of the newest matching file is stored in the shell variable ``second``. Empty: no further file is needed.
    """

    @property
    def in_folder(self) -> bool:
        """True when the backups are in a folder on a host."""
        return isinstance(self.at, str) and self.at.startswith(("/", "sftp://"))


def fetched(manual: ManualRestore, files: Files) -> tuple[list[Block], tuple[str, ...]]:
    """Return the commands that fetch the selected backup: blocks for the controller, if any, and the first commands on the
    target's host.

    After these commands, the shell variable ``folder`` contains the path of the new folder. The variable ``backup`` contains
    the path of the backup.
    """
    at = files.at
    if isinstance(at, str) and at.startswith("s3://"):
        return [], (*manual.begin(), *_from_bucket(manual, at, files.pattern), _FOUND, *_decrypted(files))
    if isinstance(at, Secret) or (isinstance(at, str) and at.startswith(("http://", "https://"))):
        lines = (secret("url", at, exported=False), f'curl -fsSLo {_FILE} -- "$url" && backup={_FILE}')
        return [], (*manual.begin(), *lines, _FOUND, *_decrypted(files))
    if isinstance(at, str) and at.startswith("sftp://"):
        host, _, path = at.removeprefix("sftp://").partition("/")
        files = replace(files, host=host, at=f"/{path}", run_as="")
    if files.host == manual.target.host:
        if isinstance(files.at, tuple):
            printed = f"{shlex.join(files.at)} > {_FILE} && backup={_FILE}"
            return [], (*manual.begin(), printed, _FOUND, *_decrypted(files))
        return [], (*manual.begin(), *_searched(manual, files), _FOUND, _SHOWN, *_decrypted(files))
    return [_carried(manual, files)], (*manual.begin(), *_arrived(files), _FOUND, _SHOWN, *_decrypted(files))


def _searched(manual: ManualRestore, files: Files) -> tuple[str, ...]:
    """Return the commands for the shell on the host of the files. The commands set the shell variable ``backup`` to the path of
    the selected backup. If a restore needs a further file, they set ``second`` to its path."""
    commands = [f"backup=$({search(manual, str(files.at), files.pattern, by_name=files.by_name)})"]
    newest = replace(manual, at="latest")
    commands += [f"second=$({search(newest, str(files.at), files.second, by_name=files.by_name)})"] if files.second else []
    return (*commands, *filter(None, (files.whole,)))


def _arrived(files: Files) -> tuple[str, ...]:
    """Return the commands for the shell on the target's host after the files were copied to this host. The commands set the
    shell variable ``backup`` to the path of the backup. If there is a further file, they set ``second`` to its path."""
    if not files.second:
        return (_OWN, f"backup=$(find {_ARRIVED} -mindepth 1 -maxdepth 1 | sort | head -n 1)")
    name = shlex.quote(files.second.rpartition("/")[2])
    listing = f"find {_ARRIVED} -mindepth 1 -maxdepth 1"
    return (_OWN, f"backup=$({listing} ! -name {name})", f"second=$({listing} -name {name})")


def _carried(manual: ManualRestore, files: Files) -> Block:
    """Return the command that copies the backup from its host to the target's host through the controller."""
    if isinstance(files.at, tuple):
        there = shlex.join(files.at)
        put = "cat > {0}/part/backup && test -s {0}/part/backup"
    else:
        check = 'test -e "$backup" || { echo "there is no such backup" >&2; exit 1; }'
        pack = f'cd "${{backup%/*}}/" && tar -cf - "./${{backup##*/}}"{files.beside}'
        pack += ' ${second:+-C "${second%/*}/" "./${second##*/}"}' if files.second else ""
        there = "; ".join((*_searched(manual, files), check, pack))
        put = "tar -C {0}/part -xf -"
    folder = shlex.quote(f"{manual.folder}.backup")
    here = f"umask 077; mkdir {folder} && mkdir {folder}/part && {put.format(folder)} && mv {folder}/part {folder}/whole"
    source = _remote(manual, files.host, files.run_as, there)
    return Block(CONTROLLER, "", (f"{source} |", f"  {_remote(manual, manual.target.host, manual.target.run_as, here)}"))


def _remote(manual: ManualRestore, host: str, run_as: str, command: str) -> str:
    words = f"sudo -n -u {shlex.quote(run_as)} sh -c {shlex.quote(command)}" if run_as else command
    login = ssh(manual.hosts[host], manual.hosts)
    if login:
        return f"{login} {shlex.quote(words)}"
    return words if run_as else f"sh -c {shlex.quote(words)}"


def _from_bucket(manual: ManualRestore, at: str, pattern: str) -> tuple[str, ...]:
    """Return the commands of the AWS client that copy one object. The object is the selected backup if its id is known.
    Otherwise, it is the newest object below the prefix. If a time is selected, objects that are newer than this time are
    ignored.
    """
    bucket, _, prefix = at.removeprefix("s3://").partition("/")
    store = next((service for service in manual.services.values() if getattr(service, "bucket", "") == bucket), None)
    lines = []
    for variable, field in (("AWS_ACCESS_KEY_ID", "access_key"), ("AWS_SECRET_ACCESS_KEY", "secret_key")):
        if (value := getattr(store, field, None)) is not None:
            lines.append(secret(variable, value))
    endpoint = getattr(store, "endpoint", "")
    region = getattr(store, "region", "")
    lines += [f"export AWS_ENDPOINT_URL={shlex.quote(endpoint)}"] if endpoint else []
    lines += [f"export AWS_DEFAULT_REGION={shlex.quote(region)}"] if region else []
    ends = re.sub(r"^.*[*?\]]", "", pattern)
    rules = [f"ends_with(Key, '{ends}')"] if ends and _NAMED.search(ends) else []
    if moment := manual.moment:  # the times of objects are text in UTC, with and without fractions of a second
        after = moment.astimezone(UTC).replace(microsecond=0, tzinfo=None) + timedelta(seconds=1)
        rules.append(f"LastModified < '{after.isoformat()}'")
    query = f"sort_by(Contents[{'?' if rules else ''}{' && '.join(rules)}], &LastModified)[-1].Key"
    listed = shlex.join(["aws", "s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix, "--query", query])
    key = shlex.quote(f"{prefix}{manual.chosen}") if manual.chosen else f"$({listed} --output text)"
    lines += [f"key={key}", f'aws s3 cp "s3://{bucket}/$key" "${{folder:?}}/" && backup=${{folder:?}}/${{key##*/}}']
    return tuple(lines)


def _decrypted(files: Files) -> Sequence[str]:
    if files.identity is None:
        return ()
    return (
        secret("key", files.identity, exported=False),
        f'plain=${{folder:?}}/plain-$(basename "$backup" {SUFFIX})',
        'age --decrypt --identity <(printf "%s\\n" "$key") --output "${plain:?}" "$backup" && backup=$plain',
        f'test "$backup" = "$plain" || {STOP} the backup was not decrypted',
    )


def unpacked(pattern: str) -> str:
    """Return the command that prints the decompressed content of ``$backup``. ``pattern``: pattern of the names of backups."""
    programs = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd", "lz4": "lz4"}
    program = programs.get(pattern.removesuffix(SUFFIX).rpartition(".")[2])
    if program:
        return f'{program} -dc -- "$backup"'
    tests = " ".join(f'*.{end}) {name} -dc -- "$backup" ;;' for end, name in programs.items())
    return f'case $backup in {tests} *) cat -- "$backup" ;; esac'
