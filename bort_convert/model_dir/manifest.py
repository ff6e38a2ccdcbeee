"""The manifest: source, options, tensors and SHA-256 digests of a conversion, as data and as `conversion.json`.

The same input and options give the same bytes: the manifest holds no time and no path. Its last entry is the SHA-256
of the document without that entry, so that a change of the manifest shows too.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError
from bort_convert.mapping.axes import current_names
from bort_convert.mapping.family import SPECIAL_TOKEN_IDS
from bort_convert.models.registry import families, own_table
from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.family import Family

FILE_NAME: Final = "conversion.json"
IGNORED: Final = "ignored by "
"""The beginning of the reason for a tensor that was left out on request."""
_TEXTS: Final = ("family", "table", "variant", "architecture", "prefix", "version", "published")
_OBJECTS: Final = (
    "source", "tensors", "dims", "hyperparameters", "stock_differences", "options", "tied", "left_out", "tokenizer",
    "parity", "files", "extra",
)  # fmt: skip
_OPTIONS: Final[Mapping[str, type]] = {
    "hyperparameters": dict,
    "labels": list,
    "ignore": list,
    "table": str,
    "original_config": dict,
    "symbol": dict,
}
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""A byte of a file's name that is no UTF-8, as Python has it; in JSON it is an escape."""
_DAMAGED: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True)
class SourceFile:
    """The file that was converted, or the directory that was exported.

    Attributes:
        name: its name without its directory.
        size: bytes of the file; of a directory, bytes of its weights.
        sha256: digest of the whole file; "" if nothing was hashed, and for a directory.
        marks: of a file elsewhere that was not fetched whole, what its server tells of its content, such as `etag`.
    """

    name: str
    size: int
    sha256: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """The file as JSON data, without marks where there are none."""
        return {name: value for name, value in vars(self).items() if name != "marks" or value}


@dataclass(frozen=True)
class TensorEntry:
    """A tensor that was written.

    Attributes:
        sources: names of the source tensors that it was made from.
        op: name of the operation that made it, such as "copy" or "fill".
        dtype: NumPy's name, or "bfloat16".
        shape: sizes of its axes.
        sha256: digest of its little-endian C-order bytes; "" if nothing was hashed.
        why: the reason for an operation other than a plain one, such as that for initialised values.
        initialised: number of its values that came from no source tensor, for a tensor that has sources.
    """

    sources: tuple[str, ...]
    op: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str
    why: str = ""
    initialised: int = 0


