"""Source that reads the Ansible inventories under the key `ansible`. These are INI, YAML or JSON files, or folders of
such files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.inventory.sources.source import Hosts, Source, exists, names
from drillbook.language.strict import Document


class AnsibleSource(BaseModel):
    """Value of the key `ansible`: the files of Ansible inventories, and the selection of their hosts."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    files: str | tuple[str, ...] = Field(
        description="Files or folders, as in `ansible-inventory -i`. A later file has precedence over an earlier file."
    )
    limit: str = Field(default="", description="Host pattern that selects the hosts to add.")
    vault: Literal["refuse", "ignore"] = Field(
        default="refuse", description="Treatment of encrypted files of variables: report an error, or skip the file."
    )


class Ansible(Source):
    """Source that adds the hosts and groups of Ansible inventories."""

    key = "ansible"

    def hosts(self, document: Document) -> Hosts | None:
        """Read the Ansible inventories that ``document`` names. Returns None when it names no Ansible inventory. Raises
        InventoryError when an inventory cannot be read.
        """
        value = document.value.get(self.key)
        if value is None:
            return None
        options = (
            document.validate(AnsibleSource, value, (self.key,))
            if isinstance(value, dict)
            else AnsibleSource(files=tuple(names(document, self.key)))
        )
        folder = Path(document.file).parent
        files = (options.files,) if isinstance(options.files, str) else options.files
        paths = [folder / name for name in files if "\0" not in name]
        for path in paths:
            if not exists(path):
                raise document.error(
                    (self.key,),
                    f"the Ansible inventory {path} does not exist",
                    hint="paths are relative to the folder of this inventory file",
                )
        from drillbook.inventory.ansible import hosts as ansible  # noqa: PLC0415  keeps start-up fast

        return ansible.read(paths, vault=options.vault == "ignore", limit=options.limit)
