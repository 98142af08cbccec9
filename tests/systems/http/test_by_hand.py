"""Requests of a drill, as a person sends them with curl."""

import json
import shlex
import subprocess

from drillbook.sdk.by_hand import ManualStep, commands


def command(**params):
    return commands("http.responds", ManualStep(params, None, None, {}))


def test_the_command_sends_the_same_request(tmp_path):
    """curl writes what it would send: headers and body arrive unchanged, also with quotes and spaces."""
    (line,) = command(
        url="http://127.0.0.1:1/a b?c='d'", method="PUT", headers={"X-Note": "it's 1"}, body='{"name": "it\'s"}'
    )
    words = shlex.split(line)
    assert words[0] == "curl"
    assert words[words.index("--request") + 1] == "PUT"
    assert words[words.index("--header") + 1] == "X-Note: it's 1"
    assert json.loads(words[words.index("--data-binary") + 1]) == {"name": "it's"}
    assert words[-1] == "http://127.0.0.1:1/a b?c='d'"


def test_a_plain_request_needs_only_the_url(server):
    (line,) = command(url=f"{server}/x/404")
    assert "--request" not in line
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.startswith("HTTP/1.0 404")
    assert "<script>hello</script>" in done.stdout


def test_a_url_that_only_the_run_knows_gives_no_command():
    assert command() == command(url=None) == ()
    assert commands("http.load", ManualStep({"url": "http://x"}, None, None, {})) == ()
