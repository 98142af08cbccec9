"""Commands that a step of the kind `command.*` runs, as a person types them."""

from __future__ import annotations

import shlex

from drillbook.sdk.by_hand import Commands, ManualStep


def _run(step: ManualStep) -> tuple[str, ...]:
    argv, folder, variables = step.params.get("argv"), step.params.get("cwd"), step.params.get("env") or {}
    if not isinstance(argv, list | tuple) or not isinstance(variables, dict):
        return ()
    words = [*(f"{name}={value}" for name, value in variables.items()), *map(str, argv)]
    line = shlex.join(["env", *words] if variables else words)
    return (f"(cd {shlex.quote(str(folder))} && {line})",) if folder else (line,)


def _script(step: ManualStep) -> tuple[str, ...]:
    words = [*(step.params.get("interpreter") or ()), step.params.get("path"), *(step.params.get("arguments") or ())]
    return (shlex.join(map(str, words)),)


BY_HAND: dict[str, Commands] = {"command.run": _run, "command.script": _script}
