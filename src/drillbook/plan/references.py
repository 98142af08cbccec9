"""Rule for expressions in a drill: each name in them must be known when the step begins."""

from __future__ import annotations

from typing import Any

from drillbook.errors import SourceError
from drillbook.language import template
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Place as FilePlace
from drillbook.language.strict import did_you_mean
from drillbook.plan.spec import Drill
from drillbook.plan.step_rules import Fail


class References:
    """Checks expressions of one drill. ``static``: names that are known before the run. ``saved``: names under which earlier
    steps save their facts; the planner adds to it.
    """

    def __init__(self, drill: Drill, static: dict[str, Any], saved: dict[str, str], fail: Fail) -> None:
        """Store the known names."""
        self.drill, self.static, self.saved, self.fail = drill, static, saved, fail
        self.maybe: frozenset[str] = frozenset()
        """Names under which a step may save its facts, although the step is not known because of a mistake in it. Expressions
        with these names are not reported as mistakes.
        """

    def expressions(self, place: FilePlace, texts: dict[str, tuple[str, ...]]) -> None:
        """Check the expressions in the keywords of the step at ``place``. Raises one error for all mistakes."""
        mistakes = Mistakes()
        for key, listed in texts.items():
            for text in listed:
                extra = ("result",) if key == "expect" else ()
                mistakes.of(self._refer, text, (*place, key), bare=True, extra=extra)
        mistakes.report()

    def values(self, value: Any, place: FilePlace) -> None:
        """Check the expressions in a value. Raises one error for all mistakes."""
        mistakes = Mistakes()
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in inner:
            mistakes.of(self.values, item, (*place, key))
        if template.is_template(value):
            self._refer(value, place)
        mistakes.report()

    def _refer(self, text: str, place: FilePlace, *, bare: bool = False, extra: tuple[str, ...] = ()) -> None:
        try:
            references = list(template.references(text, bare=bare))
        except ValueError as error:
            raise self.fail(place, f"not an expression: {error}") from None
        mistakes = Mistakes()
        for reference in references:
            if reference[0] in self.saved or reference[0] in self.maybe or reference[0] in extra:
                continue
            if reference[0] in self.static:
                mistakes.of(self._follow, reference, place)
            else:
                mistakes.errors.append(self._unknown(reference[0], place, extra))
        mistakes.report()
        if not bare and all(reference[0] in self.static for reference in references):
            self._affordable(text, place)

    def _affordable(self, text: str, place: FilePlace) -> None:
        """Raise an error if the evaluation of an expression exceeds its budget, which limits time and size.

        The expression contains only names that are known before the run. Other errors in it are not reported here, but when
        the step begins.
        """
        try:
            template.evaluate(text, self.static)
        except template.OverBudget as error:
            raise self.fail(place, str(error)) from None
        except ValueError:
            return

    def _unknown(self, name: str, place: FilePlace, extra: tuple[str, ...]) -> SourceError:
        later = [step for steps in self.drill.phases.values() for step in steps if step.keywords.save == name]
        if later:
            where = self.drill.document.where(later[0].place)
            return self.fail(
                place,
                f"{name!r} has no value yet, because it is saved later, in line {where.line}",
                "refer only to steps that finish before this step begins",
            )
        known = [*self.static, *self.saved, *extra]
        return self.fail(
            place, f"no step saves the name {name!r}", f"{did_you_mean(name, known)}names known here: {', '.join(known)}"
        )

    def _follow(self, reference: template.Reference, place: FilePlace) -> None:
        value: Any = self.static[reference[0]]
        for index, part in enumerate(reference[1:], 1):
            if not isinstance(value, dict):
                return
            if part not in value:
                path = ".".join(reference[:index])
                raise self.fail(
                    place,
                    f"{path} has no {part!r}",
                    f"{did_you_mean(part, value)}its keys: {', '.join(map(str, value)) or 'nothing'}",
                )
            value = value[part]
