from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from bort_convert.agora.datasets import folded, read_data
from bort_convert.agora.values import Example

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.agora.values import Data


def points(prefix: str, positive: int, negative: int) -> list[tuple[str, object]]:
    return [(f"{prefix} {number}", "pos" if number < positive else "neg") for number in range(positive + negative)]


def csv_file(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


def good() -> dict[str, list[tuple[str, object]]]:
    return {"train": points("train", 5, 5), "dev": points("dev", 30, 30), "test": points("test", 2, 2)}


def read(**sources: object) -> Data:
    return read_data(**(good() | sources))  # type: ignore[arg-type]


def test_files_and_values_give_the_same_sets(tmp_path: Path) -> None:
    table = csv_file(tmp_path / "a.csv", "\ufefflabel,more,text", 'pos,,"So ""good"", and\nnew"', "neg,x,Ünwell ")
    rows = [{"text": 'So "good", and\nnew', "label": "pos"}, {"label": "neg", "text": "Ünwell "}]
    lines = csv_file(tmp_path / "a.jsonl", *map(json.dumps, rows), "")
    expected = (Example('So "good", and\nnew', 1), Example("Ünwell ", 0))
    for source in (table, str(lines), [(row["text"], row["label"]) for row in rows]):
        data = read(train=source)
        assert data.problems == ()
        assert data.train == expected
        assert data.labels == ("neg", "pos")
    assert read(train=table).digests["train"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert read().digests["train"] != read(train=points("other", 5, 5)).digests["train"]
    assert read().warnings == ()


def test_pairs(tmp_path: Path) -> None:
    table = csv_file(tmp_path / "a.csv", "text_a,text_b,label", "One,Two,1", "Three,Four,0")
    data = read_data(table, [(("Five", "Six"), 0), (("One", "six"), 1)])
    assert data.problems == ()
    assert data.train == (Example("One", 1, "Two"), Example("Three", 0, "Four"))
    assert data.dev[0].texts == ("Five", "Six")
    assert read_data(table, [("Five", 1), ("Six", 0)]).problems == (
        f"pairs of texts in {table}, single texts in dev: expected one of them",
    )
    assert "1 text of dev (row 2) also in" in read_data(table, [(("Six", "x"), 0), (("one ", "TWO"), 1)]).problems[0]


def test_all_problems_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    train = csv_file(tmp_path / "train.csv", "text,label", "a,pos", ",neg", b"\xff,neg", "b", "c,", "  ,pos", "d,neg,x")
    dev = csv_file(
        tmp_path / "dev.jsonl",
        '{"text": 3, "label": 1}',
        "[]",
        "{",
        '{"label": "pos"}',
        '{"text": "\\ud800", "label": 0}',
    )
    test = csv_file(tmp_path / "test.csv")
    pool = csv_file(tmp_path / "pool.csv", "words", "a", "b", "c", "d", "e")
    assert read(train=train, dev=dev, test=test, pool=pool).problems == (
        f"{train}: 2 with an empty text: rows 2, 6",
        f"{train}: 1 with bytes that are not UTF-8: row 3",
        f"{train}: 2 with another number of columns than the header: rows 4, 7",
        f"{train}: 1 with an empty label: row 5",
        f"{dev}: 1 with a text that is no string: row 1",
        f"{dev}: 1 with no JSON object: row 2",
        f"{dev}: 1 with no JSON: row 3",
        f"{dev}: 1 with no text (there: label; expected: text, or text_a and text_b, and label): row 4",
        f"{dev}: 1 with bytes that are not UTF-8: row 5",
        f"{test}: is empty",
        f"{pool}: 5 with no text (there: words; expected: text, or text_a and text_b): rows 1, 2, 3 and 2 more",
        f"{train}: 1 label, expected 2: 'pos' once, first in row 1",
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("no.csv", None, "cannot be read: No such file or directory"),
        ("a.tsv", "text", "expected a name that ends in .csv or .jsonl"),
        ("a.txt", "text", "expected a name that ends in .csv or .jsonl"),
        ("a.csv", 'text,label\n"a,pos', "is no CSV: unexpected end of data"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, content: str | None, problem: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert read(test=tmp_path / name).problems == (f"{tmp_path / name}: {problem}",)


def test_labels_that_do_not_fit() -> None:
    three = [*points("train", 2, 2), ("odd", "none"), ("odder", "none")]
    counts = [f"{label!r} 2 times, first in row {row}" for label, row in (("neg", 3), ("none", 5), ("pos", 1))]
    assert read(train=three).problems == (f"train: 3 labels, expected 2: {', '.join(counts)}",)
    assert read(dev=[*points("dev", 30, 30), ("odd", "none")], test=[("a", "x"), ("b", "x"), ("c", "y")]).problems == (
        "dev: the label 'none', once, first in row 61, is not in train",
        "test: the label 'x', 2 times, first in row 1, is not in train",
        "test: the label 'y', once, first in row 3, is not in train",
    )


def test_texts_in_two_sets_are_found_after_folding() -> None:
    again = [(" TRAIN   1 ", "pos"), ("train 3", "pos"), ("train 4", "neg"), ("Train\t5", "neg")]
    test = [("DEV 7", "pos"), ("train 2", "neg")]
    both = read(dev=[*points("dev", 30, 30), *again], test=test)
    first = (
        "4 texts of dev (rows 61, 62, 63 and 1 more) also in train (rows 2, 4, 5 and 1 more), but for case and spaces"
    )
    later = (
        "1 text of test (row 2) also in train (row 3), but for case and spaces",
        "1 text of test (row 1) also in dev (row 8), but for case and spaces",
    )
    assert both.problems == (f"{first}; `allow_overlap='train:dev'` accepts it", *later)
    assert read(dev=[*points("dev", 30, 30), *again], test=test, allow_overlap=["train:dev"]).problems == later
    assert read(test=test, allow_overlap=["dev:test", "train:test"]).problems == (
        "`allow_overlap='dev:test'`: expected 'train:dev'; no set may share a text with the test set",
        "`allow_overlap='train:test'`: expected 'train:dev'; no set may share a text with the test set",
        *later,
    )


def test_what_is_doubtful_is_a_warning() -> None:
    data = read_data(points("train", 13, 7), points("dev", 24, 24))
    assert data.problems == ()
    assert data.warnings == (
        "train: 65% are 'pos'; `balance=True` leaves as many of each",
        "dev: 48 points: one mistake is 2.1%, and all models are compared on it",
        "no test set: every figure is on dev, where the model was chosen",
    )
    assert read(train=points("train", 6, 4)).warnings == ()
    assert read(test=points("test", 1, 9)).warnings == ("test: 90% are 'neg'",)


def test_balance_reduces_the_majority_of_train_and_dev_with_the_seed_and_keeps_the_order() -> None:
    sources = {"train": points("train", 30, 10), "dev": points("dev", 20, 30), "test": points("test", 1, 5)}
    data = read_data(**sources, balance=1)
    assert [sum(example.label for example in found) for found in (data.train, data.dev, data.test)] == [10, 20, 1]
    assert [len(found) for found in (data.train, data.dev, data.test)] == [20, 40, 6]
    order = [int(example.text.split()[1]) for example in data.train]
    assert order == sorted(order)
    assert "balance" not in "".join(data.warnings)
    assert read_data(**sources, balance=1).train == data.train
    assert read_data(**sources, balance=2).train != data.train


def test_a_pool_has_no_text_of_another_set_and_none_twice(tmp_path: Path) -> None:
    pool = tmp_path / "pool.txt"
    pool.write_text("new\n\nTest  1\nNEW\ntrain 1\nother\n")
    data = read(pool=pool)
    assert data.problems == ()
    assert data.pool == ("new", "other")
    assert data.warnings == (f"{pool}: 3 texts are left out: they are there twice, or in another set",)
    assert set(data.digests) == {"train", "dev", "test", "pool"}


def test_folding() -> None:
    assert folded(" Straße\tNo  1 ") == folded("STRASSE no 1")
    assert folded(("a", "b c")) != folded(("a b", "c"))
