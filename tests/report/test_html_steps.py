"""All texts of a step are data: they are escaped, and their invisible characters are shown."""

import re

import pytest

from drillbook.findings import finding
from drillbook.judge.result import CommandView, StepResult, StepView
from drillbook.report import html_steps, long_texts
from drillbook.report.phases import PhaseRow

MARK = "<b onclick='x'>&amp;\u202e"
SAFE = "&lt;b onclick=&#39;x&#39;&gt;&amp;amp;\\u202e"


def command(text, **more):
    plain = {"argv": (text, "two words"), "exit": 1, "signal": None, "seconds": 0.25, "stdout": text, "stderr": text}
    return CommandView(**{**plain, "stdout_bytes": 10**9, "stderr_bytes": len(text.encode()), **more})


def step(text, **more):
    result = StepResult(
        id=text,
        action=text,
        host=text,
        status="failed",
        seconds=1.5,
        facts={text: text, "log": {"file": text, "sha256": text}},
    )
    texts = dict.fromkeys(("name", "phase", "effect", "undo", "undone", "message", "allowed"), text)
    commands = (command(text), command(text, signal=text), command(text, error=text))
    return StepView(
        **{"result": result, "start": 3.0, "params": {text: [text]}, "commands": commands, "attempts": 3, **texts, **more}
    )


def section(one):
    where = (one.result.id, one.result.host)
    told = [finding("step-failed", title=one.message, step=where[0], host=where[1])]
    phase = PhaseRow(one.phase, "failed", 2.0, (one,))
    return html_steps.section("2026-01-02T10:00:00Z", [phase], {where: "step-1"}, {where: told}, stop="")


@pytest.mark.parametrize("times", [1, html_steps.LONGEST])
def test_every_text_of_a_step_is_escaped(times):
    page = section(step(MARK * times))
    assert "<b " not in page
    assert "\u202e" not in page
    assert page.count(SAFE) >= 25 * times


def test_what_a_step_does_not_have_is_left_out():
    bare = step("x", name="", undo="", undone="", message="", allowed="", params={}, commands=(), attempts=1, start=None)
    page = section(bare)
    for name in ("Undo", "In the end", "Message", "Allowed, because", "Parameters", "Command", "attempts", "begun at"):
        assert f">{name}" not in page
    assert "never begun" in page


def test_a_long_text_is_folded_below_its_first_part_and_cut_on_paper_with_a_note():
    def page(body):
        long = step("x", params={}, commands=(), allowed="")
        return section(long.model_copy(update={"result": long.result.model_copy(update={"facts": {"body": body}})}))

    shown = page("y" * 5000)
    first = f'<pre class="first">{{\n  &#34;body&#34;: &#34;{"y" * (long_texts.FIRST_TEXT - 13)}\n…</pre>'
    assert f'{first}<p class="paper cut">{html_steps.CUT}</p><details class="fold whole-text not-on-paper">' in shown
    whole = f'"body": "{"y" * 5000}"\n}}'.replace('"', "&#34;")
    assert f"<summary>Show all 3 lines, 5,016 characters</summary><pre>{{\n  {whole}</pre></details>" in shown
    lines = page([f"line {number}" for number in range(40)])
    assert "line 9&#34;,\n…</pre>" in lines
    assert "line 39" in lines
    for short in (section(step("x")), page("y" * 700)):
        assert html_steps.CUT not in short
        assert '<details class="fold' not in short


def test_a_long_command_is_copied_whole_or_not_at_all():
    page = section(step("x", commands=(command("x", argv=("sh", "-c", "z" * 900)),)))
    (first,) = re.findall(r'<pre class="first">(.*?)</pre>', page, flags=re.DOTALL)
    assert first == f"sh -c {'z' * (long_texts.FIRST_TEXT - 6)}\n…"
    assert f'<pre class="command">sh -c {"z" * 900}</pre></details>' in page, "a click on this class selects all of it"


def test_the_many_commands_of_a_step_that_waited_are_folded_and_left_out_on_paper_except_the_last_and_the_last_failures():
    polls = tuple(command(f"poll-{number}", exit=int(number in (2, 4, 6))) for number in range(1, 21))
    page = section(step("x", commands=polls))
    folds = re.findall(
        r'<details class="fold whole-text not-on-paper"><summary>Show (\d+) earlier commands?</summary>', page
    )
    assert folds == ["3", "1", "11"]
    assert (
        "On paper, 5 of the 20 commands are shown: the last commands, and the last failed commands before them. The page"
        in page
    )
    shown = re.sub('<details class="fold whole-text not-on-paper">.*?</details>', "", page, flags=re.DOTALL)
    assert re.findall(r"poll-\d+(?= )", shown) == [f"poll-{number}" for number in (4, 6, 18, 19, 20)]
    assert all(f"poll-{number} " in page for number in range(1, 21))
    assert "on-paper" not in section(step("x", commands=polls[:3]))


def test_a_command_that_drillbook_ended_on_purpose_and_an_unrecorded_output_are_told_in_words():
    stopped = command("x", error="app-1: `cat fifo` was stopped; it was killed", stdout="", stdout_bytes=128)
    page = section(step("x", commands=(stopped,)))
    assert "Command, stopped by Drillbook before its own end, " in page
    assert "Standard output, 128 B, not recorded" in page
    assert "no outcome: app-1" in section(
        step("x", commands=(command("x", error="app-1: `cat` exceeded its time limit; it was killed"),))
    )


@pytest.mark.parametrize(
    ("undone", "words"),
    [
        ("put back: undone", "undone"),
        ("put back: restored", "put back by a restore"),
        ("kept as it is: x", "kept as it is: x"),
    ],
)
def test_the_outcome_of_an_undo_is_a_word(undone, words):
    assert f"<dt>In the end</dt><dd><bdi>{words}</bdi></dd>" in section(step("x", undone=undone))


def test_a_message_breaks_in_an_address_after_each_slash_and_shows_code():
    page = section(step("x", message="http://a:1/b/c answered 201; see `tool <x>`"))
    assert "http:/<wbr>/<wbr>a:1/<wbr>b/<wbr>c answered" in page
    assert "see <code>tool &lt;x&gt;</code>" in page


def test_a_script_among_the_words_of_a_command_keeps_its_lines():
    page = section(step("x", commands=(command("x", argv=("sh", "-c", "one\ntwo \u202e")),)))
    assert '<pre class="command">sh -c &#39;one\ntwo \\u202e&#39;</pre>' in page
