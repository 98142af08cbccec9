"""Reads sites files. A sites file contains the sites of a campaign, their inventories, groups and windows, and the
limits of the campaign.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from drillbook.campaign.scheduler import Rules, Site
from drillbook.errors import SourceError, UsageError
from drillbook.language import strict
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Document
from drillbook.plan.window import Window
from drillbook.values import Duration

FILE = "sites.yml"
"""Name of the project's own sites file. ``--sites GROUP`` selects a group of sites from this file."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SiteEntry(_Part):
    """One site. It has its own inventory, or it uses a shared inventory with values for this site."""

    inventory: str = Field(
        default="", description="Name or path of the site's inventory. By default, its name is the name of the site."
    )
    set: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "Values that replace values of the inventory for this site, such as "
            "`hosts: {web: {address: 10.0.0.2}}`. They must not contain secrets."
        ),
    )
    groups: tuple[str, ...] = Field(default=(), description="Groups of the site, such as its region and its cluster.")
    windows: tuple[Window, ...] = Field(default=(), description="Maintenance windows in which the site may start.")


class GroupEntry(_Part):
    """Limits of a group of sites."""

    at_most: int | None = Field(
        default=None, gt=0, description="Maximum number of sites of the group that are drilled at the same time."
    )
    windows: tuple[Window, ...] = Field(
        default=(),
        description=(
            "Maintenance windows of the group. A site may start only when a window of the group and a window "
            "of the site are open."
        ),
    )
    workers: str = Field(
        default="",
        description=(
            "Label that a worker needs to drill sites of this group. In Dask, the label is a resource of the worker."
        ),
    )


class AbortIf(_Part):
    """Conditions on the results of sites. When one of the conditions is met, the whole campaign stops."""

    failed: str = Field(
        default="10%",
        description=(
            "Permitted share of sites that failed or are unknown. The campaign stops when the share is larger. "
            "Only the sites of the waves that have begun are counted."
        ),
    )
    residue: bool = Field(default=True, description="Stop when a site is left with changes that could not be undone.")

    @field_validator("failed")
    @classmethod
    def _share(cls, value: str) -> str:
        share(value)
        return value


