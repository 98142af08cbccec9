"""Services that no drill uses: `drill.due` names the shipped drill to copy for each."""

import re

from tests.cli.test_due import folder as folder


def test_services_without_a_drill_name_the_shipped_drill_of_each(folder):
    """Nobody has to write what lies in the catalogue."""
    inventory = folder.root / "inventory" / "lab.yml"
    inventory.write_text(
        "environment: lab\nhosts: {app-1: {address: 192.0.2.1}}\n"
        "services:\n  guestbook: {kind: folder, host: app-1, path: /srv/a}\n  shop: {kind: mariadb, host: app-1}\n"
        "  site: {kind: folder, host: app-1, path: /srv/b}\n  other: {kind: process, host: app-1}\n"
    )
    done, full = folder.run("drill.due"), folder.run("drill.due", "--all")
    copies = [
        "  for guestbook: `drillbook init --with rehearse-guestbook`",
        "  for shop: `drillbook init --with rehearse-shop-dump`",
    ]
    exempt = "  or exempt a service in the inventory by `not_drilled: REASON`"
    for lines in (done.stdout.splitlines(), full.stdout.splitlines()):
        at = lines.index("  services without a drill: guestbook, other (write one), shop, site")
        assert lines[at + 1 : at + 3] == copies
        assert re.fullmatch(r"  for site: `drillbook init --with \S+`", lines[at + 3])
        assert lines[at + 4] == exempt
    with inventory.open("a") as file:
        file.write("  vectors: {kind: qdrant, host: app-1, url: 'http://192.0.2.1:1', collection: c}\n")
    lines = folder.run("drill.due").stdout.splitlines()
    at = lines.index("  services without a drill: guestbook, other (write one), shop, site, vectors")
    assert lines[at + 1 : at + 5] == [*copies, "  2 more drills to copy: `drillbook drill.due --all`", exempt]
    assert "not proven" not in done.stdout
