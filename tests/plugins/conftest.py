"""Running ledger, projects with it in their inventory, and an environment with the plugin's distribution.

For a project with the plugin in `plugins/`, the program is a fork of a process that has imported Drillbook but no plugin. The
installed distribution needs the Python of its own environment.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

import drillbook
from drillbook.trust import plugins
from tests.program import Folder, here

HERE = Path(__file__).parent
SOURCE = HERE / "ledger"
PACKAGE = SOURCE / "drillbook_ledger"
DRILL = "ledger-frozen"
MAIN = "import sys; sys.argv[0] = 'drillbook'; from drillbook.cli.program import main; main()"


class Server:
    """Ledger in a separate process."""

    def __init__(self, file: Path) -> None:
        self.file = file
        program = file.with_name("ledgerd")
        program.symlink_to(Path(sys.executable).resolve())
        argv = [str(program), str(HERE / "server.py"), str(file)]
        self.process = subprocess.Popen(argv, cwd=file.parent, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    @property
    def frozen(self) -> bool:
        return Path(f"{self.file}.frozen").exists()

    @property
    def texts(self) -> list[str]:
        return [line.partition(" ")[2] for line in self.file.read_text().splitlines()]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def server(tmp_path):
    (tmp_path / "ledger").mkdir()
    made = Server(tmp_path / "ledger" / "lines")
    yield made
    made.end()


class Project(Folder):
    """Project with a ledger in its inventory, and the program in it."""

    program: list[str] | None = None
    """Command of the program where it is not the one of this environment."""
    source = PACKAGE

    def __init__(self, root: Path, server: Server) -> None:
        root.mkdir()
        super().__init__(root)
        self.server = server
        self.environment["XDG_STATE_HOME"] = str(root.parent / f"{root.name}-state")
        self.environment.pop("DRILLBOOK_TRUST", None)
        self.site()

    def site(self, hosts: str = "", host: str = "controller", more: str = "") -> None:
        (self.root / "inventory" / "lab.yml").write_text(
            f"environment: lab\nhosts: {hosts or '{' + here(self.root) + '}'}\nservices:\n"
            f"  ledger: {{kind: ledger, host: {host}, url: '{self.server.url}', file: '{self.server.file}'{more}}}\n"
        )

    def run(self, *argv: str, **options):
        options = {"timeout": 120, **options}
        if self.program is None:
            return super().run(*argv, **options)
        return subprocess.run(
            [*self.program, *argv],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def start(self, *argv: str, **options):
        started = self.program or [sys.executable, "-P", "-c", MAIN]
        return subprocess.Popen([*started, *argv], cwd=self.root, env=self.environment, **options)

    def good(self, *argv: str, status: int = 0) -> str:
        """Output of a task that exits with ``status``."""
        done = self.run(*argv)
        assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def killed(self) -> Path:
        """Folder of a run whose controller was killed while the ledger is frozen."""
        process = self.start("drill", DRILL, "--json", stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            event = json.loads(line)
            if event.get("kind") == "done" and str(event.get("step", "")).startswith("inject"):
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        process.stdout.close()
        assert self.server.frozen
        return next(path for path in (self.root / "reports").iterdir() if path.is_dir() and not path.is_symlink())

    def thawed(self) -> bool:
        """Wait for a while. Return True when the ledger is not frozen any more."""
        deadline = time.monotonic() + 60
        while self.server.frozen and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.server.frozen


class InFolder(Project):
    """Project with the plugin in its folder `plugins/`, which is not trusted yet."""

    python = Path(sys.executable)
    package = "ledger"
    origin = "plugins/ledger"
    loading = "from pathlib import Path; from drillbook.trust import plugins; assert not plugins.use(Path()); "
    """Python that loads the plugin."""

    def __init__(self, root: Path, server: Server) -> None:
        super().__init__(root, server)
        shutil.copytree(PACKAGE, root / "plugins" / "ledger", ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def version(self) -> str:
        return plugins.read(self.root).digest

    def take_away(self) -> None:
        """Remove the plugin from the project until ``bring_back``."""
        (self.root / "plugins").rename(self.root.parent / "taken")

    def bring_back(self) -> None:
        (self.root.parent / "taken").rename(self.root / "plugins")


class Installed(Project):
    """Project whose program runs in the environment with the distribution."""

    package = "drillbook_ledger"
    origin = "the distribution drillbook-ledger"
    version = "version 1.2"
    loading = ""

    def __init__(self, root: Path, server: Server, python: Path) -> None:
        super().__init__(root, server)
        self.python = python
        self.program = [str(python), "-P", "-c", MAIN]

    def take_away(self) -> None:
        """Run the program where the distribution is not installed."""
        self.program = [str(environment(self.root.parent / "bare")), "-P", "-c", MAIN]

    def bring_back(self) -> None:
        self.program = [str(self.python), "-P", "-c", MAIN]


@pytest.fixture
def project(tmp_path, server):
    """Project with the plugin in its folder `plugins/`, which is not trusted yet."""
    return InFolder(tmp_path / "project", server)


def environment(folder: Path) -> Path:
    """Create an environment that includes the packages of this one. Return the path of its Python."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    seen = [str(Path(drillbook.__file__).parents[1]), *(path for path in sys.path if path.endswith("-packages"))]
    (site / "seen.pth").write_text("".join(f"{path}\n" for path in seen))
    return folder / "bin" / "python"


def install(python: Path, source: Path) -> None:
    """Build the distribution in ``source`` and install it, without a network."""
    argv = ["-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps", str(source)]
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([str(python), *argv], capture_output=True, text=True, env=quiet, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Python of an environment in which the plugin's distribution is installed."""
    folder = tmp_path_factory.mktemp("distribution")
    source = shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    python = environment(folder / "environment")
    install(python, source)
    shutil.rmtree(source)
    return python
