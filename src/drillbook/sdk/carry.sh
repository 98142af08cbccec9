# shellcheck shell=sh
# Program that transfers files between a host without python3 and a store; see carry.py. POSIX sh with curl and
# sha256sum. `sent_program` sends it through standard input. `send FOLDER PLAN` and `fetch FOLDER PLAN`: a PLAN is one
# line for each object: NAME OFFSET LENGTH SHA256 URL. Output is JSON in the format of carry.py.
set -u
umask 077

# URLs are passed to curl in its configuration on standard input, never as arguments, which other users could see.
ask() { # URL, then options of curl; gives status and ETag
  url=$1; shift
  printf 'url = "%s"\n' "$url" | curl --config - --noproxy '*' --silent --show-error --connect-timeout 10 \
    --speed-time 60 --speed-limit 1 --retry 3 --retry-delay 1 --dump-header "$work/header" --write-out '%{http_code}' "$@"
}

digest() { sha256sum | cut -d' ' -f1; }

part() { # FILE OFFSET LENGTH
  tail -c "+$(($2 + 1))" "$1" | head -c "$3"
}

base64_of() { # HEX
  escaped=$(printf '%s' "$1" | sed 's/../\\x&/g')
  if command -v xxd >/dev/null; then printf '%s' "$1" | xxd -r -p | base64
  else env printf "$escaped" | base64
  fi
}

survey() { # FOLDER PART_SIZE
  cd "$1" || exit 1
  printf '['
  separator=
  find . -type f | sed 's|^\./||' | LC_ALL=C sort | while IFS= read -r name; do
    size=$(($(wc -c < "$name")))
    whole=$(digest < "$name")
    parts='' offset=0 comma=''
    while test "$size" -gt "$2" && test "$offset" -lt "$size"; do
      parts="$parts$comma\"$(part "$name" "$offset" "$2" | digest)\""
      offset=$((offset + $2)) comma=,
    done
    printf '%s{"name":"%s","size":%s,"sha256":"%s","parts":[%s]}' "$separator" "$name" "$size" "$whole" "$parts"
    separator=,
  done
  printf ']'
}

send() { # NAME OFFSET LENGTH SHA256 URL
  part "$root/$1" "$2" "$3" > "$work/part"
  status=$(ask "$5" --upload-file "$work/part" --header "x-amz-checksum-sha256: $(base64_of "$4")" \
    --header 'Expect:' --output "$work/answer" 2> "$work/error")
  if test "$status" = 200; then
    printf '{"etag":"%s"}' "$(sed -n 's/^[Ee][Tt][Aa][Gg]: *//p' "$work/header" | tr -d '\r' | sed 's/"/\\"/g' | tail -n 1)"
  else
    printf '{"problem":"%s %s"}' "$status" "$(code)"
  fi
}

fetch() { # NAME OFFSET LENGTH SHA256 URL
  mkdir -p "$(dirname "$root/$1")"
  status=$(ask "$5" --output "$root/$1" 2> "$work/error")
  ended=$?
  if test "$status" = 404; then problem=missing measured=404
  elif test "$status" != 200 || test $ended != 0; then problem=error measured="$status $(code)"
  else
    size=$(($(wc -c < "$root/$1"))) found=$(digest < "$root/$1") problem='' measured=''
    if test "$size" != "$3"; then problem=size measured=$size
    elif test "$found" != "$4"; then problem=digest measured=$found
    fi
  fi
  printf '{"problem":"%s","measured":"%s"}' "$problem" "$measured"
}

# shellcheck disable=SC1003 # one literal backslash is meant
code() { cat "$work/answer" "$work/error" 2>/dev/null | tr -d '"\\' | tr '\n' ' ' | sed -n 's|.*<Code>\([A-Za-z0-9]*\)</Code>.*|\1|p;t;s|.*curl: \(([0-9]*)\).*|curl \1|p'; }

if test "$1" = survey; then
  survey "$2" "$3"
  exit 0
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
root=$2
{
  printf '['
  separator=
  while IFS=' ' read -r name offset length sha256 url; do
    printf '%s' "$separator"
    case /$name/ in //* | */../*) echo "$name is not in $root" >&2; exit 1 ;; esac
    "$1" "$name" "$offset" "$length" "$sha256" "$url"
    separator=,
  done
  printf ']'
} < "$3"
