from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

import bort_convert
from bort_convert.batch.options import OPTIONS
from bort_convert.batch.plan import Entry, read_plan
from bort_convert.errors import PlanError

if TYPE_CHECKING:
    from pathlib import Path

CSV = """\
source,name,family,heads,labels,lower_case,hyperparameters,vocab,trace
a.params,first,bort,8,"x, y",true,activation=gelu; clamp_len=5,v.vocab,
sub/b.params,,,,names.txt,,,,ref.safetensors
,,,,,,,,
"""
JSONL = """\
{"source": "a.params", "name": "first", "family": "bort", "heads": 8, "labels": ["x", "y"], "lower_case": true, \
"hyperparameters": {"activation": "gelu", "clamp_len": 5}, "vocab": "v.vocab"}

{"source": "sub/b.params", "labels": ["one", "two, three"], "trace": "ref.safetensors"}
"""
TOML = """\
[defaults]
heads = 8
[[file]]
source = "a.params"
name = "first"
family = "bort"
labels = ["x", "y"]
lower_case = true
vocab = "v.vocab"
[file.hyperparameters]
activation = "gelu"
clamp_len = 5
[[file]]
source = "sub/b.params"
labels = ["one", "two, three"]
heads = ""
trace = "ref.safetensors"
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def mistakes_of(*arguments: object, **options: object) -> list[str]:
    with pytest.raises(PlanError) as caught:
        read_plan(*arguments, **options)
    assert caught.value.exit_code == 2
    return list(caught.value.disagreements)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [("p.csv", CSV, (2, 3)), ("p.jsonl", JSONL, (1, 3)), ("p.toml", TOML, (3, 13))],
)
def test_every_form_of_a_plan_gives_the_same_entries(
    tmp_path: Path, name: str, text: str, lines: tuple[int, int]
) -> None:
    (tmp_path / "names.txt").write_text("one\ntwo, three\n")
    path = written(tmp_path, name, text)
    first = {"family": "bort", "heads": 8, "labels": ["x", "y"], "lower_case": True}
    first |= {"hyperparameters": {"activation": "gelu", "clamp_len": 5}, "vocab": str(tmp_path / "v.vocab")}
    second = {"labels": ["one", "two, three"], "trace": str(tmp_path / "ref.safetensors")}
    assert read_plan(path) == (
        Entry(str(tmp_path / "a.params"), "first", first, f"{path}:{lines[0]}"),
        Entry(str(tmp_path / "sub" / "b.params"), "b", second, f"{path}:{lines[1]}"),
    )


def test_a_plan_has_every_option_of_a_conversion() -> None:
    others = {"source", "target", "producer", "tokenizer_options", "verify", "force", "progress"}
    assert {*inspect.signature(bort_convert.convert).parameters} - others == {*OPTIONS} - {"trace"}


def test_all_mistakes_of_a_plan_come_at_once_each_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "p.csv",
        "source,name,family,heads,strict,hyperparameters,head\n"
        "a.params,a,brot,0,perhaps,activation,8\n"
        ",b\n"
        "c.params,../c\n"
        "d.params,batch.json\n"
        "e.params,e\n"
        "f.params,E\n"
        "g.params,e/inner\n"
        "h.params,h,,,,,,more\n",
    )
    mistakes = mistakes_of(path)
    expected = [
        (2, "family is 'brot'; expected one of "),
        (2, "heads is '0'; expected a whole number from 1 on"),
        (2, "strict is 'perhaps'; expected true or false"),
        (2, "hyperparameters is 'activation'; expected NAME=VALUE with semicolons between, each name once"),
        (2, "there is no option 'head'; expected source, name, family, "),
        (3, "source is ''; expected the name of a checkpoint"),
        (4, "name is '../c'; expected one below the root"),
        (5, "name is 'batch.json', which the batch itself writes"),
        (7, f"name is 'E', as at {path}:6"),
        (8, f"name is 'e/inner', inside of the target of {path}:6"),
        (9, "8 cells, expected 7 as in the first line"),
    ]
    assert len(mistakes) == len(expected)
    for line, start in expected:
        assert [found for found in mistakes if found.startswith(f"{path}:{line}: {start}")], (line, start, mistakes)


@pytest.mark.parametrize(
    ("name", "text", "mistakes"),
    [
        (
            "p.jsonl",
            '{"source": "a"}\n[1]\n{"source": \n',
            ["2: is no object such as", "3: is no JSON: Expecting value"],
        ),
        ("p.jsonl", '{"source": 5, "heads": true}', ["1: heads is True; expected a whole", "1: source is 5; expected"]),
        ("p.csv", "source,heads,heads\n", ["1: the column 'heads' stands there twice"]),
        ("p.csv", 'source\n"a\n', ["2: is no CSV: unexpected end of data"]),
        ("p.toml", "[[file]]\nsource = a\n", ["2: is no TOML: Invalid value"]),
        ("p.toml", "[files]\n", ["1: there is no table 'files'; expected [defaults] and"]),
        ("p.toml", "file = 3\n", ["1: expected a table [defaults], and [[file]]"]),
    ],
)
def test_a_file_that_is_no_plan_says_where(tmp_path: Path, name: str, text: str, mistakes: list[str]) -> None:
    path = written(tmp_path, name, text)
    found = mistakes_of(path)
    assert len(found) == len(mistakes)
    for line, start in zip(found, mistakes, strict=True):
        assert line.startswith(f"{path}:{start}")


def test_a_plan_that_cannot_be_read_or_is_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"p.csv: the plan cannot be read: No such file"):
        read_plan(tmp_path / "p.csv")
    for name, text in (("p.csv", "source,name\n"), ("p.jsonl", "\n")):
        with pytest.raises(PlanError, match="the plan has no checkpoint in it"):
            read_plan(written(tmp_path, name, text))
    (tmp_path / "empty").mkdir()
    assert mistakes_of(tmp_path / "empty") == [f"{tmp_path / 'empty'}: holds no checkpoint (*.params)"]
    with pytest.raises(PlanError, match=r"plan has a mistake:\n  .*nothing\*: holds no checkpoint"):
        read_plan(f"{tmp_path}/nothing*")


def test_folders_patterns_and_files_are_plans_too(tmp_path: Path) -> None:
    for name in ("a.params", "x/b.params", "x/y/b.params", "x/note.txt", "c.model"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def names(*plan: object, **options: object) -> list[str]:
        return [entry.name for entry in read_plan([str(part) for part in plan], **options)]

    assert names(tmp_path) == ["a", "x/b", "x/y/b"]
    assert names(f"{tmp_path}/**/b.params") == ["x/b", "x/y/b"]
    assert names(f"{tmp_path}/x/*.params", tmp_path / "c.model") == ["b", "c"]
    assert mistakes_of([str(tmp_path / "a.params"), str(tmp_path)])[0].endswith("give each a `name` of its own")
    (entry,) = read_plan(tmp_path / "a.params", defaults={"heads": 3, "family": "bort", "vocab": "v"})
    assert entry.options == {"heads": 3, "family": "bort", "vocab": "v"}
    assert mistakes_of(tmp_path / "a.params", defaults={"heads": "three"}) == [
        "heads is 'three'; expected a whole number from 1 on"
    ]


def test_a_plan_overrides_the_options_of_all(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "source,heads\na.params,8\nb.params,\n")
    assert [entry.options for entry in read_plan(path, defaults={"heads": 2})] == [{"heads": 8}, {"heads": 2}]


def test_traces_of_a_folder_go_with_the_targets_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "traces" / "x").mkdir(parents=True)
    (tmp_path / "traces" / "x" / "a.safetensors").touch()
    path = written(tmp_path, "p.csv", "source,name,trace\na.params,x/a,\nb.params,b,\nc.params,c,c.ref\n")
    first, second, third = read_plan(path, traces=tmp_path / "traces")
    assert first.options == {"trace": str(tmp_path / "traces" / "x" / "a.safetensors")}
    assert second.options == {}
    assert third.options == {"trace": str(tmp_path / "c.ref")}
