"""Repositories of a real restic as a corpus: intact ones, and ones with a single damage or mistake."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tests.artefacts import CHANGED, CUT, EMPTY, KEY, LOST, OLD, OTHER, WHOLE, Artefact, Corpus
from tests.needs import need
from tests.systems.estate import Estate

PASSWORD = "the password of a repository"


class Job:
    """Backup job of a team with restic: its folder, its repository, and its commands."""

    def __init__(self, root: Path) -> None:
        self.root, self.www, self.repository = root, root / "www", root / "repository"
        self.store = {}

    @property
    def env(self):
        own = {"PATH": os.environ["PATH"], "RESTIC_REPOSITORY": str(self.repository), "RESTIC_PASSWORD": PASSWORD}
        return own | self.store

    def restic(self, *words, prefix=(), status=0, cwd="/"):
        done = subprocess.run(
            [*prefix, "restic", *words, "--no-cache"],
            env=self.env,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    def backup(self, *words, **options):
        return self.restic("backup", "--quiet", "--host", "web-1", *(words or (str(self.www),)), **options)

    def files(self, kind):
        """Files of the repository, the largest first."""
        found = [path for path in (self.repository / kind).rglob("*") if path.is_file()]
        for path in found:
            path.chmod(0o600)
        return sorted(found, key=lambda path: -path.stat().st_size)


@contextmanager
def opened(folder: Path) -> Iterator[Job]:
    """Folder, and a repository with one snapshot of it; artefacts are copies of the repository."""
    need("restic")
    job = Job(folder)
    (job.www / "sub").mkdir(parents=True)
    (job.www / "page").write_text("hello\n" * 1000)
    (job.www / "sub" / "noise").write_bytes(os.urandom(600_000))
    (job.www / "private").write_text("s")
    (job.www / "private").chmod(0o600)
    (job.www / "link").symlink_to("page")
    job.restic("init")
    job.backup()
    yield job


def copied(original: Job, root: Path) -> Job:
    """The job with a separate repository."""
    made = Job(root)
    made.www = original.www
    shutil.copytree(original.repository, made.repository)
    return made


def estate(job, *, password=PASSWORD, folder=None, **source):
    os.environ["TEST_RESTIC"] = password
    given = {
        "kind": "restic",
        "repository": str(job.repository),
        "password": {"source": "env", "name": "TEST_RESTIC"},
        "paths": [str(job.www)],
        **source,
    }
    root = folder or job.root / "estate"
    root.mkdir()
    services = {"copy": {"kind": "folder", "sandbox": {}}, "site": {"kind": "folder", "path": str(job.www)}}
    return Estate(root, services=services, backups={"files": given})


def flip(path, share=0.5):
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0x40
    path.write_bytes(data)


DAMAGE = {
    "pack flipped": lambda job: flip(job.files("data")[0]),
    "pack of folders flipped": lambda job: flip(job.files("data")[-1]),
    "pack deleted": lambda job: job.files("data")[0].unlink(),
    "pack of folders deleted": lambda job: job.files("data")[-1].unlink(),
    "pack truncated": lambda job: os.truncate(job.files("data")[0], 1000),
    "pack emptied": lambda job: os.truncate(job.files("data")[0], 0),
    "packs swapped": lambda job: swap(*job.files("data")[:2]),
    "all packs deleted": lambda job: [path.unlink() for path in job.files("data")],
    "index deleted": lambda job: [path.unlink() for path in job.files("index")],
    "index flipped": lambda job: flip(job.files("index")[0]),
}
OPENING = {
    "snapshot flipped": ("backup-damaged", lambda job: flip(job.files("snapshots")[0])),
    "snapshot emptied": ("backup-damaged", lambda job: os.truncate(job.files("snapshots")[0], 0)),
    "key flipped": ("backup-damaged", lambda job: flip(job.files("keys")[0])),
    "configuration flipped": ("backup-damaged", lambda job: flip(job.repository / "config")),
    "keys deleted": ("backup-key-lost", lambda job: [path.unlink() for path in job.files("keys")]),
    "configuration deleted": ("backup-missing", lambda job: (job.repository / "config").unlink()),
    "repository deleted": ("backup-missing", lambda job: shutil.rmtree(job.repository)),
    "snapshot deleted": ("backup-missing", lambda job: job.files("snapshots")[0].unlink()),
}


def swap(one, other):
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def write_lock(job, *, age, exclusive=False):
    """Write a lock of another host as restic does: AES-256-CTR and Poly1305-AES with the repository's master key."""
    key = json.loads(job.restic("cat", "masterkey", "--no-lock"))
    encrypt, k, r = (base64.b64decode(value) for value in (key["encrypt"], key["mac"]["k"], key["mac"]["r"]))
    held = {"time": (datetime.now(UTC) - age).isoformat(), "exclusive": exclusive, "hostname": "web-9", "username": "backup"}
    nonce = os.urandom(16)
    sealed = encrypted(algorithms.AES(encrypt), modes.CTR(nonce), json.dumps({**held, "pid": 4711}).encode())
    mac = Poly1305.generate_tag(r + encrypted(algorithms.AES(k), modes.ECB(), nonce), sealed)
    data = nonce + sealed + mac
    (job.repository / "locks" / hashlib.sha256(data).hexdigest()).write_bytes(data)


