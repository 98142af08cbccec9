"""Build step: copies the shipped drills, inventories and lab files into the package, where `drillbook.catalog` finds them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("drills", "inventory", "lab")
TARGET = Path("drillbook", "catalog", "files")


class BuildWithFiles(build_py):
    """Builds the package; an editable installation needs no copies, since it reads the checkout."""

    def run(self) -> None:
        """Build the modules, then copy the folders without files that are hidden."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / TARGET
        if target.exists():
            shutil.rmtree(target)
        for name in FOLDERS:
            shutil.copytree(name, target / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))


setup(cmdclass={"build_py": BuildWithFiles})
