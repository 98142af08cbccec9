"""All shell files and all shell texts inside Python, checked by shellcheck."""

import ast
import importlib
import json
import re
import subprocess
from pathlib import Path

from tests.needs import need

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "drillbook"

SHELL = re.compile(r"\$\(|\$\{|\"\$[\d@]|\b(?:then|do|esac)\b.*\b(?:fi|done|case)\b|[;&|]{2} |\btest -|^exec ", re.DOTALL)
"""Pattern of constants that are programs for `sh`."""
OTHER = re.compile(r"^\s*(?:\(?SELECT|DO \$|ARRAY|INSERT|UPDATE|DECLARE|CREATE|WITH|import |function )")
"""Beginnings of constants that are SQL, Python or awk."""


FRAGMENTS = ("SC2034", "SC2154")
"""Fragments: each sets variables for later fragments, and uses those of earlier ones."""

KNOWN = {
    "ls -l /proc/[0-9]*/cwd 2>/dev/null | sed -n 's|.* /proc/\\([0-9]*\\)/cwd -> |\\1 |p' | while read -r pid path; do": "where links lead",
    'while IFS= read -r line; do export "$line"; done': "lines NAME=VALUE",
    "echo $pid $files $blocks": "a number or nothing, and numbers without the spaces that wc prints",
    "set -- ${line##*) }": "the fields of the line",
    "set -- ${l##*) }": "the fields of the line",
    'case " $(echo $pids) " in *" $parent "*) ;; *) echo "$pid" ;; esac': "numbers on lines, joined by spaces",
    'case " $(echo $all) " in *" $chosen "*) ;; *) exit 3 ;; esac': "numbers on lines, joined by spaces",
    'test "$tries" -lt 100 || { echo "helpers that do not end: $(echo $left)" >&2; exit 1; }': "numbers, joined by spaces",
    'more=$("$@" show -p RequiredBy,RequisiteOf,BoundBy,ConsistsOf,PropagatesStopTo --value -- $todo) || exit': "names of units",
    "$s kill -TERM $new 2>/dev/null": "`sudo -n` or nothing, then numbers",
    "$s kill -CONT $new 2>/dev/null": "`sudo -n` or nothing, then numbers",
    "$s kill -KILL $m 2>/dev/null": "`sudo -n` or nothing, then numbers",
    'jobs -p > "$folder/jobs" && kill $(cat -- "$folder/jobs") 2>/dev/null': "numbers",
    'set -- $(space "$1")': "the two words that awk prints",
    "printf %s \"DRILLBOOK_FAULT=$2\" | LC_ALL=C grep -lsF -f - /proc/[0-9]*/environ | tr -dc '0-9\\n'": "these are files, no pattern",
    'ls -l "/proc/$pid/fd" 2>/dev/null | grep -q -- "-> /proc/$pid/status\\$" && stop watched ;;': "where links lead",
    'while ls -l "/proc/$pid/fd" 2>/dev/null | grep -q -F -- "-> $capture"; do': "where links lead",
    'pids=$(ls -ln /proc/[0-9]*/fd 2>/dev/null | awk -v inodes="$inodes" \'': "where links lead",
    'for pid; do ls "/proc/$pid/fd" | wc -l; done 2>/dev/null; :': "their names are numbers",
    'echo "fds: $(ls "/proc/$1/fd" | wc -l)"': "their names are numbers",
    'for file in $(grep -ls -- "${seen%% *}" /proc/[0-9]*/cgroup); do': "paths in /proc, which hold no spaces",
    'for file in $(grep -ls -- "${seen#* }" /proc/[0-9]*/cgroup); do': "paths in /proc, which hold no spaces",
    'case $1 in "~/"*) printf %s "$HOME/${1#"~/"}";; *) printf %s "$1";; esac': "the tilde as it was written in a drill",
    'own "$1" "$2" && { test -z "$3" || { umask 077; rm -rf -- "$2/$3" && mkdir -- "$2/$3"; }; }': "relative, in a folder of ours",
    'echo "$(awk "{ print \\$1 - \\$2, \\$3 }" /proc/sys/fs/file-nr) $(ulimit -Hn)"': "dash, bash, busybox and ksh all know -H",
}
"""Lines of programs inside Python that shellcheck reports although they are correct, each with the reason."""


def files():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [name for name in tracked if name.endswith(".sh") or name == ".ci/run"]


def constants():
    """Name and text of every constant of a module that is a program for `sh`, composed as in the module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        ]
        if not names or path.name == "__main__.py":
            continue
        module = ".".join(("drillbook", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        loaded = importlib.import_module(module)
        for name in names:
            text = getattr(loaded, name, None)
            if isinstance(text, str) and SHELL.search(text) and not OTHER.match(text):
                yield f"{module}.{name}", text


def findings(paths, *options, cwd):
    shellcheck = need("shellcheck")
    argv = [shellcheck, "--format=json", *options, "--", *paths]
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def test_shellcheck_has_nothing_to_say_of_any_shell_file():
    names = files()
    assert "src/drillbook/engine/leases/watch.sh" in names
    assert findings(names, cwd=ROOT) == []


def test_shellcheck_has_nothing_to_say_of_the_programs_inside_python(tmp_path):
    texts = dict(constants())
    assert len(texts) > 150, "programs are no longer found"
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    everywhere = re.findall(r"^disable=(\w+)$", (ROOT / ".shellcheckrc").read_text(), re.MULTILINE)
    excluded = ",".join((*everywhere, *FRAGMENTS))
    used, wrong = set(), []
    for found in findings(sorted(texts), "--shell=sh", f"--exclude={excluded}", cwd=tmp_path):
        line = texts[found["file"]].split("\n")[found["line"] - 1].strip()
        used.add(line)
        if line not in KNOWN:
            wrong.append(f"{found['file']}: SC{found['code']} {found['message']}\n    {line}")
    assert not wrong, "\n".join(wrong)
    assert used == set(KNOWN), "not found any more"


def test_every_disabled_check_says_why():
    for name in files():
        for line in (ROOT / name).read_text().split("\n"):
            if "shellcheck disable" in line or "shellcheck shell=sh disable" in line:
                assert re.search(r"disable=SC\d+ # \w{1,}", line), f"{name}: {line}"
