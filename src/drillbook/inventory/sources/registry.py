"""Registry of the inventory sources.

To add a source, put a file with a subclass of `Source` into this folder, and add the class to SOURCES. If inventory
files refer to the source by a key, also add this key as a field of `Inventory`.
"""

from drillbook.inventory.sources.ansible import Ansible
from drillbook.inventory.sources.lab import Lab
from drillbook.inventory.sources.secrets import Secrets
from drillbook.inventory.sources.source import Source
from drillbook.inventory.sources.yaml_files import YamlFiles

SOURCES: tuple[Source, ...] = (YamlFiles(), Ansible(), Secrets(), Lab())

KEYS = frozenset(source.key for source in SOURCES if source.key)
"""Keys in an inventory file, such as `ansible`. The value of each key lists the files of one source."""