class SitesFile(_Part):
    """Content of a sites file."""

    at_most: int = Field(default=20, gt=0, description="Maximum number of sites that are drilled at the same time.")
    canary: tuple[str, ...] = Field(
        default=(),
        description="Sites of the first wave. The campaign stops unless all of them pass. Default: the first site.",
    )
    waves: tuple[str, ...] = Field(
        default=(),
        description=(
            "Ends of the waves. Each is a share of all sites, and the shares ascend. For example, [10%, 50%]: the first of "
            "these waves ends when 10 % of all sites have been drilled, and the second when 50 % have been drilled. The canary sites "
            "form an earlier wave of their own, but are counted in the shares. The last wave drills the remaining sites. A "
            "wave begins only after the previous wave has ended."
        ),
    )
    abort_if: AbortIf = AbortIf()
    within: Duration = Field(
        default=Duration(86400),
        gt=0,
        description="Time limit for the start of every site, measured from the start of the campaign. A site that has not "
        "started by then is refused.",
    )
    groups: dict[str, GroupEntry] = Field(
        default_factory=dict, description="Limits of groups. The key is the name of the group."
    )
    sites: dict[str, SiteEntry] = Field(min_length=1, description="Sites of the campaign. The key is the name of the site.")

    @field_validator("waves")
    @classmethod
    def _shares(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if [share(word) for word in value] != sorted({share(word) for word in value}):
            raise ValueError("the shares must ascend, such as [10%, 50%]")
        return value

    @field_validator("sites")
    @classmethod
    def _names(cls, value: dict[str, SiteEntry]) -> dict[str, SiteEntry]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name of a site: use letters, digits, `.`, `_` and `-`")
        return value

    def rules(self) -> Rules:
        """Return the limits of the campaign, as an object for the scheduler."""
        return Rules(
            at_most=self.at_most,
            groups={name: group.at_most for name, group in self.groups.items() if group.at_most},
            canary=self.canary or (next(iter(self.sites)),),
            waves=tuple(share(wave) for wave in self.waves),
            failed_share=share(self.abort_if.failed),
            stop_on_residue=self.abort_if.residue,
            patience_s=float(self.within),
        )

    def scheduled(self) -> list[Site]:
        """Return the sites as objects for the scheduler, in the order of the file."""
        return [Site(name, entry.groups, self._windows(entry)) for name, entry in self.sites.items()]

    def _windows(self, entry: SiteEntry) -> tuple[tuple[Window, ...], ...]:
        of_groups = [self.groups[group].windows for group in entry.groups if group in self.groups]
        return tuple(windows for windows in (entry.windows, *of_groups) if windows)

    def labels(self, name: str) -> tuple[str, ...]:
        """Return the labels that a worker must have in order to run the drill of the site ``name``."""
        group_labels = (self.groups[group].workers for group in self.sites[name].groups if group in self.groups)
        return tuple(sorted({label for label in group_labels if label}))

    def only(self, group: str) -> SitesFile:
        """Return a copy of this sites file that contains only the sites of ``group``. Raises UsageError when the group has
        no sites.
        """
        chosen = {name: entry for name, entry in self.sites.items() if group in entry.groups}
        if not chosen:
            known = sorted({name for entry in self.sites.values() for name in entry.groups})
            raise UsageError(
                f"no site belongs to the group {group!r}",
                hint=(
                    f"{strict.did_you_mean(group, known)}groups: {', '.join(known) or 'none'}; "
                    "the name of a sites file ends with .yml"
                ),
            )
        return self.model_copy(update={"sites": chosen, "canary": tuple(name for name in self.canary if name in chosen)})

    def single(self, name: str) -> SitesFile:
        """Return a copy of this sites file that contains only the site ``name``. Raises UsageError when there is no such
        site.
        """
        if name not in self.sites:
            known = list(self.sites)
            raise UsageError(
                f"there is no site {name!r}", hint=f"{strict.did_you_mean(name, known)}sites: {', '.join(known)}"
            )
        return self.model_copy(update={"sites": {name: self.sites[name]}, "canary": (), "waves": ()})

    def unlimited(self, canary: tuple[str, ...]) -> SitesFile:
        """Return a copy of this sites file without limits. It has no limits of groups, no maintenance windows, no waves, and no
        conditions that stop the campaign. The copy is for a campaign whose sites were already drilled in a pipeline, so that no
        limit stops the campaign. ``canary``: sites of the first wave.
        """
        groups = {name: group.model_copy(update={"at_most": None, "windows": ()}) for name, group in self.groups.items()}
        return self.model_copy(
            update={
                "at_most": len(self.sites),
                "canary": canary,
                "waves": (),
                "abort_if": AbortIf(failed="100%", residue=False),
                "groups": groups,
                "sites": {name: entry.model_copy(update={"windows": ()}) for name, entry in self.sites.items()},
            }
        )


def share(text: str) -> float:
    """Convert a percentage such as ``10%`` to a number from 0 to 1. Raises ValueError when ``text`` is not a percentage."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?) ?%", text)
    if not match or float(match[1]) > 100:
        raise ValueError(f"{text!r} is not a share; write a percentage, such as 10%")
    return float(match[1]) / 100


def load(root: Path, name: str) -> SitesFile:
    """Read the sites file ``name``, or the group ``name`` of the project's sites file. Raises UsageError when the file
    does not exist or is invalid, or when there is no such group. Of an invalid file, all mistakes are reported.
    """
    as_file = name.endswith((".yml", ".yaml"))
    path = Path(name) if as_file else root / FILE
    if not path.is_file():
        raise UsageError(
            f"the sites file {path} does not exist",
            hint="see `Campaigns` in the documentation; --sites FILE names another file",
        )
    mistakes = Mistakes()
    document = strict.load(path, mistakes=mistakes)
    file = mistakes.of(document.validate, SitesFile, document.value)
    mistakes.errors += _unknown_canaries(document)
    mistakes.report()
    made = cast("SitesFile", file)
    return made if as_file else made.only(name)


def _unknown_canaries(document: Document) -> Iterator[SourceError]:
    """Yield an error for each name in the list `canary` that is not the name of a site in the file."""
    canary, known = document.value.get("canary"), document.value.get("sites")
    if not isinstance(canary, list) or not isinstance(known, dict):
        return
    for index, site in enumerate(canary):
        if isinstance(site, str) and site not in known:
            hint = f"{strict.did_you_mean(site, known)}sites: {', '.join(known)}"
            yield document.error(("canary", index), f"there is no site {site!r}", hint=hint)


def write_inventories(file: SitesFile, folder: Path, inventory_of: dict[str, Path]) -> dict[str, str]:
    """Write an inventory into ``folder`` for each site that sets values of its own. Returns the path of the inventory of
    each site. The key of each entry is the name of the site.

    ``inventory_of``: path of each inventory that the sites file names. The key is the name of the inventory. An inventory that
    is written here includes the inventory that the sites file names for the site. The values of the site have precedence.
    """
    paths: dict[str, str] = {}
    for name, entry in file.sites.items():
        base = inventory_of[entry.inventory or name]
        if not entry.set:
            paths[name] = str(base)
            continue
        path = folder / f"{name}.yml"
        content = {**entry.set, "include": str(base)}
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")  # JSON is YAML
        paths[name] = str(path)
    return paths


def inventories(root: Path, file: SitesFile) -> dict[str, Path]:
    """Return the path of each inventory that is listed in ``file``. Raises UsageError when an inventory does not exist."""
    paths: dict[str, Path] = {}
    for name, entry in file.sites.items():
        word = entry.inventory or name
        path = root / word if word.endswith((".yml", ".yaml")) else root / "inventory" / f"{word}.yml"
        if not path.is_file():
            raise UsageError(
                f"the inventory {path} of the site {name} does not exist",
                hint="correct `inventory` of this site in the sites file, or create this inventory",
            )
        paths[word] = path.resolve()
    return paths
