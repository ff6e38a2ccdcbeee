"""Published files are told by size and SHA-1: here a fixture stands for one, in a list with its own SHA-1."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from command_line import run

import bort_convert
from bort_convert import zoo
from bort_convert.errors import FormatError, MappingError, OptionError, VariantError
from bort_convert.model_dir.manifest import Manifest
from bort_convert.model_dir.model_card import card_text
from bort_convert.params import open_params
from bort_convert.zoo import Origin, Vocabulary, ZooEntry, recognise, zoo_entries

if TYPE_CHECKING:
    from pathlib import Path

NAME = "bert_2_2_8_8_rabbits_uncased"
FILE = f"{NAME}-01234567.params"


def sha1_of(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def source(fixtures: Path) -> Path:
    return fixtures / "bert_2_2_8_8.params"


@pytest.fixture
def entry(source: Path, fixtures: Path) -> ZooEntry:
    """The fixture as a published file, whose vocabulary is that of lower-cased text."""
    vocab = fixtures / "tiny_bert.vocab"
    return ZooEntry(
        NAME,
        "0.x",
        FILE,
        sha1_of(source),
        source.stat().st_size,
        vocabulary=Vocabulary(vocab.name, sha1_of(vocab), 40, "WordPiece", lower_case=True),
        family="bert",
        form="language model",
        architecture="BertForPreTraining",
        origin=Origin("Carroll (1865)", ("en",), ("wonderland",), "cc0-1.0", "the Queen", "wonderland/rabbits"),
    )


@pytest.fixture
def published(entry: ZooEntry, monkeypatch: pytest.MonkeyPatch) -> ZooEntry:
    """The same, in a list of its own in place of GluonNLP's."""
    monkeypatch.setattr(zoo, "zoo_entries", lambda: (entry,))
    return entry


@pytest.fixture
def alike(source: Path, tmp_path: Path) -> Path:
    """A file of the same size and name, with one bit changed in the last value."""
    data = bytearray(source.read_bytes())
    with open_params(source) as params:
        last = max(params.header.values(), key=lambda info: info.offset or 0)
        assert last.offset is not None
        data[last.offset] ^= 1
    (tmp_path / FILE).write_bytes(data)
    return tmp_path / FILE


def never() -> str:
    raise AssertionError("it was hashed")


# The list


def test_names_files_and_hashes_are_unique_and_complete() -> None:
    entries = zoo_entries()
    assert len({entry.name for entry in entries}) == len({entry.sha1 for entry in entries}) == len(entries) == 102
    for entry in entries:
        assert len(entry.sha1) == 40
        assert entry.file.endswith(f"-{entry.sha1[:8]}.params")
        assert bool(entry.family) == bool(entry.architecture) == bool(entry.size) == (not entry.refusal), entry.name
        assert bool(entry.origin.license) == bool(entry.origin.license_source)


def test_casing_is_that_of_the_name() -> None:
    for entry in zoo_entries():
        if "cased" in entry.name:
            assert entry.lower_case is ("uncased" in entry.name), entry.name


@pytest.mark.mxnet
def test_the_hashes_of_0_x_are_those_of_gluonnlp() -> None:
    import gluon_models  # noqa: F401, PLC0415 - it prepares NumPy for MXNet
    from gluonnlp.data.utils import _vocab_sha1  # noqa: PLC0415
    from gluonnlp.model.bert import model_store  # noqa: PLC0415 - importing the package fills it

    listed = {entry.name: entry.sha1 for entry in zoo_entries() if entry.gluonnlp == "0.x"}
    vision = ("alexnet", "densenet", "inception", "mobilenet", "resnet", "squeezenet", "vgg")
    theirs = {name: sha1 for name, sha1 in model_store._model_sha1.items() if not name.startswith(vision)}  # noqa: SLF001
    assert len(theirs) == 31
    assert theirs.items() <= listed.items()
    assert {name.partition("_")[0] for name in listed.keys() - theirs.keys()} == {"distilbert", "gpt2", "xlnet", "bert"}
    vocabularies = {entry.vocabulary for entry in zoo_entries() if entry.gluonnlp == "0.x" and entry.vocabulary}
    for vocabulary in vocabularies:
        name = vocabulary.file.rpartition("-")[0]
        if name in _vocab_sha1 and not vocabulary.file.endswith(".spiece"):
            assert vocabulary.sha1 in _vocab_sha1[name], name


# Recognition


def test_a_file_of_another_size_and_name_is_not_hashed(entry: ZooEntry) -> None:
    assert recognise("x.params", entry.size + 1, never, [entry]) is None
    assert recognise("x.params", 437_941_008 - 1, never) is None


def test_size_and_sha1_together_tell_a_file(entry: ZooEntry) -> None:
    assert recognise("x.params", entry.size, lambda: entry.sha1, [entry]) is entry
    assert recognise("x.params", entry.size, lambda: "0" * 40, [entry]) is None


