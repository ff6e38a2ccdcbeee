"""Files of RoBERTa's and Bort's tokenizers, refusals, the model cache. Frameworks: test_tokenizer_live.py."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bort_convert.errors import BackendError, ConvertError, FormatError, OptionError
from bort_convert.tokenizer import FILES, ModelLimits, TokenizerOptions, find_tokenizer, gluon_files, sources
from bort_convert.tokenizer.gluon_files import RANKS, VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.tokenizer import Tokenizer

    Edit = Callable[[Any], None]

NAMES = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"}
SIZE = 120


@pytest.fixture
def vocab(fixtures: Path) -> Path:
    return fixtures / "tiny.vocab"


@pytest.fixture
def ranks(fixtures: Path) -> Path:
    return fixtures / "tiny_ranks.txt"


@pytest.fixture
def tables(vocab: Path, ranks: Path) -> dict[str, Path]:
    return {"vocab": vocab, "bpe_ranks": ranks}


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Point GluonNLP's model cache to an absent directory, whatever this machine has."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))
    return tmp_path / "mxnet" / "models"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, empty_cache: Path, vocab: Path, ranks: Path) -> Path:
    """Put the fixtures into the model cache, as if GluonNLP had published them."""
    empty_cache.mkdir(parents=True)
    for name, path in (("VOCABULARY", vocab), ("RANKS", ranks)):
        sha1 = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
        file = gluon_files.PublishedFile(path.name, sha1, "x")
        monkeypatch.setattr(f"bort_convert.tokenizer.roberta.{name}", file)
        shutil.copy(path, empty_cache)
    return empty_cache


def make(*kind: str, **options: Any) -> Tokenizer:  # noqa: ANN401 - the options of find_tokenizer
    tokenizer = find(*kind, **options)
    assert tokenizer is not None
    return tokenizer


def find(
    kind: str = "Bort",
    size: int = SIZE,
    max_length: int = 24,
    absent: Callable[[str], object] = print,
    **options: Any,  # noqa: ANN401
) -> Tokenizer | None:
    return find_tokenizer(kind, TokenizerOptions(**options), ModelLimits(size, max_length), absent=absent)


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def json_of(tokenizer: Tokenizer, name: str = "tokenizer.json") -> Any:  # noqa: ANN401
    return json.loads(tokenizer.files[name])


# Written files


def test_the_files_are_those_of_a_fast_tokenizer(tables: dict[str, Path], vocab: Path, ranks: Path) -> None:
    tokenizer = make(**tables)
    assert set(tokenizer.files) == NAMES <= FILES
    assert tokenizer.sources == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (vocab, ranks)}


def test_the_model_holds_the_vocabulary_and_the_merges(vocab: Path, ranks: Path) -> None:
    tokenizer = make(vocab=vocab, bpe_ranks=str(ranks))
    model = json_of(tokenizer)["model"]
    assert model["vocab"] == json.loads(vocab.read_text("utf-8"))["token_to_idx"]
    assert list(model["vocab"].values()) == list(range(SIZE))
    assert model["merges"] == ranks.read_text("utf-8").splitlines()[1:]
    assert (model["type"], model["unk_token"], model["fuse_unk"]) == ("BPE", "<unk>", False)
    assert json_of(tokenizer, "vocab.json") == model["vocab"]
    assert tokenizer.files["merges.txt"] == ranks.read_text("utf-8")


def test_bytes_are_split_as_in_gpt2_and_no_space_is_added(tables: dict[str, Path]) -> None:
    content = json_of(make(**tables))
    for part in ("pre_tokenizer", "decoder"):
        assert content[part] | {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True} == content[part]
    assert content["normalizer"] is content["truncation"] is content["padding"] is None


@pytest.mark.parametrize(
    ("kind", "roberta_pairs", "between"),
    [("Bort", False, 1), ("Bort", True, 2), ("RoBERTa", False, 2), ("RoBERTa", True, 2)],
)
def test_a_pair_has_one_separator_or_two_and_every_token_type_is_zero(
    tables: dict[str, Path], kind: str, between: int, *, roberta_pairs: bool
) -> None:
    template = json_of(make(kind, **tables, roberta_pairs=roberta_pairs))["post_processor"]
    bos, eos = ({"SpecialToken": {"id": token, "type_id": 0}} for token in ("<s>", "</s>"))
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    assert template["single"] == [bos, first, eos]
    assert template["pair"] == [bos, first, *[eos] * between, second, eos]
    assert {token: entry["ids"] for token, entry in template["special_tokens"].items()} == {"<s>": [0], "</s>": [2]}


def test_special_tokens_come_from_the_roles(tables: dict[str, Path]) -> None:
    tokenizer = make(**tables)
    added = json_of(tokenizer)["added_tokens"]
    assert [(token["id"], token["content"]) for token in added] == [
        (0, "<s>"),
        (1, "<pad>"),
        (2, "</s>"),
        (3, "<unk>"),
        (119, "<mask>"),
    ]
    assert all(token["special"] and not token["normalized"] and not token["rstrip"] for token in added)
    assert [token["content"] for token in added if token["lstrip"]] == ["<mask>"]
    roles = json_of(tokenizer, "special_tokens_map.json")
    assert roles == {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    }
    assert json_of(tokenizer, "tokenizer_config.json") == roles | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 24,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }


def test_one_token_may_fill_two_roles(vocab: Path, ranks: Path, tmp_path: Path) -> None:
    content = json.loads(vocab.read_text("utf-8"))
    content["identifiers_to_tokens"]["padding_token"] = "</s>"  # noqa: S105
    (tmp_path / "x").write_text(json.dumps(content), "utf-8")
    tokenizer = make(vocab=tmp_path / "x", bpe_ranks=ranks)
    assert [token["id"] for token in json_of(tokenizer)["added_tokens"]] == [0, 2, 3, 119]


def test_the_json_of_old_releases_has_its_roles_at_the_top(
    tables: dict[str, Path], vocab: Path, ranks: Path, tmp_path: Path
) -> None:
    content = json.loads(vocab.read_text("utf-8"))
    for role in ("padding_token", "bos_token", "eos_token"):
        content[role] = content["identifiers_to_tokens"].pop(role)
    (tmp_path / "x").write_text(json.dumps(content), "utf-8")
    assert make(vocab=tmp_path / "x", bpe_ranks=ranks).files == make(**tables).files


def test_ranks_with_other_line_ends_are_the_same_ranks(
    tables: dict[str, Path], vocab: Path, ranks: Path, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(ranks.read_bytes().replace(b"\n", b"\r\n"))
    assert make(vocab=vocab, bpe_ranks=tmp_path / "x").files == make(**tables).files


# Refusals


def set_to(*keys: Any, value: object) -> Edit:  # noqa: ANN401 - keys and positions
    def edit(content: Any) -> None:  # noqa: ANN401
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return edit


def both(one: Edit, other: Edit) -> Edit:
    def edit(content: Any) -> None:  # noqa: ANN401
        one(content)
        other(content)

    return edit


VOCABULARY_FAULTS = {
    "no idx_to_token, expected the JSON of a GluonNLP vocabulary": lambda content: content.pop("idx_to_token"),
    "the tokens are an object, expected an array of strings": set_to("idx_to_token", value={}),
    "token 7 is a number, expected a string": set_to("idx_to_token", 7, value=7),
    "token 7 is null, expected a string": set_to("idx_to_token", 7, value=None),
    "token 9 is '!', the same as token 4; tokenizer.json holds a token under one id": set_to(
        "idx_to_token", 9, value="!"
    ),
    "token 9 is '\\ud800', half a character that no UTF-8 file can hold": set_to("idx_to_token", 9, value="\ud800"),
    "token_to_idx is null, expected an object": lambda content: content.pop("token_to_idx"),
    "token_to_idx gives 'A' the id 38, idx_to_token 36": set_to("token_to_idx", "A", value=38),
    "token_to_idx gives 'more' the id 120, idx_to_token None": set_to("token_to_idx", "more", value=120),
    "token_to_idx gives 'A' the id None, idx_to_token 36": lambda content: content["token_to_idx"].pop("A"),
    "identifiers_to_tokens is null, expected an object": set_to("identifiers_to_tokens", value=None),
    "bos_token occurs twice, at the top and in identifiers_to_tokens": set_to("bos_token", value="<s>"),
    "unknown_token is None, expected one of the tokens": set_to("unknown_token", value=None),
    "mask_token is None, expected one of the tokens": lambda content: content["identifiers_to_tokens"].pop(
        "mask_token"
    ),
    "eos_token is '[SEP]', expected one of the tokens": set_to("identifiers_to_tokens", "eos_token", value="[SEP]"),
    "padding_token is ['<pad>'], expected one of the tokens": set_to(
        "identifiers_to_tokens", "padding_token", value=["<pad>"]
    ),
    "bos_token is 'a\\x1bb', expected": set_to("identifiers_to_tokens", "bos_token", value="a\x1bb"),
}


@pytest.mark.parametrize("message", VOCABULARY_FAULTS)
def test_a_faulty_vocabulary_is_refused(vocab: Path, ranks: Path, tmp_path: Path, message: str) -> None:
    content = json.loads(vocab.read_text("utf-8"))
    VOCABULARY_FAULTS[message](content)
    (tmp_path / "x.vocab").write_text(json.dumps(content), "utf-8")
    with pytest.raises(FormatError) as error:
        make(vocab=tmp_path / "x.vocab", bpe_ranks=ranks)
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "x.vocab"))


RANK_FAULTS = {
    "line 1 is 'Ġ t', expected #version and a number": lambda text: text.partition("\n")[2],
    "line 1 is '', expected #version and a number": lambda _text: "",
    "the last line has no end. Cut short?": lambda text: text[:-1],
    "x.txt: the last line has no end": lambda _text: "#version: 0.2",
    "merge 0 is 'Ġt', expected two tokens with a space between them": lambda text: text.replace("Ġ t", "Ġt", 1),
    "merge 1 is 'h  e', expected two tokens": lambda text: text.replace("h e", "h  e", 1),
    "merge 1 is 'h e l', expected two tokens": lambda text: text.replace("h e", "h e l", 1),
    "merge 1 is 'h\\te', expected two tokens": lambda text: text.replace("h e", "h\te", 1),
    "merge 20 is '', expected two tokens": lambda text: f"{text}\n",
    "merge 20 (z z): the vocabulary lacks 'zz'": lambda text: f"{text}z z\n",
    "merge 20 (é z): the vocabulary lacks 'é'": lambda text: f"{text}é z\n",
    "merge 20 (h e): occurs twice": lambda text: f"{text}h e\n",
    "merge 0 (Ġt he): no earlier merge makes 'he'": lambda text: (
        "#version: 0.2\nĠt he\n" + text.partition("\n")[2].replace("Ġt he\n", "")
    ),
}


@pytest.mark.parametrize("message", RANK_FAULTS)
def test_faulty_ranks_are_refused(vocab: Path, ranks: Path, tmp_path: Path, message: str) -> None:
    (tmp_path / "x.txt").write_text(RANK_FAULTS[message](ranks.read_text("utf-8")), "utf-8")
    with pytest.raises(FormatError) as error:
        make(vocab=vocab, bpe_ranks=tmp_path / "x.txt")
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "x.txt"))


def test_of_many_faults_a_few_are_named_and_all_are_counted(vocab: Path, ranks: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(ranks.read_text("utf-8") + "\n" * 1234, "utf-8")
    with pytest.raises(FormatError) as error:
        make(vocab=vocab, bpe_ranks=tmp_path / "x")
    assert str(error.value).count("\n") == 6
    assert str(error.value).endswith("and 1,229 more")


JSON_FAULTS = {
    "expected JSON: Expecting value: line 1 column 1": b"word\n",
    "expected JSON: Unterminated string": b'{"idx_to_token": ["<s>", "<pa',
    "the JSON is an array, expected an object": b"[]",
    "the JSON is a number, expected an object": b"7",
    "the JSON is true or false, expected an object": b"true",
    "byte 2 is 0xff, expected UTF-8 text": b'{"\xff": 1}',
    "expected JSON: Exceeds the limit": b'{"a": ' + b"7" * 5000 + b"}",
    "expected JSON: it is nested too deeply": b"[" * 200_000,
}


@pytest.mark.parametrize("message", JSON_FAULTS)
def test_a_vocabulary_that_is_no_json_object_is_refused(ranks: Path, tmp_path: Path, message: str) -> None:
    (tmp_path / "x").write_bytes(JSON_FAULTS[message])
    with pytest.raises(FormatError) as error:
        make(vocab=tmp_path / "x", bpe_ranks=ranks)
    assert message in str(error.value)


def test_ranks_that_are_not_utf8_are_refused(vocab: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"#version: 0.2\nh \xe9\n")
    with pytest.raises(FormatError, match="byte 16 is 0xe9, expected UTF-8 text"):
        make(vocab=vocab, bpe_ranks=tmp_path / "x")


def test_a_huge_file_is_not_read_whole(ranks: Path, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(sources.MAX_BYTES + 1)
    with pytest.raises(FormatError, match="x: more than 67,108,864 bytes, expected a vocabulary or merges"):
        make(vocab=tmp_path / "x", bpe_ranks=ranks)


@pytest.mark.parametrize("path", ["absent", "nul\0byte", "x" * 5000, "."])
@pytest.mark.parametrize("option", ["vocab", "bpe_ranks", "tokenizer"])
def test_a_path_that_cannot_be_read_is_a_format_error(
    tables: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {option: path} if option == "tokenizer" else {**tables, option: path}
    with pytest.raises(FormatError):
        make(**options)


def test_a_vocabulary_of_another_size_is_refused_with_both_sizes(tables: dict[str, Path]) -> None:
    with pytest.raises(FormatError, match="120 tokens, expected 50,265, the rows of the word embedding"):
        make(**tables, size=50265)


@pytest.mark.parametrize("option", ["vocab", "bpe_ranks"])
def test_a_tokenizer_beside_one_of_its_tables_is_an_option_error(vocab: Path, option: str) -> None:
    with pytest.raises(OptionError, match=r"`tokenizer='x'`: .* Pass it, or `vocab` and `bpe_ranks`") as error:
        make(tokenizer="x", **{option: vocab})
    assert (error.value.option, error.value.value) == ("tokenizer", "x")


# GluonNLP's model cache


def test_without_files_and_with_an_empty_cache_there_is_no_tokenizer(empty_cache: Path) -> None:
    reasons: list[str] = []
    assert find(absent=reasons.append) is None
    assert find() is None
    assert len(reasons) == 1
    assert str(empty_cache / VOCABULARY.name) in reasons[0]
    assert reasons[0].endswith("No such file or directory. GluonNLP would keep it there; pass `vocab`, or `tokenizer`")


def test_files_in_the_model_cache_are_found(published: Path, tables: dict[str, Path]) -> None:
    assert make() == make(**tables)
    assert published.is_dir()


@pytest.mark.parametrize("option", ["vocab", "bpe_ranks"])
def test_the_file_that_is_not_specified_comes_from_the_model_cache(
    published: Path, tables: dict[str, Path], option: str
) -> None:
    (published / tables[option].name).unlink()
    assert make(**{option: tables[option]}) == make(**tables)


@pytest.mark.parametrize(
    ("option", "other", "missing"), [("vocab", "bpe_ranks", RANKS), ("bpe_ranks", "vocab", VOCABULARY)]
)
def test_one_file_without_the_other_names_the_missing_option(
    tables: dict[str, Path], option: str, other: str, missing: gluon_files.PublishedFile
) -> None:
    with pytest.raises(
        FormatError, match=f"{missing.name}.*GluonNLP would keep it there; pass `{other}`, or `tokenizer`"
    ):
        make(**{option: tables[option]})


def test_a_cached_file_with_another_hash_is_not_used(published: Path, vocab: Path, ranks: Path) -> None:
    with (published / ranks.name).open("ab") as file:
        file.write(b"\n")
    reasons: list[str] = []
    assert find(absent=reasons.append) is None
    assert "tiny_ranks.txt has the SHA-1 " in reasons[0]
    assert "damaged, and not used. Delete it" in reasons[0]
    with pytest.raises(FormatError, match="damaged, and not used"):
        make(vocab=vocab)


def test_a_cached_vocabulary_of_another_size_is_not_used(published: Path) -> None:
    reasons: list[str] = []
    assert find(size=7, absent=reasons.append) is None
    assert "120 tokens, expected 7" in reasons[0]
    assert published.is_dir()


@pytest.mark.parametrize("home", [None, "~/elsewhere", "/somewhere/else"])
def test_the_model_cache_is_where_gluonnlp_has_it(monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    monkeypatch.setenv("HOME", "/home/reader")
    monkeypatch.delenv("MXNET_HOME")
    if home is not None:
        monkeypatch.setenv("MXNET_HOME", home)
    expected = {None: "/home/reader/.mxnet", "~/elsewhere": "/home/reader/elsewhere"}.get(home, home)
    assert gluon_files.model_cache() == Path(str(expected)) / "models"


@pytest.mark.shared
def test_the_published_files_are_recognised_by_their_hashes(
    shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = shared / "data" / "roberta-bpe"
    (tmp_path / "models").symlink_to(folder / "gluonnlp")
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    tokenizer = make(size=50265, max_length=512)
    assert set(tokenizer.sources) == {VOCABULARY.name, RANKS.name}
    assert tokenizer.files["merges.txt"] == (folder / "gpt2" / "vocab.bpe").read_text("utf-8")
    assert json_of(tokenizer, "vocab.json") == json.loads((folder / "roberta-base" / "vocab.json").read_text("utf-8"))
    assert make(size=50265, max_length=512, tokenizer=folder / "roberta-base").files == tokenizer.files


# RoBERTa tokenizers of transformers


def test_a_directory_with_vocabulary_and_merges_is_enough(tables: dict[str, Path], tmp_path: Path) -> None:
    original = make(**tables)
    folder = write(tmp_path / "roberta", {name: original.files[name] for name in ("vocab.json", "merges.txt")})
    again = make(tokenizer=folder)
    assert again.files == original.files
    assert set(again.sources) == {"vocab.json", "merges.txt"}


@pytest.mark.parametrize("pairs", [False, True])
def test_a_directory_with_tokenizer_json_alone_is_enough(
    tables: dict[str, Path], tmp_path: Path, *, pairs: bool
) -> None:
    original = make(**tables)
    content = json_of(original)
    # Newer releases of tokenizers write merges as pairs, and special tokens apart.
    if pairs:
        content["model"]["merges"] = [merge.split(" ") for merge in content["model"]["merges"]]
        del content["model"]["vocab"]["<mask>"]
    folder = write(tmp_path / "roberta", {"tokenizer.json": json.dumps(content)})
    again = make(tokenizer=str(folder))
    assert json_of(again) == json_of(original)
    assert set(again.sources) == {"tokenizer.json"}


TOKENIZER_FAULTS = {
    "model.type is 'WordPiece', expected 'BPE': a byte-level BPE": set_to("model", "type", value="WordPiece"),
    "model.type is None, expected 'BPE'": set_to("model", value=None),
    "pre_tokenizer.type is 'Metaspace', expected 'ByteLevel'": set_to("pre_tokenizer", value={"type": "Metaspace"}),
    "pre_tokenizer.use_regex is False, expected True": set_to("pre_tokenizer", "use_regex", value=False),
    "normalizer is {'type': 'NFC'}, expected None": set_to("normalizer", value={"type": "NFC"}),
    "model.merges is null, expected an array": set_to("model", "merges", value=None),
    "expected model.vocab and added_tokens": set_to("added_tokens", value=None),
    "'<mask>' has the id None, expected every number below 120 once": lambda content: content["added_tokens"][-1].pop(
        "id"
    ),
    "'A' has the id [], expected": both(
        set_to("model", "vocab", "A", value=[]), set_to("added_tokens", 0, "content", value=[])
    ),
    "merge 1 is 7, expected two tokens": set_to("model", "merges", 1, value=7),
    "merge 1 is '7', expected two tokens": set_to("model", "merges", 1, value=[7]),
    "'A' has the id 7, expected every number below 120 once": set_to("model", "vocab", "A", value=7),
    "'A' has the id -1, expected": set_to("model", "vocab", "A", value=-1),
    "'A' has the id '36', expected": set_to("model", "vocab", "A", value="36"),
    "'<pad>' has the id True, expected": both(
        set_to("model", "vocab", "<pad>", value=True), set_to("added_tokens", value=[])
    ),
    "'more' has the id 120, expected every number below 121 once": both(
        set_to("model", "vocab", "more", value=120), set_to("model", "vocab", "A", value=120)
    ),
    "mask_token is '<mask>', expected one of the tokens": both(
        lambda content: content["model"]["vocab"].pop("<mask>"), lambda content: content["added_tokens"].pop()
    ),
}


@pytest.mark.parametrize("message", TOKENIZER_FAULTS)
def test_a_tokenizer_json_of_another_kind_is_refused(tables: dict[str, Path], tmp_path: Path, message: str) -> None:
    content = copy.deepcopy(json_of(make(**tables)))
    TOKENIZER_FAULTS[message](content)
    folder = write(tmp_path / "roberta", {"tokenizer.json": json.dumps(content)})
    with pytest.raises(FormatError) as error:
        make(tokenizer=folder)
    assert message in str(error.value)


@pytest.mark.parametrize("files", [(), ("vocab.json",), ("merges.txt", "vocab.txt")])
def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path, files: tuple[str, ...]) -> None:
    folder = write(tmp_path / "empty", dict.fromkeys(files, ""))
    with pytest.raises(FormatError, match=r"neither vocab.json with merges.txt nor tokenizer.json"):
        make(tokenizer=folder)


# The Hugging Face hub

FROM_HUB = """
import sys
from bort_convert.tokenizer import TokenizerOptions, ModelLimits, find_tokenizer
tokenizer = find_tokenizer("Bort", TokenizerOptions(tokenizer=sys.argv[1]), ModelLimits(120, 24))
print(*sorted(tokenizer.sources))
"""


OFFLINE = {"HF_HUB_OFFLINE": "1"}
# A port of this machine where no server listens.
UNREACHABLE = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}


def from_hub(name: str, home: Path, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Fetch a tokenizer in a process of its own: huggingface_hub reads its settings on import."""
    environment = os.environ | {"HF_HOME": str(home)} | settings
    command = [sys.executable, "-c", FROM_HUB, name]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.torch
