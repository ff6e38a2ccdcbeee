"""The ids of a SentencePiece tokenizer are compared with those of GluonNLP's own, as the check "as used" does."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from converted_dir import seal
from sentencepiece_files import CONTROL, NORMAL, UNKNOWN, USER_DEFINED, model

from bort_convert import convert, verify
from bort_convert.verification.findings import AS_USED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.mxnet]
ROWS = 40
UNK, ENDS = ("<unk>", 0.0, UNKNOWN), (("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL))
NAMED = tuple((f"<{name}>", 0.0, CONTROL) for name in ("cls", "sep", "pad", "mask"))
FIRST = {"xlnet": (UNK, *ENDS, *NAMED), "gpt2": (*ENDS, ("<usr>", 0.0, USER_DEFINED), ("<pad>", 0.0, CONTROL), UNK)}
SOURCES = {"xlnet": "xlnet_2_2_8_8", "gpt2": "gpt2_2_3_48_12"}


@pytest.fixture(scope="module", params=SOURCES)
def converted(request: pytest.FixtureRequest, fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, its vocabulary beside it, and a directory that was made of both."""
    folder = tmp_path_factory.mktemp(request.param)
    words = ["▁", "the", "▁the", ",", ".", *"abdefhiklnorstuwyzTQAW1234"][: ROWS - len(FIRST[request.param])]
    pieces = [*FIRST[request.param], *((word, -2.0 - number / 8, NORMAL) for number, word in enumerate(words))]
    pieces += [(chr(0x4E00 + number), -9.0 - number, NORMAL) for number in range(ROWS - len(pieces))]
    (folder / "x.spiece").write_bytes(model(pieces))
    source = folder / "source.params"
    shutil.copyfile(fixtures / f"{SOURCES[request.param]}.params", source)
    heads = 3 if request.param == "gpt2" else None
    convert(source, folder / "out", vocab=folder / "x.spiece", heads=heads)
    return folder


def used(folder: Path, out: Path) -> tuple[bool, str]:
    report = verify(folder / "source.params", out, dtype="float32")
    (check,) = (check for check in report.checks if check.name == AS_USED)
    return check.passed, check.detail


def test_ids_are_those_of_gluonnlps_tokenizer(converted: Path) -> None:
    passed, detail = used(converted, converted / "out")
    assert passed, detail
    assert "ids of 10 texts are those of GluonNLP's tokenizer" in detail
    assert "cuts twice" not in detail, "no piece holds a digit and a comma"


@pytest.mark.parametrize("converted", ["xlnet"], indirect=True)
@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer.json", {"normalizer": None}, "expected ["),
        ("tokenizer.json", {"post_processor": None}, "for a whole text, expected ["),
        ("tokenizer_config.json", {"padding_side": "right"}, "padding_side is 'right', expected 'left'"),
    ],
)
def test_a_tokenizer_that_reads_otherwise_is_found(
    converted: Path, tmp_path: Path, file: str, change: dict[str, object], message: str
) -> None:
    """The file is sealed: only what the tokenizer does shows the mistake."""
    out = shutil.copytree(converted / "out", tmp_path / "out")
    content = json.loads((out / file).read_text("utf-8"))
    (out / file).write_text(json.dumps({**content, **change}), "utf-8")
    seal(out, file)
    passed, detail = used(converted, out)
    assert not passed
    assert message in detail
