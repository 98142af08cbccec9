"""Shell scripts that replace a file, and later restore the original. Several faults use them.

A folder next to the replaced file contains the unchanged original as `was`, and the replacement as `is`.
"""

from __future__ import annotations

from drillbook.sdk.nofollow import WALK

_PLACE = (
    WALK
    + """
it=${1##*/} kept=${2##*/}
"""
)
# PATH KEPT: the new content is on standard input. The original gets a second name in the folder KEPT. A copy with the same
# owner, permissions and attributes gets the new content, and replaces the original in one step, so that the path always
# exists.
REPLACE = (
    _PLACE
    + """
enter "${1%/*}" && test ! -L "./$it" && test -f "./$it" || exit 3
mkdir -m 700 -- "./$kept" && hold "$kept" || exit 4
umask 077
ln -- "../$it" ./was || exit 7
test ! -L ./was && test -f ./was || exit 3
cp -a -- ./was ./is && cat > ./is || exit 5
! cmp -s -- ./was ./is || exit 6
ln -- ./is ./new || exit 7
sync -f . 2>/dev/null || sync
mv -fT -- ./new "../$it" || exit 8
sync -f . 2>/dev/null || sync
sha256sum < ./was | cut -c 1-64
sha256sum < ./is | cut -c 1-64
"""
)
REFUSED = {
    3: "is not an ordinary file",
    4: "was already replaced by this run",
    5: "cannot be copied within its folder",
    6: "already has that content",
    7: "cannot be hard-linked in its folder",
    8: "cannot be replaced",
}
"""Reasons why the script REPLACE left the file unchanged. The key of each reason is the exit status of the script."""
# PATH KEPT: put the original back, unless somebody has replaced the file since; then the newer file stays. Leaves KEPT/back
# when this or a previous attempt put the original back.
RETURN = (
    _PLACE
    + """
enter "${1%/*}" && hold "$kept" || exit 0
ours() { test -f ./is && test ! -L "../$it" && { test "../$it" -ef ./is || cmp -s -- "../$it" ./is; }; }
if test -e ./was && ! test "../$it" -ef ./was; then
  if ours || { test ! -e "../$it" && test ! -L "../$it"; }; then
    : > ./back
    mv -fT -- ./was "../$it" || exit 1
    sync -f . 2>/dev/null || sync
  fi
fi
"""
)
PUT_BACK = (
    RETURN
    + """
drop
"""
)
STILL = _PLACE + 'enter "${1%/*}" || exit 1; test -e "./$kept" || test -L "./$kept"'
"""Script with the arguments PATH and KEPT. It succeeds while the folder with the kept original file exists."""
DROP = WALK + 'enter "${1%/*}" && hold "${1##*/}" || exit 0; drop'
"""Script with the argument KEPT. It removes the original file that was kept for the undo."""
