# shellcheck shell=sh
# Folders on a target that nobody but its own user can have made, or can put another one in the place of. POSIX sh.
# What is wrong with one ends the shell: 91 it is not ours alone, 92 it cannot be made.

fail() { # STATUS WORD... ; also 90 a tool is missing, 93 not in time
  status=$1
  shift
  printf 'drillbook: %s\n' "$*" >&2
  exit "$status"
}

make() { # PATH ; makes the folder where nothing has this name, closed to others
  ! [ -d "$1" ] || return 0
  mkdir -p -- "${1%/*}" 2>/dev/null
  (umask 077 && mkdir -m 700 -- "$1") 2>/dev/null || return 0
  # A folder inherits the access list of the one that it is in.
  ! command -v setfacl >/dev/null || setfacl -b -k -m g::-,o::- -- "$1" 2>/dev/null
}

ours() { # PATH ; of the folder that this shell is in
  case $(LC_ALL=C ls -ld .) in
    drwx------+*) fail 91 "$1 has an access control list, by which others may enter it" ;;
    drwx------*) ;;
    *) fail 91 "$1 is open to others" ;;
  esac
  { [ -O . ] && ! [ -h "$1" ]; } || fail 91 "$1 belongs to somebody else"
  at=$(pwd -P)
  set --
  while [ -n "$at" ]; do
    at=${at%/*}
    set -- "$@" "${at:-/}"
  done
  # shellcheck disable=SC2012 # no find prints this everywhere
  said=$(LC_ALL=C ls -ldn -- "$@" | others)
  [ -z "$said" ] || fail 91 "$said"
}

others() { # reads the folders that one lies in, and names the first in which others could put something in its place
  me=$(id -u)
  while read -r mode _ uid _ _ _ _ _ name; do
    case $uid in 0 | "$me") ;; *) echo "$name belongs to another user, who may put other folders in the place of ours" && return ;; esac
    case $mode in
      ?????????[tT]*) ;;
      ?????w* | ????????w*) echo "$name may be written by others, who may put other folders in the place of ours" && return ;;
    esac
  done
}

own() { # ROOT REST ; goes to ROOT, which is ours alone, and makes REST in it
  tries=0
  while :; do
    make "$1"
    if cd -- "$1" 2>/dev/null; then
      ours "$1"
      # Somebody who has ended may have removed it, being empty.
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
