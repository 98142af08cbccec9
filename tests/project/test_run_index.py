"""Index of a project: it includes drills and suites that never ran."""

from drillbook.project import run_index
from drillbook.project.project import Project
from tests.program import Folder, step


def test_drills_that_never_ran_are_named(tmp_path):
    folder = Folder(tmp_path)
    for name in ("sample", "idle"):
        folder.write("restore:\n" + step(["true"]), name)
    (tmp_path / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample, idle]\n")
    assert folder.run("drill", "sample", "--quiet").returncode == 0
    page = (tmp_path / "reports" / "index.html").read_text()
    assert "<b>Drills never run:</b> <bdi>idle</bdi></p>" in page
    assert "<b>Suites never run:</b> <bdi>all</bdi></p>" in page
    run_index.write(Project(tmp_path))
    assert (tmp_path / "reports" / "index.html").read_text() == page
