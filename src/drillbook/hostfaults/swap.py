"""Another content in a file's place, and the way back: the shell scripts that several faults share.

The original stays, as it is, under another name in a folder beside it: ``was``; ``is`` is what took its place.
"""

from __future__ import annotations

# PATH KEPT: content on standard input. The original stays, as it is, under another name of its own; a copy with the same
# owner, permissions and attributes gets the new content, and then takes its place at once: the path is never missing.
REPLACE = """
test ! -L "$1" && test -f "$1" || exit 3
umask 077
mkdir -- "$2" || exit 4
cp -a -- "$1" "$2/is" && cat > "$2/is" || exit 5
! cmp -s -- "$1" "$2/is" || exit 6
ln -- "$1" "$2/was" && ln -- "$2/is" "$2/new" || exit 7
sync -f "$2" 2>/dev/null || sync
mv -f -- "$2/new" "$1" || exit 8
sync -f "$2" 2>/dev/null || sync
sha256sum < "$2/was" | cut -c 1-64
sha256sum < "$1" | cut -c 1-64
"""
REFUSED = {3: "is no ordinary file", 4: "is replaced by this run already", 5: "cannot be copied beside itself",
           6: "has that content already", 7: "cannot be kept under a second name beside itself", 8: "cannot be replaced"}
"""What the exit statuses of REPLACE mean; the file is then as it was."""
OURS = """
ours() { test -f "$2/is" && test ! -L "$1" && { test "$1" -ef "$2/is" || cmp -s -- "$1" "$2/is"; }; }
"""
# PATH KEPT: puts the original back, unless something else was put in its place meanwhile: that stays. Leaves KEPT/back
# when it did, also when an attempt before did.
RETURN = OURS + """
test -d "$2" || exit 0
if test -e "$2/was"; then
  if ours "$1" "$2" || { test ! -e "$1" && test ! -L "$1"; }; then
    : > "$2/back"
    mv -f -- "$2/was" "$1" || exit 1
    sync -f "$1" 2>/dev/null || sync
  fi
fi
"""
PUT_BACK = RETURN + """
rm -rf -- "$2"
"""
STILL = OURS + 'ours "$1" "$2" || test -e "$2"'
"""PATH KEPT: is the replacement there, or the original still beside it?"""
