"""The architecture page, generated from the packages. It shows their docstrings and a graph of their imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

PACKAGE = "drillbook"
GROUND = "ground"
INTRO = """\
# Architecture

The data flow: `plan` (a drill and an inventory) -> `engine` -> `journal` -> `judge` -> `report`. Each package imports only
packages below it in the diagram; `tests/repository/test_layers.py` enforces this order. The systems import
%s, and other
systems that they declare as needed. No package imports a system by its name:
discovery finds all systems, built-in ones and [plugins](plugins.md).

```mermaid
flowchart BT
%s
```

The diagram is generated from the imports; arrows that follow from other arrows are omitted. `ground` stands for the modules
outside any package: %s.
"""
GROUND_TEXT = """\
Modules outside any package, at most six. Every package may import them. They import only one another.

Lives here:

{modules}

Lives elsewhere: everything that only some packages need, such as findings (`findings`) and the console (`cli`).
"""


def page() -> str:
    """Return the architecture page as Markdown, with a graph and the packages in import order."""
    graph = imports()
    lines = [f"    {name} --> {other}" for name, others in graph.items() for other in sorted(_direct(name, graph) & others)]
    modules = ", ".join(f"`{path.stem}`" for path in _modules())
    below = ", ".join(f"`{name}`" for name in graph if name in graph["systems"])
    text = INTRO % (below, "\n".join(lines), modules)
    for name in graph:
        text += f"\n## {name}\n\n{_said(_root() / name) if name != GROUND else _said_of_ground()}"
        if name == "systems":
            text += "".join(
                f"\n### systems/{path.name}\n\n{_said(path)}"
                for path in sorted((_root() / name).iterdir())
                if (path / "__init__.py").is_file()
            )
    return text


def imports() -> dict[str, set[str]]:
    """Return, for each package, the packages that it imports. Imports inside functions are included.

    Every package comes after the packages that it imports. Raises ValueError when packages import each other in a cycle.
    """
    every: dict[str, set[str]] = {GROUND: set()}
    for path in sorted(_root().iterdir()):
        if (path / "__init__.py").is_file():
            every[path.name] = {room(name) for file in path.rglob("*.py") for name in imported(file)} - {path.name}
    ordered: dict[str, set[str]] = {}
    while len(ordered) < len(every):
        free = sorted(name for name, others in every.items() if name not in ordered and others <= ordered.keys())
        if not free:
            raise ValueError(f"packages import each other in a cycle: {sorted(every.keys() - ordered.keys())}")
        ordered[free[0]] = every[free[0]]
    return ordered


def imported(path: Path) -> Iterator[str]:
    """Return the dotted names of the modules of Drillbook that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE}."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    """Return the package that contains the module with the dotted name ``name``, or `ground` if the module is outside of any
    package.
    """
    part = name.split(".")[1]
    return part if (_root() / part).is_dir() else GROUND


def _direct(name: str, graph: Mapping[str, set[str]]) -> set[str]:
    """Return the packages to which the diagram has an arrow from ``name``: the packages that ``name`` imports directly, except
    those that it also imports through another package.
    """
    return graph[name] - {far for other in graph[name] for far in _reached(other, graph)}


def _reached(name: str, graph: Mapping[str, set[str]]) -> set[str]:
    return graph[name] | {far for other in graph[name] for far in _reached(other, graph)}


def _said(package: Path) -> str:
    """Return the docstring of a package as Markdown."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return text.replace("\nLives", "\n\nLives").replace("\n\n\n", "\n\n") + "\n"


def _modules() -> list[Path]:
    """Return the modules outside of any package."""
    return [path for path in sorted(_root().glob("*.py")) if path.stem != "__init__"]


def _said_of_ground() -> str:
    """Return the text about the modules that lie beside the packages and belong to none of them. It contains the first
    sentence of each module's docstring.
    """
    lines = []
    for path in _modules():
        said = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
        lines.append(f"- `{path.stem}`: {said.partition('. ')[0].removesuffix('.')}.")
    return GROUND_TEXT.format(modules="\n".join(lines))


@cache
def _root() -> Path:
    return Path(str(files(PACKAGE)))
