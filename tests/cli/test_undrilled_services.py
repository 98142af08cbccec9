"""Services that no drill uses: `drill.due` names the shipped drill to copy for each."""

import re
import subprocess

import pytest

from tests.cli.test_due import folder as folder

BACKED_UP = (
    "environment: lab\nhosts: {controller: {local: true, scratch: DIR/scratch, lease: {boot: none}}}\n"
    "services:\n  site: {kind: folder, host: controller, path: DIR/site}\n"
    "  copy: {kind: folder, host: controller, not_drilled: a sandbox, sandbox: {data_may_leave: true, folder: DIR/sandbox}}\n"
    "backups:\n  nightly: {kind: tar, host: controller, at: DIR/site.tar, max_age: 26hOWNER}\n"
)
REHEARSE = (
    "drill: rehearse\ntitle: Restore the archive\nservice: nightly\nevery: 7d\nobjectives: {}\n"
    "restore:\n  - backup.restore: {service: copy, from: nightly}\nverify:\n  - backup.measure: {service: nightly}\n"
)


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
        "  for guestbook: `drillbook init --with rehearse-guestbook`, which names what to adapt",
        "  for shop: `drillbook init --with routine-shop`, which names what to adapt",
    ]
    exempt = "  or exempt a service in the inventory by `not_drilled: REASON`"
    for lines in (done.stdout.splitlines(), full.stdout.splitlines()):
        at = lines.index("  services without a drill: guestbook, other (write one), shop, site")
        assert lines[at + 1 : at + 3] == copies
        assert re.fullmatch(r"  for site: `drillbook init --with \S+`, which names what to adapt", lines[at + 3])
        assert lines[at + 4] == exempt
    with inventory.open("a") as file:
        file.write("  vectors: {kind: qdrant, host: app-1, url: 'http://192.0.2.1:1', collection: c}\n")
    lines = folder.run("drill.due").stdout.splitlines()
    at = lines.index("  services without a drill: guestbook, other (write one), shop, site, vectors")
    assert lines[at + 1 : at + 5] == [*copies, "  2 more drills to copy: `drillbook drill.due --all`", exempt]
    assert "not proven" not in done.stdout


@pytest.mark.parametrize("owner", [", service: site", ""], ids=["named", "unnamed"])
def test_a_rehearsal_of_the_backup_counts_after_the_changes_that_are_told(folder, owner):
    """The drill of the backup restored the data of the service. The audit and `drill.due` say what makes it count."""
    root = folder.root
    (root / "site").mkdir()
    (root / "site" / "page").write_text("text")
    subprocess.run(["tar", "-cf", root / "site.tar", "-C", root, "site"], check=True)
    inventory, drill = root / "inventory" / "lab.yml", root / "drills" / "rehearse.yml"
    inventory.write_text(BACKED_UP.replace("DIR", str(root)).replace("OWNER", owner))
    drill.write_text(REHEARSE)
    assert folder.run("drill", "rehearse", "--quiet").returncode == 0
    done = folder.run("drill.due")
    said = " ".join(done.stdout.split())
    what = "rehearse restores its backup nightly" if owner else "if nightly, which rehearse restores, is its backup"
    entry = ("" if owner else "`service: site` and ") + "`not_drilled: rehearsed with site`"
    told = (
        f"for site: {what}: write `service: site` (so far nightly) into the drill rehearse, "
        f"and {entry} into backups.nightly; its next run then counts"
    )
    assert f"services without a drill: site {told} or exempt" in said
    assert (done.returncode, "init --with" in said) == (1, False)
    folder.run("audit")
    (page,) = (root / "reports").glob("audit-*/audit.md")
    assert told.removeprefix("for site: ").replace("`", "") in page.read_text().replace("`", "").replace("\\", "")
    drill.write_text(REHEARSE.replace("service: nightly\nevery", "service: site\nevery"))
    text = inventory.read_text().replace(owner, "") if owner else inventory.read_text()
    inventory.write_text(text.replace("26h}", "26h, service: site, not_drilled: rehearsed with site}"))
    assert folder.run("drill", "rehearse", "--quiet").returncode == 0
    done = folder.run("drill.due")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 schedule: 1 ok")
    summary = " ".join(folder.run("audit").stdout.split())
    assert "never drilled" not in summary
    assert re.search(r"rehearsed only \d \(.*site.*\)", summary)