def test_a_repository_is_read_from_the_cache_of_the_hub(tables: dict[str, Path], tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--owner--name"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("f" * 40, "utf-8")
    write(repository / "snapshots" / ("f" * 40), dict(make(**tables).files))
    process = from_hub("owner/name", tmp_path, OFFLINE)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["merges.txt", "vocab.json"]


@pytest.mark.torch
@pytest.mark.parametrize("settings", [OFFLINE, UNREACHABLE], ids=["offline", "unreachable"])
def test_a_repository_that_cannot_be_reached_is_a_format_error(tmp_path: Path, settings: dict[str, str]) -> None:
    process = from_hub("owner/name", tmp_path, settings)
    *_, last = process.stderr.splitlines()
    assert last.startswith("bort_convert.errors.FormatError: owner/name: no such directory, and the Hugging Face hub")
    assert last.endswith(". Pass a directory instead")


@pytest.mark.parametrize("name", ["", "name", "a/b/c", "../owner/name", "owner/na me", "owner/name\n"])
def test_a_name_that_no_repository_can_have_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(write(tmp_path / "here", {}))
    with pytest.raises(ConvertError, match=r"no such directory, and not the OWNER/NAME|neither vocab.json"):
        make(tokenizer=name)


def test_without_huggingface_hub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BackendError, match=r'fetching it needs huggingface_hub: pip install "\.\[torch\]" in a clone'):
        make(tokenizer="owner/name")
