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

ours() { # PATH ; exits with 91 unless the working directory is private to this user
  at=$(pwd -P) path=$1
  set --
  while [ -n "$at" ]; do
    at=${at%/*}
    set -- "$@" "${at:-/}"
  done
  # shellcheck disable=SC2012 # not every find has -printf
  said=$(LC_ALL=C ls -ldn -- . "$@" | private)
  case $said in
    '' | .*) ;;
    *) fail 91 "$path $said" ;;
  esac
  { [ -O . ] && ! [ -h "$path" ]; } || fail 91 "$path belongs to somebody else"
  [ -z "$said" ] || fail 91 "${said#.}"
}

private() { # reads `ls -ldn . PARENT...`; prints what is wrong with this folder, or after a dot with the first bad parent
  read -r mode _ me _
  case $mode in
    drwx------+*) echo "has an access control list, by which others may enter it" && return ;;
    drwx------*) ;;
    *) echo "is open to others" && return ;;
  esac
  while read -r mode _ uid _ _ _ _ _ name; do
    case $uid in 0 | "$me") ;; *) echo ".$name belongs to another user, who may put other folders in the place of ours" && return ;; esac
    case $mode in
      ?????????[tT]*) ;;
      ?????w* | ????????w*) echo ".$name may be written by others, who may put other folders in the place of ours" && return ;;
    esac
  done
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
