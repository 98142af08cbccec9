"""Files of other users: shell functions that follow no link of theirs, whatever they put in the place of a folder meanwhile.

A folder that a shell has entered stays the same one. Links are followed where root or this user made them, and nobody
else, as the kernel does in /tmp (protected_symlinks). POSIX sh on Linux: GNU tools or those of busybox.
"""

from __future__ import annotations

import re

from drillbook.errors import StepFailed
from drillbook.sdk.action import Context
from drillbook.sdk.host import Output, printable

REFUSED, NOT_THERE = 96, 95
"""Exit status of a script that could have been led elsewhere, and did nothing there; that found no such folder."""
MOST_LINKS = 40

# The kernel tells where a process is; a shell may tell where it went to.
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
"""Shell functions, without the comments: they stand in undos, and those in journals."""
_INSIDE = (
    WALK
    + f"""
enter "$1" || {{ printf '%s\\n' "$1: no such folder, or it may not be entered" >&2; exit {NOT_THERE}; }}
test -z "$2" || {{ private "$1" && test "$(stat -c %d:%i .)" = "$2"; }} || other "$1"
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
"""PATH: a script that removes what has this name, if anything has; nothing of what is mounted in it, where `rm` can tell."""


def inside(folder: str, identity: str = "") -> tuple[str, ...]:
    """Beginning of a command line whose command runs in ``folder``, even if somebody changes the path meanwhile.

    With ``identity``, its device and inode, it runs in exactly that folder, which is this user's alone, or not at all.
    """
    return ("sh", "-c", _INSIDE, "sh", folder, identity)


def refuse(ctx: Context, output: Output) -> None:
    """Raise StepFailed when a command did not run because somebody else could have led it elsewhere."""
    if output.exit == REFUSED:
        raise StepFailed(
            f"{ctx.host.name}: {printable(output.stderr).strip()}; nothing was changed there. Name the path "
            "that the link leads to, or connect as the owner of these files"
        )
