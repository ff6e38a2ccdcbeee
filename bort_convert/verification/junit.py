"""Verdicts as JUnit XML, which CI servers read: a suite for each file, a test case for each of its checks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.verification.findings import CheckResult, Findings

DECLARATION: Final = '<?xml version="1.0" encoding="utf-8"?>\n'
NAME: Final = "bort_convert"
_ELEMENTS: Final = {"failed": "failure", "error": "error", "skipped": "skipped"}
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
    root = ET.Element("testsuites", _counts(NAME, [case for suite in suites for case in suite.cases]))
    root.set("time", f"{sum(suite.seconds for suite in suites):.3f}")
    for suite in suites:
        element = ET.SubElement(root, "testsuite", _counts(suite.name, suite.cases))
        element.set("time", f"{suite.seconds:.3f}")
        if suite.properties:
            properties = ET.SubElement(element, "properties")
            for name, value in suite.properties.items():
                ET.SubElement(properties, "property", {"name": _clean(name), "value": _clean(value)})
        for case in suite.cases:
            _add_case(element, suite.name, case)
    ET.indent(root)
    return f"{DECLARATION}{ET.tostring(root, encoding='unicode')}\n"


def _case(check: CheckResult) -> Case:
    if check.passed:
        return Case(check.name)
    return Case(check.name, "failed", check.detail.partition("\n")[0], check.detail, "ParityError")


def _counts(name: str, cases: Sequence[Case]) -> dict[str, str]:
    outcomes = [case.outcome for case in cases]
    counts = {"tests": len(cases), "failures": outcomes.count("failed")}
    counts |= {"errors": outcomes.count("error"), "skipped": outcomes.count("skipped")}
    return {"name": _clean(name), **{key: str(count) for key, count in counts.items()}}


def _add_case(suite: ET.Element, class_name: str, case: Case) -> None:
    element = ET.SubElement(suite, "testcase", {"classname": _clean(class_name), "name": _clean(case.name)})
    if case.outcome in _ELEMENTS:
        kind = {"type": case.type} if case.type else {}
        result = ET.SubElement(element, _ELEMENTS[case.outcome], {"message": _clean(case.message), **kind})
        result.text = _clean(case.detail) or None


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub(lambda match: ascii(match[0])[1:-1], text)
