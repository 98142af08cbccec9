"""Trees of files that tests archive in a real store, and lose."""

import hashlib
import itertools
import os
import shutil
from pathlib import Path

from drillbook.systems.files import manifest
from drillbook.systems.units.service import Process
from tests.systems.postgres.site import BUCKET

ROOT = os.geteuid() == 0


NUMBERS = itertools.count()


def planted(root):
    root.mkdir(parents=True)
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "plain").write_bytes(b"plain\n" * 1000)
    (root / "plain").chmod(0o4750)
    os.link(root / "plain", root / "sub" / "second")
    (root / "link").symlink_to("plain")
    (root / "dangling").symlink_to("../no/where")
    (root / "new\nline \\ü").write_text("odd name")
    (Path(os.fsdecode(os.fsencode(root) + b"/bad\xff"))).write_text("no utf-8")
    with (root / "sparse").open("wb") as file:
        file.truncate(8 << 20)
        file.seek(5 << 20)
        file.write(b"island")
    os.mkfifo(root / "pipe")
    os.setxattr(root / "plain", "user.origin", b"\0\xffvalue")
    os.setxattr(root / "sub", "user.folder", b"yes")
    if ROOT:
        os.chown(root / "sub" / "empty", 1234, 4321)
    (root / "sub" / "empty").chmod(0o2711)
    os.utime(root / "plain", (1, 1_000_000_000.25))
    return root


def run(place, name, *, ctx=None, **fields):
    ctx = ctx or context(place)
    return place.run(name, ctx=ctx, service="app", **fields)


def context(place, step="backup.1"):
    ctx = place.context(step=step)
    ctx.services["app"] = Process(name="app", host="db-1")
    return ctx


def archived(place, tree):
    return run(place, "files.archive", path=str(tree), to=f"s3://{BUCKET}/{tree.parent.name}")


def compression():
    return "zstd" if shutil.which("zstd") else None


def codes(failure):
    return [one.code for one in failure.value.findings]


def damaged(place, tree, change):
    key = f"{tree.parent.name}/{manifest.archive_name(compression())}"
    body = place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key=key, Body=change(body))


def flipped(body):
    return body[:100] + bytes([body[100] ^ 1]) + body[101:]


CONTENT = b"port = 5432\n\0\xff" * 40


def fingerprint(path):
    """Everything that the undo restores: content, identity, owner, permissions, times, attributes."""
    found = path.lstat()
    names = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return (
        hashlib.sha256(path.read_bytes()).hexdigest(),
        found.st_ino,
        found.st_uid,
        found.st_gid,
        found.st_mode,
        found.st_mtime_ns,
        found.st_nlink,
        names,
    )


def alone(path):
    return [entry.name for entry in path.parent.iterdir()] == [path.name]
