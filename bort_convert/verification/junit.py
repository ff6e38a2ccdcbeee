"""Verdicts as JUnit XML, which CI servers read: a suite for each file, a test case for each of its checks."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.verification.findings import CheckResult, Findings

DECLARATION: Final = '<?xml version="1.0" encoding="utf-8"?>'
NAME: Final = "bort_convert"
_ELEMENTS: Final = {"failed": "failure", "error": "error", "skipped": "skipped"}
_LINE_ENDS: Final = re.compile("[\t\n\r]")
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """A test case.

    Attributes:
        name: of the check.
        outcome: "passed", "failed", "error" (the check could not be made) or "skipped".
        message: why, in one line.
        detail: all that is known.
        type: class of an error.
    """

    name: str
    outcome: str = "passed"
    message: str = ""
    detail: str = ""
    type: str = ""


@dataclass(frozen=True)
class Suite:
    """The test cases of one file.

    Attributes:
        name: of the file or directory.
        cases: its checks.
        seconds: wall time of all checks together.
        properties: versions, digests and the like.
    """

    name: str
    cases: Sequence[Case]
    seconds: float = 0.0
    properties: Mapping[str, str] = field(default_factory=dict)


def cases_of(report: Findings) -> list[Case]:
    """A test case for each check of a report; that of the behaviour says where the first divergence is."""
    return [_case(check) for check in report.checks]


def suite_of(report: Findings) -> Suite:
    """The checks of one verification."""
    properties = {"source": report.source, "headline": report.headline, **report.versions}
    return Suite(report.target, cases_of(report), report.seconds, properties)


def to_junit(suites: Sequence[Suite]) -> str:
    """The suites as one XML document; what XML cannot hold is written as an escape."""
    cases = [case for suite in suites for case in suite.cases]
    seconds = sum(suite.seconds for suite in suites)
    lines = [DECLARATION, f"<testsuites{_counts(NAME, cases, seconds)}>"]
    for suite in suites:
        lines.append(f"  <testsuite{_counts(suite.name, suite.cases, suite.seconds)}>")
        if suite.properties:
            lines.append("    <properties>")
            pairs = suite.properties.items()
            lines += [f"      <property{_attributes(name=name, value=value)}/>" for name, value in pairs]
            lines.append("    </properties>")
        lines += [_case_element(suite.name, case) for case in suite.cases]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _case(check: CheckResult) -> Case:
    if check.passed:
        return Case(check.name)
    return Case(check.name, "failed", check.detail.partition("\n")[0], check.detail, "ParityError")


def _counts(name: str, cases: Sequence[Case], seconds: float) -> str:
    outcomes = [case.outcome for case in cases]
    counts = {"tests": len(cases), "failures": outcomes.count("failed")}
    counts |= {"errors": outcomes.count("error"), "skipped": outcomes.count("skipped")}
    return _attributes(name=name, **{key: str(count) for key, count in counts.items()}, time=f"{seconds:.3f}")


def _case_element(class_name: str, case: Case) -> str:
    start = f"    <testcase{_attributes(classname=class_name, name=case.name)}"
    if case.outcome not in _ELEMENTS:
        return f"{start}/>"
    tag, kind = _ELEMENTS[case.outcome], {"type": case.type} if case.type else {}
    result = f"<{tag}{_attributes(message=case.message, **kind)}>{_escaped(case.detail)}</{tag}>"
    return f"{start}>\n      {result}\n    </testcase>"


def _attributes(**values: str) -> str:
    return "".join(f' {name}="{_LINE_ENDS.sub(_reference, _escaped(value))}"' for name, value in values.items())


def _escaped(text: str) -> str:
    return html.escape(_NOT_IN_XML.sub(lambda match: ascii(match[0])[1:-1], text))


def _reference(match: re.Match[str]) -> str:
    return f"&#{ord(match[0])};"  # a reader makes a space of a bare one
