"""Write the model card: the README.md of a converted directory, for people and for the Hub.

All of its text comes from the manifest, from `models/NAME.md`, the notes on the family, and from the list of published
files; the same conversion gives the same card.
"""

from __future__ import annotations

import json
import pkgutil
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import printable
from bort_convert.model_dir.remarks import assumptions, size_name, stock_class_is_right, stock_class_note
from bort_convert.model_dir.shards import EXTRA
from bort_convert.models.registry import families
from bort_convert.tokenizer.tokenizer_json import FILE_NAME as TOKENIZER
from bort_convert.zoo import Origin, find_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bort_convert.model_dir.manifest import Manifest, SourceFile

FILE_NAME: Final = "README.md"
_ENCODER: Final = "feature-extraction"
_TASKS: Final = {
    "ElectraForPreTraining": _ENCODER,  # the Hub has no task of finding replaced tokens
    "ConditionalGeneration": "text2text-generation",
    "LMHeadModel": "text-generation",
    "MaskedLM": "fill-mask",
    "PreTraining": "fill-mask",
    "QuestionAnswering": "question-answering",
    "SequenceClassification": "text-classification",
    "TokenClassification": "token-classification",
}

_LOADED_BY_US: Final = """\
import bort_convert
import torch
from transformers import AutoTokenizer

where = "."  # this directory
tokenizer = AutoTokenizer.from_pretrained(where)
model = bort_convert.load_pretrained(where).eval()
batch = tokenizer(["A sentence.", "And a longer one."], padding=True, return_tensors="pt")
with torch.inference_mode():
    output = model(**batch)
print(output)
"""

_PIPELINE: Final = """\
from transformers import pipeline

where = "."  # this directory, or its name on the Hub
ask = pipeline("{task}", model=where, tokenizer=where)
print(ask("A sentence."))
"""
# Snippets by task, where the plain one does not do. transformers 5 has no pipeline for questions and for two stacks.
_SNIPPETS: Final = {
    "fill-mask": _PIPELINE.replace('"A sentence."', 'f"A sentence with a {{ask.tokenizer.mask_token}} in it."'),
    "question-answering": """\
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

where = "."  # this directory, or its name on the Hub
tokenizer = AutoTokenizer.from_pretrained(where)
model = AutoModelForQuestionAnswering.from_pretrained(where).eval()
batch = tokenizer("Who looked?", "The rabbit looked.", return_tensors="pt")
with torch.inference_mode():
    output = model(**batch)
first, last = output.start_logits.argmax(), output.end_logits.argmax()
print("the answer:", tokenizer.decode(batch["input_ids"][0, first : last + 1]))
""",
    "text2text-generation": """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

where = "."  # this directory, or its name on the Hub
tokenizer = AutoTokenizer.from_pretrained(where)
model = AutoModelForSeq2SeqLM.from_pretrained(where).eval()
batch = tokenizer("A sentence.", return_tensors="pt")
print(tokenizer.decode(model.generate(**batch)[0], skip_special_tokens=True))
""",
    "XLNetForQuestionAnswering": """\
import torch
from transformers import AutoTokenizer, XLNetForQuestionAnswering

where = "."  # this directory, or its name on the Hub
tokenizer = AutoTokenizer.from_pretrained(where)
model = XLNetForQuestionAnswering.from_pretrained(where).eval()
batch = tokenizer("The rabbit looked.", "Who looked?", return_tensors="pt")
with torch.inference_mode():
    output = model(**batch)
first, last = output.start_top_index[0, 0], output.end_top_index[0, 0]
print("the answer:", tokenizer.decode(batch["input_ids"][0, first : last + 1]))
""",
    _ENCODER: """\
import torch
from transformers import AutoModel, AutoTokenizer

where = "."  # this directory, or its name on the Hub
tokenizer = AutoTokenizer.from_pretrained(where)
model = AutoModel.from_pretrained(where{options}).eval()
batch = tokenizer(["A sentence.", "And a longer one."], padding=True, return_tensors="pt")
with torch.inference_mode():
    hidden_states = model(**batch).last_hidden_state  # (batch, length, hidden_size)
print(hidden_states.shape)
""",
}


