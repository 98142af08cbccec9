"""Encryption and decryption of files on hosts with the program `age`. The files do not pass through the controller.

Recipients are public, so they are passed as arguments. Secret keys are passed on standard input, and are never written to a
disk of the host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from drillbook.errors import NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.encryption import SUFFIX, Encryption, key_lost, need_library
from drillbook.sdk.host import Deadline, Host, printable
from drillbook.sdk.service import S3
from drillbook.sdk.transfer import Carrier, File

MISSING = 43
"""Exit status of the scripts when the program `age`, which encrypts files, is not on the host."""
# FOLDER -r RECIPIENT...: encrypt the files named on standard input; each is removed once its encrypted file is written.
_ENCRYPT = f"""
umask 077
command -v age >/dev/null || exit {MISSING}
cd -- "$1" || exit 1
shift
while IFS= read -r name; do
  age "$@" -o "./$name{SUFFIX}" -- "./$name" || exit 1
  rm -f -- "./$name"
done
"""
# KEEP: standard input contains secret keys, an empty line, then two lines for each file: the paths of the encrypted and of
# the plain file. If KEEP is empty, the encrypted file is removed. The plain part of a damaged file is always removed.
_DECRYPT = f"""
umask 077
command -v age >/dev/null || exit {MISSING}
keys=
while IFS= read -r line && test -n "$line"; do
  keys="$keys$line
"
done
while IFS= read -r from && IFS= read -r to; do
  printf %s "$keys" | age --decrypt --identity - -- "$from" > "$to" || {{ rm -f -- "$to"; echo "$from"; exit 1; }}
  test -n "$1" || rm -f -- "$from"
done
"""
_NO_KEY = "no identity matched"
_DAMAGED = re.compile(r"failed to (read header|decrypt and authenticate|read chunk)|unexpected EOF|trailing data|last chunk")


def need_age(host: Host, deadline: Deadline) -> None:
    """Check that ``host`` has the program `age`. Raises NotReady when the program is missing."""
    if not host.run(("sh", "-c", "command -v age"), deadline=deadline).ok:
        raise _missing(host)


def need_transfer(ctx: Context, where: str) -> None:
    """Check that the step's host can transfer the files of a backup, and encrypt or decrypt them as the store requires.

    ``where``: location in the store. It is empty when the store is not known before the run. In this case, the encryption
    rules of all stores are checked. Raises NotReady when a program is missing, or when a key is invalid.
    """
    Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
    all_stores = [service for service in ctx.services.values() if isinstance(service, S3)]
    used = [store for store in ([ctx.bucket(where)] if where else all_stores) if store.encrypt or store.identity]
    for store in used:
        need_library(store.encrypt)
    if used:
        need_age(ctx.host, ctx.deadline)


def encrypt(carrier: Carrier, folder: str, files: Sequence[File], rule: Encryption, part_size: int) -> list[File]:
    """Replace files in ``folder`` by encrypted files. ``files``: the files to replace. Returns the encrypted files. The
    field ``plain`` of each encrypted file describes the file that it replaced.

    Raises StepFailed when encryption fails. Raises NotReady when the program ``age`` is not installed on the host. Raises
    HostError when the host fails.
    """
    recipients = [word for recipient in rule.age for word in ("-r", recipient)]
    names = "".join(f"{file.name}\n" for file in files).encode("utf-8", "surrogateescape")
    argv = ("sh", "-c", _ENCRYPT, "sh", folder, *recipients)
    output = carrier.host.run(argv, deadline=carrier.deadline, stdin=names)
    if output.exit == MISSING:
        raise _missing(carrier.host)
    if not output.ok:
        raise StepFailed(f"{carrier.host.name}: age did not encrypt the backup: {_said(output.stderr)}")
    plain = {f"{file.name}{SUFFIX}": file for file in files}
    sealed = carrier.survey(folder, part_size)
    if sorted(file.name for file in sealed) != sorted(plain):
        raise StepFailed(f"{carrier.host.name}: {len(sealed)} files were encrypted instead of {len(plain)}")
    return [File(file.name, file.size, file.sha256, file.parts, plain[file.name]) for file in sealed]


def decrypt(
    host: Host, deadline: Deadline, keys: Sequence[str], files: Sequence[tuple[str, str]], *, keep: bool = False
) -> None:
    """Decrypt files on ``host``. ``files``: pairs of two paths. The first is that of the encrypted file, and the second is
    that of the plain file to write. When ``keep`` is true, the encrypted files stay.

    Raises StepFailed with the finding ``backup-key-lost`` or ``backup-damaged``. Raises NotReady when the program ``age`` is
    not installed on the host. Raises HostError when the host fails.
    """
    pairs = "".join(f"{source}\n{target}\n" for source, target in files)
    given = ("\n".join(keys) + "\n\n" + pairs).encode("utf-8", "surrogateescape")
    argv = ("sh", "-c", _DECRYPT, "sh", "keep" if keep else "")
    output = host.run(argv, deadline=deadline, stdin=given)
    if output.ok:
        return
    if output.exit == MISSING:
        raise _missing(host)
    name, said = output.text.strip().rpartition("/")[2], _said(output.stderr)
    if _NO_KEY in said:
        raise key_lost(name, "an identity that belongs to one of the backup's recipients", said)
    if _DAMAGED.search(said):
        wrong = finding(
            "backup-damaged", title=name, wanted="a complete file encrypted with age", measured=said, host=host.name
        )
        raise StepFailed(f"{name} cannot be decrypted: {said}", findings=[wrong])
    raise StepFailed(f"{host.name}: age did not decrypt {name}: {said}")


def _said(error: bytes) -> str:
    """Return the error that the program `age` printed, without the line that asks for bug reports."""
    lines = [line for line in printable(error, limit=65536).splitlines() if "age: report unexpected" not in line]
    return "; ".join(lines).removeprefix("age: error: ").strip()[:600]


def _missing(host: Host) -> NotReady:
    return NotReady(
        f"{host.name} has no program age, which is needed for encrypted backups",
        hint="install the package `age` on that host",
    )
