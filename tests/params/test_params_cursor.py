from __future__ import annotations

import pytest

from bort_convert.params.cursor import Span, amount, clipped, counted, quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n'b", '"a\\n\'b"'),
        (b"\xff", r"b'\xff'"),
        ("x" * 78, f"'{'x' * 78}'"),
        ("x" * 79, f"'{'x' * 76}..."),
        ("x" * 10**6, f"'{'x' * 76}..."),
    ],
)
def test_text_of_a_file_is_escaped_and_has_80_characters_at_most(text: str | bytes, expected: str) -> None:
    assert quoted(text) == expected
    assert len(expected) <= 80


def test_long_text_is_cut() -> None:
    assert clipped("x" * 80) == "x" * 80
    assert clipped("x" * 81) == "x" * 77 + "..."


def test_numbers_have_commas_and_an_end() -> None:
    assert [amount(number) for number in (0, 1000, 2**64 - 1, 2**64)] == [
        *("0", "1,000", "18,446,744,073,709,551,615"),
        "more than 2**64",
    ]
    assert [counted(number, "byte") for number in (0, 1, 2, 2**80)] == [
        *("0 bytes", "1 byte", "2 bytes"),
        "more than 2**64 bytes",
    ]


def test_a_stretch_of_unpacked_bytes_counts_from_the_start_of_its_span() -> None:
    span = Span(bytearray(b"0123456789"), 2, 9, "x")
    assert (span.size, bytes(span.view(3, 2)), span.checked()) == (7, b"56", span)