def card_text(manifest: Manifest) -> str:
    """Text of README.md, with the front matter that the Hub reads."""
    parts = [
        _front_matter(manifest),
        f"# {manifest.architecture} from {_code(manifest.source.name)}",
        f"A GluonNLP (MXNet) checkpoint, converted to PyTorch by bort_convert {manifest.version}.",
        _table(_properties(manifest)),
        "## Use it\n\n" + _usage(manifest),
        "## Where it comes from\n\n" + _origin(manifest),
        "## Does it compute what the original does?\n\n" + _parity(manifest.parity),
        _family_notes(manifest.family),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(manifest: Manifest) -> str:
    origin = _known_origin(manifest)
    license_ = manifest.options.get("license") or origin.license or "unknown"
    base_model = f"base_model: {origin.base_model}\n" if origin.base_model else ""
    return (
        f"---\nlibrary_name: transformers\npipeline_tag: {_task(manifest)}\nlicense: {json.dumps(license_)}\n"
        f"{base_model}{_yaml_list('language', origin.languages)}{_yaml_list('datasets', origin.datasets)}"
        f"{_yaml_list('tags', (manifest.family, 'gluonnlp', 'mxnet', 'bort_convert'))}---"
    )


def _known_origin(manifest: Manifest) -> Origin:
    """What is known of the source if GluonNLP published it, else nothing."""
    published = find_entry(manifest.published)
    return published.origin if published else Origin(languages=())


def _yaml_list(key: str, values: Sequence[str]) -> str:
    return "".join([f"{key}:\n", *(f"- {value}\n" for value in values)]) if values else ""


def _task(manifest: Manifest) -> str:
    return next((task for ending, task in _TASKS.items() if manifest.architecture.endswith(ending)), _ENCODER)


def _properties(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Rows of the table of properties."""
    yield "class", f"`{manifest.architecture}`"
    yield (
        "family",
        f"{manifest.family}, {manifest.table}, {size_name(manifest.family, manifest.variant, manifest.dims)}",
    )
    yield "sizes", ", ".join(f"{name} {size:,}" for name, size in manifest.dims.items())
    yield "hyperparameters", ", ".join(f"{name} {value}" for name, value in manifest.hyperparameters.items())
    yield "parameters", f"{manifest.parameters:,} from the checkpoint"
    yield "dtype", ", ".join(sorted({tensor.dtype for tensor in manifest.tensors.values()}))


def _usage(manifest: Manifest) -> str:
    """A snippet that runs in the directory as it is, and remarks on the class."""
    if TOKENIZER not in manifest.files:
        lines = [
            "import bort_convert",
            "",
            'model = bort_convert.load_pretrained(".")  # this directory',
            "print(model)",
        ]
        return f"{_python(lines)}\n\nThe directory has no tokenizer.{_tokenizer_advice(manifest.family)}"
    is_right = stock_class_is_right(manifest.architecture, manifest.hyperparameters)
    by_task = _SNIPPETS.get(_task(manifest), _PIPELINE)
    snippet = _SNIPPETS.get(manifest.architecture, by_task) if is_right else _LOADED_BY_US
    options = ", add_pooling_layer=False" if manifest.lacks_pooler else ""
    lines = [line.format(task=_task(manifest), options=options) for line in snippet.splitlines()]
    return "\n\n".join(filter(None, (_python(lines), _overrides_note(manifest))))


def _tokenizer_advice(name: str) -> str:
    family = families().get(name)
    return ' Add one with `bort_convert.add_tokenizer(".", vocab=...)`.' if family and family.tokenizer else ""


def _overrides_note(manifest: Manifest) -> str:
    """Name the hyperparameters that the stock class cannot have; "" if there are none."""
    note = stock_class_note(manifest)
    return note and f'{note}. `bort_convert.load_pretrained(".")` gives the original model.'


def _origin(manifest: Manifest) -> str:
    source = manifest.source
    options = ", ".join(
        f"{name}={printable(str(value))}" for name, value in manifest.options.items() if name != "table"
    )
    rows = [
        ("file", f"{_code(source.name)}, {source.size:,} bytes"),
        *_published_rows(manifest),
        *([("stood under", _code(manifest.prefix))] if manifest.prefix else []),
        ("sha256", f"`{source.sha256}`" if source.sha256 else _no_digest(source)),
        ("converted by", f"bort_convert {manifest.version}" + (f" with {_cell(options)}" if options else "")),
    ]
    rows += [("tokenizer from", f"{_code(name)}, sha256 `{digest}`") for name, digest in manifest.tokenizer.items()]
    rows += [("left out", f"{_code(name)}, {_cell(printable(why))}") for name, why in manifest.left_out.items()]
    rows += [(f"kept in `{EXTRA}`", _code(name)) for name in manifest.extra]
    rows += [("note", _cell(note)) for note in (*manifest.notes, *assumptions(manifest))]
    rest = "`conversion.json` lists every tensor with its origin and its sha256; `bort-convert check .` compares them."
    return f"{_table(rows)}\n\n{rest}"


def _published_rows(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What is known of a source that GluonNLP published; nothing for another."""
    published = find_entry(manifest.published)
    if published is None:
        return
    origin, vocabulary = published.origin, published.vocabulary
    yield "published by GluonNLP as", f"`{published.name}`, sha1 `{published.sha1}`"
    if vocabulary:
        casing = "lower-cased" if vocabulary.lower_case else "cased"
        yield "vocabulary", f"`{vocabulary.file}` ({vocabulary.tokenizer}, {casing}), sha1 `{vocabulary.sha1}`"
    if origin.paper:
        yield "cite", origin.paper
    if origin.license and "license" not in manifest.options:
        yield "licence", f"{origin.license}, as {origin.license_source} states"


def _no_digest(source: SourceFile) -> str:
    marks = ", ".join(f"{name} {_code(value)}" for name, value in source.marks.items())
    return f"not computed, the file was not fetched whole: {marks}" if marks else "not computed (`checksums=False`)"


def _parity(parity: Mapping[str, Any]) -> str:
    if not parity:
        return (
            "The conversion was not verified. `bort-convert verify SOURCE DIRECTORY` runs GluonNLP on MXNet and "
            "transformers on torch on the same inputs and compares every layer."
        )
    head = "Verified before this directory took its place: GluonNLP on MXNet and transformers on torch, same inputs."
    checks = [(name, _cell(detail)) for name, detail in parity["checks"].items()]
    runs = [
        (f"{run['dtype']}, nearest to its limit", f"{run['output']}: {run['max_abs']:.1e} of {run['limit']:.1e}")
        for run in parity["runs"]
    ]
    versions = ", ".join(f"{name} {version}" for name, version in parity["versions"].items())
    return f"{head}\n\n{_table([*checks, *runs, ('versions', versions)])}"


def _family_notes(family: str) -> str:
    """Text of `models/NAME.md`, the notes on a family; "" if there are none."""
    try:  # importlib.resources would load zipfile
        notes = pkgutil.get_data("bort_convert", f"models/{family}.md") or b""
    except OSError:
        return ""
    return notes.decode().strip()


def _table(rows: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _python(lines: Sequence[str]) -> str:
    return "\n".join(["```python", *lines, "```"])


def _code(text: str) -> str:
    """A name from outside as Markdown code; no character in the name can end the code."""
    return f"`{_cell(printable(text).replace('`', chr(39)))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