def test_a_name_of_0_x_is_a_reason_to_hash_and_no_proof(entry: ZooEntry) -> None:
    other = replace(entry, size=0)
    assert recognise(FILE, entry.size, lambda: entry.sha1, [other]) is other
    assert recognise(FILE, entry.size, lambda: "0" * 40, [other]) is None
    assert recognise(FILE, entry.size, never, [replace(other, gluonnlp="1.0")]) is None


@pytest.mark.parametrize("kind", ["file", "zip", "deflated", "tar", "folder"])
def test_a_file_is_told_in_whatever_holds_it(kind: str, source: Path, tmp_path: Path, published: ZooEntry) -> None:
    holder = tmp_path / "model"
    if kind == "file":
        shutil.copy(source, holder)
    elif kind == "folder":
        holder.mkdir()
        shutil.copy(source, holder / "x.params")
    elif kind == "tar":
        with tarfile.open(holder, "w:gz") as archive:
            archive.add(source, "here/x.params")
    else:
        with zipfile.ZipFile(
            holder, "w", zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED
        ) as archive:
            archive.write(source, f"here/{FILE}")
    inspection = bort_convert.inspect(holder, family="bert", heads=2)
    assert inspection.published is published
    assert inspection.to_dict()["published"] == published.to_dict()
    with open_params(holder) as params:
        expected = {"file": "model", "folder": "x.params", "tar": "x.params"}.get(kind, FILE)
        assert (params.content.name, params.content.size) == (expected, source.stat().st_size)


def test_a_file_that_looks_alike_is_never_called_one(alike: Path, tmp_path: Path, published: ZooEntry) -> None:
    assert alike.stat().st_size == published.size
    assert bort_convert.inspect(alike, family="bert", heads=2).published is None
    manifest = bort_convert.convert(alike, tmp_path / "out", family="bert", heads=2)
    assert manifest.published == ""
    assert NAME not in (tmp_path / "out" / "README.md").read_text("utf-8").replace(FILE, "")
    assert "this is" not in run("inspect", alike, "--family", "bert", "--heads", 2).stdout


def test_recognition_can_be_left_out(source: Path, tmp_path: Path, published: ZooEntry) -> None:
    assert bort_convert.inspect(source, family="bert", heads=2, recognise=False).published is None
    assert bort_convert.convert(source, tmp_path / "out", family="bert", heads=2, recognise=False).published == ""
    assert json.loads(run("inspect", source, "--no-recognise", "--json").stdout)["published"] is None
    assert json.loads(run("inspect", source, "--json").stdout)["published"]["name"] == published.name


def test_inspect_and_convert_say_which_file_it_is(source: Path, tmp_path: Path, published: ZooEntry) -> None:
    lines = run("inspect", source, "--family", "bert", "--heads", 2).stdout.splitlines()
    assert lines[1] == f"this is {NAME}, by its SHA-1: a file that GluonNLP 0.x published"
    assert lines[2] == "  vocabulary: tiny_bert.vocab, WordPiece, lower-cased text"
    result = run(source, tmp_path / "out", "--family", "bert", "--heads", 2)
    assert f"  the source is {NAME}, by its SHA-1" in result.stdout.splitlines()
    assert Manifest.from_json((tmp_path / "out" / "conversion.json").read_text("utf-8")).published == published.name


def test_a_published_file_without_a_target_class_is_refused_by_its_name(
    source: Path, tmp_path: Path, entry: ZooEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "zoo_entries", lambda: (replace(entry, refusal="transformers has no class for hares"),))
    message = f"this is {NAME}, which GluonNLP published: transformers has no class for hares"
    assert str(bort_convert.inspect(source, family="bert", heads=2).misfit) == message
    with pytest.raises(MappingError, match=message):
        bort_convert.convert(source, tmp_path / "out", family="bert", heads=2)


# What follows from it


def test_the_card_has_what_is_known(source: Path, tmp_path: Path, published: ZooEntry) -> None:
    assert published.vocabulary
    manifest = bort_convert.convert(source, tmp_path / "out", family="bert", heads=2)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    front = card.split("---\n")[1].splitlines()
    for line in (
        'license: "cc0-1.0"',
        "base_model: wonderland/rabbits",
        "language:",
        "- en",
        "datasets:",
        "- wonderland",
    ):
        assert line in front
    for row in (
        f"| published by GluonNLP as | `{NAME}`, sha1 `{published.sha1}` |",
        f"| vocabulary | `tiny_bert.vocab` (WordPiece, lower-cased), sha1 `{published.vocabulary.sha1}` |",
        "| cite | Carroll (1865) |",
        "| licence | cc0-1.0, as the Queen states |",
    ):
        assert row in card
    given = card_text(replace(manifest, options={"license": "mit"}))
    assert 'license: "mit"' in given
    assert "as the Queen states" not in given
    assert "rabbits" not in card_text(replace(manifest, published="gone"))


