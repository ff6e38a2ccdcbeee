from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bort_convert.mapping.table_file import tomllib
from bort_convert.mapping.toml_lines import line_numbers

DOCUMENT = '''# a comment [ { " \'\'\'
extends = "bert" # x = y

title = """a
[[rows]]
b = 1""""
"class" = 'Bert['
rows = [  # {
  {linear = "a", to = "b#}"},

  # [x]
  {merge = ["p", "q"], to = "c", axes = "labels"}, {drop = "d", "why" = """two
lines"""}, {drop = "e"},
]
[config]
a.b = 1
c = [1,
 2]
'lit.x'.y = 1
"X \\u00e9\\t\\"" = 2
[[more]]
x = 1
[[more]]

y = {a = 1, b = 2}
z = 2
[["more"]]'''
LINES = {
    ("extends",): 2,
    ("title",): 4,
    ("class",): 7,
    ("rows",): 8,
    ("rows", 0): 9,
    ("rows", 0, "linear"): 9,
    ("rows", 0, "to"): 9,
    ("rows", 1): 12,
    ("rows", 1, "merge"): 12,
    ("rows", 1, "to"): 12,
    ("rows", 1, "axes"): 12,
    ("rows", 2): 12,
    ("rows", 2, "drop"): 12,
    ("rows", 2, "why"): 12,
    ("rows", 3): 13,
    ("rows", 3, "drop"): 13,
    ("config",): 15,
    ("config", "a"): 16,
    ("config", "c"): 17,
    ("config", "lit.x"): 19,
    ("config", 'X é\t"'): 20,
    ("more", 0): 21,
    ("more", 0, "x"): 22,
    ("more", 1): 23,
    ("more", 1, "y"): 25,
    ("more", 1, "z"): 26,
    ("more", 2): 27,
}


def test_every_key_and_row_has_its_line() -> None:
    assert tomllib.loads(DOCUMENT)
    assert line_numbers(DOCUMENT) == LINES


TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=8)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.one_of(TEXTS.map(quoted), TEXTS.map(lambda text: f"[{quoted(text)}]"))),
        unique_by=lambda item: item[0],
    ),
    st.lists(st.sampled_from(["", "# [", "# {}", '# """', "   "]), max_size=5),
)
def test_lines_are_those_on_which_keys_were_written(pairs: list[tuple[str, str]], between: list[str]) -> None:
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for key, value in pairs:
        lines += between
        expected[key,] = len(lines) + 1
        lines.append(f"{key} = {value}")
    text = "\n".join(lines)
    parsed: dict[str, Any] = tomllib.loads(text)
    assert line_numbers(text) == expected
    assert {(key,) for key in parsed} == expected.keys()
