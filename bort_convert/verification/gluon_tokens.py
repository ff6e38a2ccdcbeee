"""Compare the ids of the written tokenizer with those of GluonNLP's own, where its vocabulary is at hand."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import BackendError, FormatError
from bort_convert.files.streams import sha256_of_file
from bort_convert.model_dir.read import read_json
from bort_convert.models.registry import families
from bort_convert.tokenizer.tokenizer_json import CONFIG
from bort_convert.verification.reference import LiveReference, run_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.model_dir.read import ModelDir

SCRIPT: Final = Path(__file__).parent / "mxnet_process" / "tokenizers.py"
TEXTS: Final = (
    "The quick brown fox jumps over the lazy dog.",
    "Alice looked at the White Rabbit, who'd said: \"Don't be late!\"",
    "  two  spaces,\ttabs\nand lines \n\n",
    "Schloß Nymphenburg in MÜNCHEN is really nice! naïve café",
    "1,234.56 and 10^6; e-mail: a_b@example.org (50%)",
    "日本語 한국어 Ελληνικά русский",
    "🤗 👩‍👩‍👧 …",
    "un##known [brackets] <tags> x" + "y" * 120,
    "a",
    "",
)
_ENDS_OF_SENTENCEPIECE: Final = (".spiece", ".model")
# Kind of a family's tokenizer -> the job of `SCRIPT` for one with a SentencePiece model.
_SENTENCEPIECE: Final = {"WordPiece": "sentencepiece", "GPT-2": "sentencepiece-gpt2", "XLNet": "xlnet"}
_OF_GPT2: Final = ("byte-level", "sentencepiece-gpt2")
_NUMBER_AND_COMMA: Final = re.compile(r"\d,")


def compare_ids(reference: LiveReference, directory: ModelDir, tokenizer: Any) -> tuple[str, list[str]]:  # noqa: ANN401
    """Tokenize `TEXTS` on both sides: a summary, and a line for each text that differs.

    Args:
        reference: the checkpoint, beside which the vocabulary is searched, and the interpreter of GluonNLP.
        directory: the converted directory.
        tokenizer: as transformers loads it.
    """
    job, missing = _job(reference.path.parent, directory)
    if missing:
        return f"ids of texts were not compared: {missing}", []
    try:
        expected = _gluon_ids(reference, job)
    except BackendError as error:
        return f"ids of texts were not compared: {str(error).partition(chr(10))[0]}", []
    differing = [
        (text, wanted, found)
        for text, wanted, found in zip(TEXTS, expected, _written_ids(tokenizer), strict=True)
        if found != wanted
    ]
    known = [text for text, _, _ in differing if job["kind"] == "xlnet" and _NUMBER_AND_COMMA.search(text)]
    problems = [
        f"the tokenizer gives {found} for {text!r}, expected {wanted} by GluonNLP"
        for text, wanted, found in differing
        if text not in known
    ]
    problems += _layout_problems(tokenizer, expected[0], job["kind"])
    but = f", but for {len(known)} with a digit and a comma, which GluonNLP cuts twice" if known else ""
    return f"ids of {len(TEXTS)} texts are those of GluonNLP's tokenizer{but}", problems[:5]


def _written_ids(tokenizer: Any) -> Sequence[list[int]]:  # noqa: ANN401 - transformers has no types
    return [list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in TEXTS]


def _layout_problems(tokenizer: Any, ids: list[int], kind: str) -> list[str]:  # noqa: ANN401
    """Special tokens around a text: none for a GPT-2, two behind for XLNet, and one at each end for all others."""
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    if kind == "xlnet":
        expected = [*ids, sep, cls]
    else:
        expected = [cls, *ids, sep] if kind not in _OF_GPT2 or cls is not None else ids
    found = list(tokenizer(TEXTS[0], verbose=False)["input_ids"])
    return [f"the tokenizer gives {found} for a whole text, expected {expected}"] if found != expected else []


def _job(folder: Path, directory: ModelDir) -> tuple[dict[str, Any], str]:
    """What GluonNLP's tokenizer is made of, or the reason why there is none."""
    made_from = directory.conversion.tokenizer
    paths = [folder / name for name in made_from]
    absent = [path.name for path in paths if not path.is_file() or sha256_of_file(path) != made_from[path.name]]
    if absent:
        return {}, f"{', '.join(absent)} is not beside the checkpoint as it was"
    lower = bool(read_json(directory.path / CONFIG).get("do_lower_case"))
    files, reason = _files_of_job(families()[directory.conversion.family].tokenizer, paths)
    return {"lower": lower, "texts": list(TEXTS), "bpe_ranks": None, **files}, reason


def _files_of_job(kind: str, paths: Sequence[Path]) -> tuple[dict[str, str], str]:
    """Kind of GluonNLP's tokenizer and its files, or the reason why there is none."""
    vocabularies = [path for path in paths if _is_vocabulary(path)]
    models = [path for path in paths if path.suffix in _ENDS_OF_SENTENCEPIECE]
    ranks = [path for path in paths if path not in vocabularies]
    names = ", ".join(path.name for path in paths)
    if models and kind in _SENTENCEPIECE:
        return {"kind": _SENTENCEPIECE[kind], "vocab": str(models[0].resolve())}, ""
    if len(vocabularies) != 1:
        return {}, f"{names} is no vocabulary of GluonNLP 0.x"
    vocab = str(vocabularies[0].resolve())
    if kind == "WordPiece":
        return {"kind": "wordpiece", "vocab": vocab}, ""
    if len(ranks) != 1:
        return {}, f"{names} has no BPE ranks beside it"
    return {"kind": "byte-level", "vocab": vocab, "bpe_ranks": str(ranks[0].resolve())}, ""


def _is_vocabulary(path: Path) -> bool:
    """True for a vocabulary in GluonNLP's JSON."""
    try:
        return "idx_to_token" in read_json(path)
    except FormatError:
        return False


def _gluon_ids(reference: LiveReference, job: dict[str, Any]) -> list[list[int]]:
    with tempfile.TemporaryDirectory(prefix="bort-convert-") as folder:
        path, output = Path(folder) / "job.json", Path(folder) / "ids.json"
        gluonnlp = reference.options.gluonnlp
        place = {"gluonnlp": gluonnlp and str(Path(gluonnlp).resolve()), "output": str(output)}
        path.write_text(json.dumps({**job, **place, "tokenizers": str(SCRIPT)}))
        run_script(reference, path)
        found: list[list[int]] = json.loads(output.read_text())
        return found
