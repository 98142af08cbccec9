"""The page on plugins, followed exactly: its files are written, its commands run, and exit statuses compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.conftest import MAIN
from tests.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Reader:
    """Reader who follows the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.pages = folder / "pages"
        self.environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        self.environment.pop("DRILLBOOK_TRUST", None)
        self.servers: list[subprocess.Popen] = []
        self.ran: list[str] = []
        scratch = f"{{local: true, scratch: {folder}/scratch,"
        self.here = (("8471", str(self.port)), ("/tmp/acme-pages", str(self.pages)), ("{local: true,", scratch))

    def follow(self, kind: str, block: str) -> None:
        for there, here in self.here:
            block = block.replace(there, here)
        if kind == "console":
            self.command(*block.strip().removeprefix("$ ").partition("  # exit ")[::2])
            return
        place = self.folder / block.partition("\n")[0].removeprefix("# ")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(block)

    def command(self, command: str, status: str) -> None:
        self.ran.append(command)
        if command.startswith("cd "):
            self.folder = self.folder / command.removeprefix("cd ")
            return
        argv = ["sh", "-c", command.replace("python3", sys.executable)]
        if command.startswith("drillbook "):
            argv = [sys.executable, "-P", "-c", MAIN, *command.split()[1:]]
        if command.endswith(" &"):
            argv[2] = f"exec {argv[2].removesuffix(' &')}"
            self.servers.append(subprocess.Popen(argv, stderr=subprocess.DEVNULL))
            return
        done = subprocess.run(
            argv, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == int(status or 0), f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr


@pytest.fixture
def reader(tmp_path):
    made = Reader(tmp_path)
    yield made
    for server in made.servers:
        server.kill()
        server.wait()


@pytest.mark.long(60)
def test_the_page_works(reader):
    blocks = BLOCK.findall(PAGE.read_text())
    for kind, block in blocks:
        reader.follow(kind, block)
    assert len(reader.ran) == 12
    assert {kind for kind, _ in blocks} == {"console", "python", "yaml", "toml"}

    package = reader.folder / "drillbook_pages"
    shutil.copytree(reader.folder / "plugins" / "pages", package)
    shutil.rmtree(reader.folder / "plugins")
    setup = [sys.executable, "-W", "ignore", "-c", "import setuptools; setuptools.setup(script_args=['-q', 'egg_info'])"]
    subprocess.run(setup, cwd=reader.folder, check=True, capture_output=True)
    reader.environment["PYTHONPATH"] = str(reader.folder)
    reader.command("drillbook actions pages.hide", "")
    reader.command("drillbook drill page-hidden --inventory here", "")
    del reader.environment["PYTHONPATH"]
    reader.command("drillbook actions pages.hide", "2")
