"""Another content in a file's place, and the way back: the shell scripts that several faults share.

The original stays, as it is, under another name in a folder beside it: ``was``; ``is`` is what took its place.
"""

from __future__ import annotations

from drillbook.sdk.nofollow import WALK

_PLACE = (
    WALK
    + """
it=${1##*/} kept=${2##*/}
"""
)
# PATH KEPT: content on standard input. The original stays, as it is, under another name of its own; a copy with the same
# owner, permissions and attributes gets the new content, and then takes its place at once: the path is never missing.
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
    3: "is no ordinary file",
    4: "is replaced by this run already",
    5: "cannot be copied beside itself",
    6: "has that content already",
    7: "cannot be kept under a second name beside itself",
    8: "cannot be replaced",
}
"""What the exit statuses of REPLACE mean; the file is then as it was."""
# PATH KEPT: puts the original back, unless something else was put in its place meanwhile: that stays. Leaves KEPT/back
# when it did, also when an attempt before did.
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
"""PATH KEPT: is the replacement there, or the original still beside it?"""
DROP = WALK + 'enter "${1%/*}" && hold "${1##*/}" || exit 0; drop'
"""KEPT: forgets what was kept."""
