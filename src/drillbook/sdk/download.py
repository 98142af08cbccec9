"""Shell scripts that run on a host and download a file from a URL. They use curl or Python.

The URL may be a secret, such as a presigned URL. So it is read from standard input, and never appears in a list of processes.
No proxy is used.
"""

from __future__ import annotations

_CURL = r"""printf 'url = "%s"\n' "$url" |
  curl --config - --noproxy '*' --silent --show-error --fail --location --connect-timeout 10"""
_URL = "IFS= read -r url\n"


def _script(options: str, python: str) -> str:
    """Return a script that downloads with curl and its ``options``. On a host without curl, it uses the ``python`` code."""
    lines = "\n".join(f"    {line}" for line in python.strip().splitlines())
    return f"""{_URL}if command -v curl >/dev/null; then
  {_CURL} {options}
else
  printf '%s' "$url" | python3 -c "$(cat <<'PROGRAM'
import shutil, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
request = urllib.request.Request(sys.stdin.read())
try:
{lines}
except Exception as error:
    sys.exit("python3: %s" % error)
PROGRAM
)" "$1"
fi
"""


# PATH: read a URL from standard input, and download its content to PATH.
WHOLE = "umask 077\n" + _script(
    '--speed-time 60 --speed-limit 1 --retry 3 --output "$1"',
    """
with opener.open(request, timeout=60) as answer, open(sys.argv[1], "wb") as file:
    shutil.copyfileobj(answer, file, 1 << 20)
    wanted = answer.headers.get("Content-Length")
    if wanted is not None and int(wanted) != file.tell():
        raise SystemExit("the answer ended early")
""",
)
# LIMIT: read a URL from standard input, and print up to LIMIT bytes from the beginning of its content.
BEGINNING = _script(
    '--range "0-$(($1 - 1))"',
    """
request.add_header("Range", "bytes=0-%d" % (int(sys.argv[1]) - 1))
with opener.open(request, timeout=10) as answer:
    sys.stdout.buffer.write(answer.read(int(sys.argv[1])))
""",
)
# Read a URL from standard input, and print the headers of the answer. Only one byte of the content is requested.
HEADERS = f"{_URL}{_CURL} --range 0-0 --dump-header - --output /dev/null\n"