@dataclass(frozen=True)
class Manifest:
    """Record of a conversion, an export or an extraction.

    Attributes:
        source: the file or directory that was read.
        tensors: the written tensors by name.
        family: name of the model family; "" for an extraction.
        table: title of the family's table that fits, such as "language model".
        variant: name of the published size, "" for any other.
        architecture: the target class in transformers.
        prefix: what precedes the model's names in the source, "" at its top; see `Fit`.
        dims: sizes of the axes, and the number of layers.
        hyperparameters: properties that shapes do not show, such as attention heads and epsilons.
        assumed: names of hyperparameters that the family's defaults gave, though the size was not published and nobody
            gave them.
        stock_differences: hyperparameters that the class in transformers runs without; `load_pretrained` has them.
        options: the user's options.
        tied: alias in the source of a tensor that was written once -> its first name.
        left_out: name in the source of a tensor that was not written -> the reason.
        extra: tensors of the source that are not the model's, by their names in it; they are in `extra.safetensors`.
        tokenizer: name of each file that the tokenizer was made from -> its SHA-256.
        parity: summary of the verification that preceded the directory; empty without one.
        published: name of the source among the files that GluonNLP published; "" if it is none of them.
        notes: remarks for the user, a line each.
        files: name of every other file of the directory -> its SHA-256; of a safetensors file, that of its header.
        version: version of the bort_convert that wrote the manifest.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> manifest.tied
        {'decoder.3.weight': 'word_embed.0.weight'}
        >>> manifest.tensors["bert.embeddings.LayerNorm.weight"].shape
        (32,)
    """

    source: SourceFile
    tensors: Mapping[str, TensorEntry]
    family: str = ""
    table: str = ""
    variant: str = ""
    architecture: str = ""
    prefix: str = ""
    dims: Mapping[str, int] = field(default_factory=dict)
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    stock_differences: Mapping[str, Hyperparameter] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, TensorEntry] = field(default_factory=dict)
    tokenizer: Mapping[str, str] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    published: str = ""
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__

    @property
    def parameters(self) -> int:
        """Number of written values that came from the source."""
        return sum(prod(tensor.shape) - tensor.initialised for tensor in self.tensors.values() if tensor.sources)

    @property
    def known_family(self) -> Family | None:
        """The family, which the user's own table extends if there is one; None if this version does not know it."""
        table = self.options.get("table")
        return families().get(self.family) if table is None else own_table(table.encode(), FILE_NAME).family

    @property
    def told(self) -> dict[str, Hyperparameter]:
        """Hyperparameters that an exported network told."""
        return dict(self.options.get("symbol", {}).get("hyperparameters", {}))

    @property
    def has_pooler(self) -> bool:
        """True if a bare backbone was written with its pooler; a backbone's own tensors have no prefix."""
        return any(name.startswith("pooler.") for name in self.tensors)

    @property
    def lacks_pooler(self) -> bool:
        """True for a bare backbone whose class needs `add_pooling_layer=False`."""
        family = self.known_family
        return bool(family and family.pooler and self.architecture == family.base_class and not self.has_pooler)

    def to_dict(self) -> dict[str, object]:
        """The manifest as JSON data, in a fixed order; entries of a tensor that are empty or 0 are left out."""
        known = {**vars(self), "source": self.source.to_dict(), "parameters": self.parameters}
        known |= {"tensors": _entries(self.tensors), "extra": _entries(self.extra)}
        document = {"bort_convert": known.pop("version"), **known}
        return {**document, "sha256": _digest(document)}

    def to_json(self) -> str:
        """Text of `conversion.json`."""
        return _text(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parse the text of `conversion.json`.

        Raises:
            FormatError: the text is not what `to_json` writes.
        """
        try:
            document = _with_current_keys(json.loads(text))
            document["version"] = document["bort_convert"]
            known = {name: document[name] for name in cls.__dataclass_fields__}
            _check_types(known)
            source = SourceFile(**known.pop("source"))
            tensors, extra = (
                {name: _tensor(entry) for name, entry in known.pop(key).items()} for key in ("tensors", "extra")
            )
            notes, assumed = (tuple(map(str, known.pop(name))) for name in ("notes", "assumed"))
            return cls(source=source, tensors=tensors, extra=extra, notes=notes, assumed=assumed, **known)
        except _DAMAGED as error:
            raise FormatError(f"{FILE_NAME}: is not what a conversion writes: {error!r}. Convert again") from error


def ids_last(hyperparameters: Mapping[str, Hyperparameter]) -> dict[str, Hyperparameter]:
    """Put special token ids behind the other hyperparameters, in one order whatever gave them."""
    others = {name: value for name, value in hyperparameters.items() if name not in SPECIAL_TOKEN_IDS}
    return {**others, **{name: hyperparameters[name] for name in SPECIAL_TOKEN_IDS if name in hyperparameters}}


def is_intact(text: str) -> bool:
    """True if a text is a manifest byte by byte as it was written, by whatever release."""
    try:
        document = json.loads(text)
        digest = document.pop("sha256")
        return _digest(document) == digest and _text({**document, "sha256": digest}) == text
    except _DAMAGED:
        return False


def _with_current_keys(document: dict[str, Any]) -> dict[str, Any]:
    """Bring a document of release 0.1 to the present form; it is read for one release."""
    if "facts" not in document:
        return {"assumed": [], "stock_differences": {}, "prefix": "", "extra": {}, "published": "", **document}
    family, dims = families().get(document["family"]), current_names(document["dims"])
    # Release 0.1 gave every model the special token ids of its family's published vocabulary, and did not say so.
    ids = {
        name: value
        for name, value in (family.hyperparameters.items() if family else ())
        if name in SPECIAL_TOKEN_IDS and int(value) < dims["vocab_size"]
    }
    options, parity = dict(document["options"]), dict(document["parity"])
    if "producer" in options:
        options["gluonnlp_version"] = options.pop("producer")
    if "labels" in options:
        options["labels"] = options["labels"].split(",")
    if "rungs" in parity:
        parity["checks"] = parity.pop("rungs")
    tensors = {
        name: {"initialised" if key == "made_up" else key: value for key, value in entry.items()}
        for name, entry in document["tensors"].items()
    }
    return {
        **document,
        "hyperparameters": {**current_names(document["facts"]), **ids},
        "dims": dims,
        "assumed": [],
        "stock_differences": {},
        "prefix": "",
        "extra": {},
        "published": "",
        "options": options,
        "parity": parity,
        "tensors": tensors,
    }


def _entries(tensors: Mapping[str, TensorEntry]) -> dict[str, dict[str, object]]:
    return {
        name: {key: value for key, value in vars(tensors[name]).items() if value not in {"", 0}}
        for name in sorted(tensors)
    }


def _tensor(entry: Mapping[str, Any]) -> TensorEntry:
    sources, shape = tuple(map(str, entry["sources"])), tuple(entry["shape"])
    return TensorEntry(**{"sha256": "", **entry, "sources": sources, "shape": shape})


def _check_types(known: Mapping[str, Any]) -> None:
    """Check the types that the rest of the package relies on.

    Raises:
        TypeError: an entry is of another type.
    """
    wrong = [name for name in _TEXTS if not isinstance(known[name], str)]
    wrong += [name for name in _OBJECTS if not isinstance(known[name], dict)]
    if not wrong:
        options = known["options"]
        wrong += [name for name, kind in _OPTIONS.items() if not isinstance(options.get(name, kind()), kind)]
    source = known["source"]
    if wrong or not (isinstance(source["name"], str) and isinstance(source.get("marks", {}), dict)):
        raise TypeError(f"{(*wrong, 'the name or the marks of the source')[0]} is of another type")
    if "table" in known["options"]:
        own_table(known["options"]["table"].encode(), FILE_NAME, known["family"])


def _text(document: Mapping[str, object]) -> str:
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _digest(document: Mapping[str, object]) -> str:
    return hashlib.sha256(_text(document).encode()).hexdigest()