def encrypted(algorithm, mode, data):
    cipher = Cipher(algorithm, mode).encryptor()
    return cipher.update(data) + cipher.finalize()


def lay(damage: Callable[[Job], object], **source: object) -> Callable[[Job, Path], Estate]:
    def laid(original: Job, root: Path) -> Estate:
        job = copied(original, root)
        damage(job)
        return estate(job, **source)

    return laid


def nights(*days: int) -> Callable[[Job], None]:
    """Snapshots of these ages in days, in a new repository."""

    def made(job: Job) -> None:
        shutil.rmtree(job.repository)
        job.restic("init")
        for ago in days:
            job.backup("--time", f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d %H:%M:%S}", str(job.www))

    return made


def damaged_newest(job: Job) -> None:
    """A damaged snapshot and an older intact one: restic lists the intact one, with exit status 0."""
    before = set(job.files("snapshots"))
    job.backup()
    flip((set(job.files("snapshots")) - before).pop())


def new_and_empty(job: Job) -> None:
    shutil.rmtree(job.repository)
    job.restic("init")


def not_mounted(job: Job) -> None:
    """An unmounted volume: restic exits with status 0."""
    job.www = job.root / "mount"
    job.www.mkdir()
    job.backup()


def shrunken(job: Job) -> None:
    shutil.copytree(job.www, job.root / "shop", symlinks=True)
    job.www = job.root / "shop"
    for ago in (4, 3, 2):
        job.backup("--time", f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d %H:%M:%S}", str(job.www))
    (job.www / "sub" / "noise").unlink()
    job.backup()


def abandoned(job: Job) -> None:
    write_lock(job, age=timedelta(minutes=40))


def wrong_password(original: Job, root: Path) -> Estate:
    return estate(copied(original, root), password="another")


def other_paths(original: Job, root: Path) -> Estate:
    (root / "ww").mkdir()
    job = copied(original, root)
    return estate(job, paths=[str(job.www), str(root / "ww")])


_SORTS = (("flipped", CHANGED), ("truncated", CUT), ("emptied", EMPTY), ("swapped", OTHER), ("deleted", LOST))


def _sort(what: str) -> str:
    return next(sort for word, sort in _SORTS if word in what)


ARTEFACTS = (
    Artefact("whole", WHOLE, (), lay(lambda job: None)),
    Artefact("whole: three nights", WHOLE, (), lay(nights(2, 1, 0), every="25h", max_age="26h")),
    *(Artefact(what, _sort(what), ("backup-damaged",), lay(damage)) for what, damage in DAMAGE.items()),
    *(
        Artefact(what, KEY if code == "backup-key-lost" else _sort(what), (code,), lay(damage))
        for what, (code, damage) in OPENING.items()
    ),
    Artefact("newest snapshot flipped beside an older one", CHANGED, ("backup-damaged",), lay(damaged_newest)),
    Artefact("wrong password", KEY, ("backup-key-lost",), wrong_password),
    Artefact("repository without a snapshot", EMPTY, ("backup-missing",), lay(new_and_empty)),
    Artefact("volume not mounted", EMPTY, ("backup-empty", "backup-shrunken"), lay(not_mounted)),
    Artefact("snapshots of other paths", OTHER, ("backup-missing",), other_paths),
    Artefact("lock of a dead restic", OLD, ("backup-locked",), lay(abandoned)),
    Artefact("three days old", OLD, ("backup-too-old",), lay(nights(3), max_age="26h")),
    Artefact("a night is missing", OLD, ("backup-gap",), lay(nights(4, 3, 1), every="1d", max_age="26h")),
    Artefact("suddenly smaller", OLD, ("backup-shrunken",), lay(shrunken)),
)
CORPORA = (Corpus("restic", opened, ARTEFACTS),)
