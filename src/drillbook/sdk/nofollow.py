"""Shell functions for access to folders that other users can write to. They do not follow the symbolic links of these users.

The functions first enter a folder, then check it, and then use only relative names. So they are safe even if somebody replaces
the folder by a link at the same moment: a shell stays in the folder that it entered. Links are followed only if their owner is
root or the user who runs the shell. The kernel has the same rule for /tmp (protected_symlinks). The functions are written in
POSIX sh for Linux, with the tools of GNU or of busybox.
"""

from __future__ import annotations

import re

from drillbook.errors import StepFailed
from drillbook.sdk import random_names
from drillbook.sdk.action import Context
from drillbook.sdk.host import Output, printable

REFUSED, NOT_THERE = 96, 95
"""Exit statuses of a script that changed nothing. 96: another user could have replaced a part of the path. 95: the folder
is missing.
"""
MOST_LINKS = 40

# `where` asks the kernel for the working directory; the shell itself may report the path by which it arrived.
WALK = re.sub(
    r" # .*",
    "",
    f"""
refuse() {{ printf '%s\\n' "$1" >&2; exit {REFUSED}; }}
other() {{ refuse "somebody else put another folder in its place: $1"; }}
where() {{ readlink /proc/self/cwd; }}
step() {{ # PART PATH ; into a folder, which is no link now
  from=$(where)
  cd -P -- "./$1" 2>/dev/null || return 1
  test "$(where)" = "${{from%/}}/$1" || refuse "$1 in $2 is a link that another user made"
}}
resolve() {{ # PART PATH ; puts what a link leads to before the rest of the way
  links=$((links + 1)) was=$(stat -c '%u %i %z' -- "./$1")
  case "$links ${{was%% *}}" in "{MOST_LINKS} "*) refuse "$2 has too many links" ;; *" 0" | *" $(id -u)") ;;
    *) refuse "$1 in $2 is a link that another user made" ;;
  esac
  to=$(readlink -- "./$1")
  test "$(stat -c '%u %i %z' -- "./$1")" = "$was" || refuse "$1 in $2 is a link that another user made"
  case $to in /*) cd -P / || return 1 ;; esac
  rest=$to/$rest
}}
walk() {{ # PATH LAST ; goes there step by step; with LAST to the folder of a file, whose name is then in `it`. 1: not there
  rest=${{1#/}}/ links=0
  cd -P / || return 1
  while test -n "$rest"; do
    part=${{rest%%/*}} rest=${{rest#*/}}
    case $part in '' | .) continue ;; ..) cd -P .. || return 1; continue ;; esac
    if test -L "./$part"; then resolve "$part" "$1" || return 1
    elif test -n "${{2-}}" && test -z "$rest"; then it=$part; return 0
    else step "$part" "$1" || return 1
    fi
  done
}}
enter() {{ walk "$1"; }} # FOLDER
private() {{ # NAME ; the folder that this shell is in is this user's alone
  case $(stat -c '%u %a' .) in "$(id -u) 700" | "$(id -u) 2700") ;;
    *) other "$1" ;;
  esac
}}
hold() {{ # NAME ; into the folder of ours with this name, where nobody else can change a name. 1: not there
  test -e "./$1" || test -L "./$1" || return 1
  step "$1" "$(where)" || other "$1"
  private "$1"
}}
drop() {{ # removes the folder that `hold` went to, with all that is in it
  held=$(where)
  rm -rf -- ./* && cd -P .. && rmdir -- "./${{held##*/}}"
}}
grasped() {{ # NAME ; is the open descriptor 3 what this name itself names, and not what a link leads to?
  test ! -L "$1" && test "$(stat -L -c '%d:%i' /proc/self/fd/3)" = "$(stat -c '%d:%i' -- "$1")" || return 1
  test ! -d /proc/self/fd/3 && test "$(stat -L -c %h /proc/self/fd/3)" -gt 1 || return 0
  case $(stat -c '%u %A' -- "${{1%/*}}") in "0 "?????-??-? | "$(id -u) "?????-??-?) return 0 ;; *' '????????w?) ;;
    *) test "$(stat -L -c %u /proc/self/fd/3)" != "$(stat -c %u -- "${{1%/*}}")" || return 0 ;;
  esac
  refuse "$1 has further names, and another user may have given it one of them"
}}
""",
)
"""Text of the shell functions. It contains no comments, to keep it short, because it is stored in journals with each undo."""
# FOLDER IDENTITY COMMAND...: run COMMAND in FOLDER. If IDENTITY is not empty, FOLDER must be private and have this device and
# inode. Exits with 95 or 96 when COMMAND was not started; see REFUSED.
_INSIDE = (
    WALK
    + f"""
bare() {{ set -- "${{1#[{random_names.MARK}]}}"; while test "${{1#0}}" != "$1"; do set -- "${{1#0}}"; done; printf %s "$1"; }}
enter "$1" || {{ printf '%s\\n' "$1: no such folder, or it may not be entered" >&2; exit {NOT_THERE}; }}
test -z "$2" || {{ private "$1" && test "$(stat -c %d:%i .)" = "$(bare "${{2%:*}}"):$(bare "${{2#*:}}")"; }} || other "$1"
shift 2
exec "$@"
"""
)

DELETE = (
    WALK
    + """
enter "${1%/*}" || exit 0
alone=--one-file-system
rm --help 2>&1 | grep -q -e "$alone" || alone=
rm -rf $alone -- "./${1##*/}"
"""
)
"""Script that removes the file or folder PATH, its argument.

If `rm` supports it, file systems mounted below PATH are kept.
"""


def inside(folder: str, identity: str = "") -> tuple[str, ...]:
    """Return the prefix of a command line that runs in ``folder``. The command is safe even if another user replaces parts
    of the path meanwhile.

    ``identity``: device and inode of the folder, as ``host_programs.made_in`` returns them. If they are given, the command
    runs only when the folder has this identity, and when no other user can access it.
    """
    return ("sh", "-c", _INSIDE, "sh", folder, identity)


def refuse(ctx: Context, output: Output) -> None:
    """Raise StepFailed if a script changed nothing because a path was not safe: another user could have replaced a part of
    the path, so that the script would have changed another folder or file.
    """
    if output.exit == REFUSED:
        raise StepFailed(
            f"{ctx.host.name}: {printable(output.stderr).strip()}; nothing was changed. Use the path "
            "that the link points to, or connect as the owner of these files"
        )
