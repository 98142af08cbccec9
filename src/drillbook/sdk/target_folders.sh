# shellcheck shell=sh
# Private folders on a target: no other user can have made them, or can replace them by others. POSIX sh.
# On a problem the shell exits: 91 the folder is not private to this user, 92 it cannot be made.

fail() { # STATUS WORD... ; further statuses: 90 a tool is missing, 93 a timeout
  status=$1
  shift
  printf 'drillbook: %s\n' "$*" >&2
  exit "$status"
}

make() { # PATH ; makes the folder if nothing has this name, closed to other users
  ! [ -d "$1" ] || return 0
  mkdir -p -- "${1%/*}" 2>/dev/null
  (umask 077 && mkdir -m 700 -- "$1") 2>/dev/null || return 0
  # A new folder inherits the access control list of its parent folder.
  ! command -v setfacl >/dev/null || setfacl -b -k -m g::-,o::- -- "$1" 2>/dev/null
}

ours() { # PATH [leave] ; exits with 91 unless the working directory is private to this user. Closes it if others may only read
  at=$(pwd -P) path=$1 only=${2:-}
  set --
  while [ -n "$at" ]; do
    at=${at%/*}
    set -- "$@" "${at:-/}"
  done
  # shellcheck disable=SC2012 # not every find has -printf
  said=$(LC_ALL=C ls -ldn -- . "$@" | private)
  case $said in
    '' | .* | readable) ;;
    *) fail 91 "$path $said" ;;
  esac
  { [ -O . ] && ! [ -h "$path" ]; } || fail 91 "$path belongs to somebody else"
  case $said in
    '') ;;
    readable) close "$path" "$only" ;;
    *) fail 91 "${said#.}" ;;
  esac
}

# Nobody else can have put anything into a folder of this user that others may only read, such as one that was made with a usual
# umask. What lies in it belongs to this user then; anything else was put there while others could write.
# The inventory may name a folder that contains more, such as a home folder, which other programs must still be able to enter.
close() { # PATH [leave] ; closes the working directory to others, or just checks if it could be closed
  case ${1##*/} in drillbook*) ;; *) fail 91 "$1 is open to others, and is not a folder of Drillbook alone" ;; esac
  ! [ . -ef "${HOME:-}" ] || fail 91 "$1 is open to others, and is not a folder of Drillbook alone"
  for each in ./* ./.[!.]* ./..?*; do
    [ -e "$each" ] || [ -h "$each" ] || continue
    { [ -O "$each" ] && ! [ -h "$each" ]; } || fail 91 "$1 is open to others, and $1/${each#./} belongs to somebody else"
  done
  [ "$2" = leave ] || chmod go= . || fail 91 "$1 is open to others"
}

private() { # reads `ls -ldn . PARENT...`; prints what is wrong with this folder, or after a dot with the first bad parent. Prints
  # `readable` if nothing is wrong but that others may read this folder
  readable=
  read -r mode _ me _
  case $mode in
    drwx??????+*) echo "has an access control list, by which others may enter it" && return ;;
    drwx------*) ;;
    drwx?-??-[x-]*) readable=readable ;;
    *) echo "is open to others" && return ;;
  esac
  while read -r mode _ uid _ _ _ _ _ name; do
    case $uid in 0 | "$me") ;; *) echo ".$name belongs to another user, who may put other folders in the place of ours" && return ;; esac
    case $mode in
      ?????????[tT]*) ;;
      ?????w* | ????????w*) echo ".$name may be written by others, who may put other folders in the place of ours" && return ;;
    esac
  done
  [ -z "$readable" ] || echo readable
}

own() { # ROOT REST ; enters ROOT, which must be private to this user, and makes REST in it
  tries=0
  while :; do
    make "$1"
    if cd -- "$1" 2>/dev/null; then
      ours "$1"
      # A program that has just exited may have removed ROOT while it was empty: try again.
      ! (umask 077 && mkdir -p -- "$2") 2>/dev/null || return 0
    fi
    tries=$((tries + 1))
    [ "$tries" -lt 10 ] || break
  done
  ! [ -e "$1" ] || [ -x "$1" ] || fail 91 "$1 cannot be entered"
  fail 92 "cannot make $1/$2"
}

empty() { # ROOT REST ; removes what holds nothing any more
  (cd -- "$1" && [ -O . ] && rmdir -p -- "$2"; cd / && rmdir -- "$1") 2>/dev/null
  return 0
}