def test_the_casing_of_a_published_file_decides_and_the_note_says_so(
    source: Path, fixtures: Path, tmp_path: Path, published: ZooEntry
) -> None:
    vocab = fixtures / "tiny_bert.vocab"
    manifest = bort_convert.convert(source, tmp_path / "out", family="bert", heads=2, vocab=vocab)
    assert manifest.notes == (
        f"tokenizer: {vocab.name} is the vocabulary that GluonNLP published with {NAME}",
        f"tokenizer: text is lower-cased and loses its accents; by {NAME}",
    )
    assert "lower_case" not in manifest.options, "nobody requested it"
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text("utf-8"))["do_lower_case"] is True
    again = bort_convert.add_tokenizer(tmp_path / "out", vocab=vocab)
    assert set(again.notes) == set(manifest.notes)
    assert published.name == again.published


def test_another_casing_is_an_error_and_the_same_one_is_none(
    source: Path, fixtures: Path, tmp_path: Path, published: ZooEntry
) -> None:
    options = ("--family", "bert", "--heads", 2, "--vocab", fixtures / "tiny_bert.vocab")
    result = run(source, tmp_path / "out", *options, "--cased")
    assert (result.exit_code, result.stderr) == (
        2,
        f"Error: --cased: the file is {published.name}, by its SHA-1, and that reads lower-cased text. Leave it out\n",
    )
    assert not (tmp_path / "out").exists()
    assert run(source, tmp_path / "out", *options, "--lower-case").exit_code == 0
    with pytest.raises(OptionError, match="that reads lower-cased text"):
        bort_convert.add_tokenizer(tmp_path / "out", vocab=fixtures / "tiny_bert.vocab", lower_case=False)
    assert run(source, tmp_path / "other", *options, "--cased", "--no-recognise").exit_code == 0


def test_a_vocabulary_with_capital_letters_is_not_that_of_lower_cased_text(
    source: Path, tmp_path: Path, published: ZooEntry
) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"Word{letter}" for letter in "abcdefghijklmno")]
    words += [f"x{number}" for number in range(40 - len(words))]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    with pytest.raises(
        FormatError, match=f"15 words have a capital letter, such as 'Worda', but {published.name} reads"
    ):
        bort_convert.convert(source, tmp_path / "out", family="bert", heads=2, vocab=tmp_path / "vocab.txt")


def test_another_vocabulary_is_named_with_both_hashes(
    source: Path, fixtures: Path, tmp_path: Path, published: ZooEntry
) -> None:
    assert published.vocabulary
    content = (fixtures / "tiny_bert.vocab").read_bytes() + b"\n"
    (tmp_path / "x.vocab").write_bytes(content)
    manifest = bort_convert.convert(source, tmp_path / "out", family="bert", heads=2, vocab=tmp_path / "x.vocab")
    assert manifest.notes[0].startswith(
        f"tokenizer: x.vocab is not the very file that GluonNLP published with {NAME}, tiny_bert.vocab: "
        f"SHA-1 {sha1_of(tmp_path / 'x.vocab')}, expected {published.vocabulary.sha1}. "
    )


def test_a_tokenizer_that_states_another_casing_contradicts(
    source: Path, fixtures: Path, tmp_path: Path, published: ZooEntry
) -> None:
    options = {"family": "bert", "heads": 2, "vocab": fixtures / "tiny_bert.vocab", "recognise": False}
    bort_convert.convert(source, tmp_path / "cased", lower_case=False, **options)
    with pytest.raises(VariantError, match=f"{published.name} disagree on whether text is lower-cased"):
        bort_convert.convert(source, tmp_path / "out", family="bert", heads=2, tokenizer=tmp_path / "cased")


# The command


def test_zoo_lists_every_file_with_its_figures() -> None:
    lines = run("zoo").stdout.splitlines()
    assert len(lines) == 1 + len(zoo_entries())
    assert "google_mt5_xxl/model" in lines[-1]
    document = json.loads(run("zoo", "--family", "electra", "--json").stdout)["entries"]
    assert {entry["family"] for entry in document} == {"electra"}
    assert len(document) == 12
    for entry in json.loads(run("zoo", "--json").stdout)["entries"]:
        assert bool(entry["parity"]) == bool(entry["family"]), entry["name"]
        assert not entry["parity"] or entry["parity"]["passed"]


def test_zoo_shows_a_file_or_all_files_of_a_model() -> None:
    text = run("zoo", "bert_12_768_12_book_corpus_wiki_en_uncased").stdout
    for part in (
        "75cc780f085e8007b3bf6769c6348bb1ff9a3074",
        "534,207,891",
        "apache-2.0, as google-research/bert states",
        "bert_12_768_12, at full size, random values; mxnet 1.9.1, gluonnlp 0.8.3",
    ):
        assert part in text
    several = run("zoo", "google_en_cased_bert_base").stdout
    assert several.count("GluonNLP 1.0") == 2
    assert "a small model of the family" in several
    assert "not converted" in run("zoo", "standard_lstm_lm_200_wikitext-2").stdout


def test_an_unknown_name_gets_similar_ones() -> None:
    result = run("zoo", "google_en_case_bert_base")
    assert result.exit_code == 2
    assert "GluonNLP publishes no such model; did you mean google_en_cased_bert_base" in result.stderr
    assert "bort-convert zoo" in run("zoo", "qqqq").stderr
