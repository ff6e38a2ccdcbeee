"""The manifest: what was converted, how, and the SHA-256 of every tensor and file, as data and as `conversion.json`.

The same input and options give the same bytes: it holds no time and no path. Its last entry is the SHA-256 of the
document without that entry, so that a change of the manifest shows too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError
from bort_convert.mapping.axes import current_names
from bort_convert.models.registry import families
from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.mapping.family import Hyperparameter

FILE_NAME: Final = "conversion.json"


@dataclass(frozen=True)
class SourceFile:
    """The file that was converted, or the directory that was exported.

    Attributes:
        name: without its directory.
        size: in bytes; of a directory, that of its weights.
        sha256: of the whole file, as hexadecimal digits; "" where nothing was hashed, and for a directory.
    """

    name: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor that was written.

    Attributes:
        sources: names of the tensors in the source file that it was made from.
        op: what made it, such as "copy" or "fill".
        dtype: NumPy's name, or "bfloat16".
        sha256: of its little-endian C-order bytes, as hexadecimal digits; "" where nothing was hashed.
        why: the reason, where it was initialised.
        initialised: how many of its numbers came from no source, where it has any.
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
    """What a conversion did.

    Attributes:
        variant: the published size, "" for any other.
        architecture: the target class in transformers.
        dims: sizes of the axes, and the number of layers.
        hyperparameters: what shapes cannot show, such as attention heads and epsilons.
        options: those given by the user.
        tied: second names in the source of tensors that were written once -> the first name.
        left_out: names in the source that nothing was written for -> the reason.
        tensors: by name in the target.
        tokenizer: the files that the tokenizer was made from, with the SHA-256 of each.
        parity: what `verify` found before the directory took its place; empty where it was not asked for.
        notes: what else a person should know, a line each.
        files: SHA-256 of every other file of the directory; of a safetensors file, that of its header.
        version: of the bort_convert that converted.
    """

    source: SourceFile
    tensors: Mapping[str, TensorEntry]
    family: str = ""
    table: str = ""
    variant: str = ""
    architecture: str = ""
    dims: Mapping[str, int] = field(default_factory=dict)
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    options: Mapping[str, Hyperparameter] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    tokenizer: Mapping[str, str] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__

    @property
    def parameters(self) -> int:
        """How many numbers were written that came from the source."""
        return sum(prod(tensor.shape) - tensor.initialised for tensor in self.tensors.values() if tensor.sources)

    @property
    def has_pooler(self) -> bool:
        """Whether a bare backbone was written with its pooler; its own tensors have no prefix."""
        return any(name.startswith("pooler.") for name in self.tensors)

    @property
    def lacks_pooler(self) -> bool:
        """Whether it is a bare backbone whose class has to be told that there is no pooler."""
        known = families().get(self.family)
        return bool(known and known.pooler and self.architecture == known.base_class and not self.has_pooler)

    def to_dict(self) -> dict[str, object]:
        """As JSON has it, in a fixed order; without what is empty or 0 of a tensor."""
        known = {**vars(self), "source": vars(self.source), "parameters": self.parameters}
        known["tensors"] = {
            name: {key: value for key, value in vars(self.tensors[name]).items() if value not in {"", 0}}
            for name in sorted(self.tensors)
        }
        document = {"bort_convert": known.pop("version"), **known}
        return {**document, "sha256": hashlib.sha256(_text(document).encode()).hexdigest()}

    def to_json(self) -> str:
        """The text of `conversion.json`."""
        return _text(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest of a directory that was converted earlier.

        Raises:
            FormatError: the text is not what `to_json` gives.
        """
        try:
            document = _current(json.loads(text))
            document["version"] = document["bort_convert"]
            known = {name: document[name] for name in cls.__dataclass_fields__}
            _check_types(known)
            source = SourceFile(**known.pop("source"))
            tensors = {name: _tensor(entry) for name, entry in known.pop("tensors").items()}
            notes = tuple(map(str, known.pop("notes")))
            return cls(source=source, tensors=tensors, notes=notes, **known)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise FormatError(f"{FILE_NAME}: is not what a conversion writes: {error!r}. Convert again") from error


def is_intact(text: str) -> bool:
    """True if a text is a manifest byte by byte as it was written, whatever version wrote it."""
    try:
        document = json.loads(text)
        digest = document.pop("sha256")
        return (
            hashlib.sha256(_text(document).encode()).hexdigest() == digest
            and _text({**document, "sha256": digest}) == text
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _current(document: dict[str, Any]) -> dict[str, Any]:
    """A document by today's keys; 0.1 had others, which are read for one release."""
    if "facts" not in document:
        return document
    known = {**document, "hyperparameters": current_names(document["facts"]), "dims": current_names(document["dims"])}
    options = dict(known["options"])
    if "producer" in options:
        options["gluonnlp_version"] = options.pop("producer")
    known["options"] = options
    if "rungs" in known["parity"]:
        known["parity"] = {**known["parity"], "checks": known["parity"]["rungs"]}
    known["tensors"] = {
        name: {"initialised" if key == "made_up" else key: value for key, value in entry.items()}
        for name, entry in known["tensors"].items()
    }
    return known


def _tensor(entry: Mapping[str, Any]) -> TensorEntry:
    sources, shape = tuple(map(str, entry["sources"])), tuple(entry["shape"])
    return TensorEntry(**{"sha256": "", **entry, "sources": sources, "shape": shape})


def _check_types(known: Mapping[str, Any]) -> None:
    """Look at what the rest of the package takes for granted.

    Raises:
        TypeError: an entry is of another type.
    """
    texts = ("family", "table", "variant", "architecture", "version")
    mappings = (
        "source",
        "tensors",
        "dims",
        "hyperparameters",
        "options",
        "tied",
        "left_out",
        "tokenizer",
        "parity",
        "files",
    )
    wrong = [name for name in texts if not isinstance(known[name], str)]
    wrong += [name for name in mappings if not isinstance(known[name], dict)]
    if wrong or not isinstance(known["source"]["name"], str):
        raise TypeError(f"{(*wrong, 'the name of the source')[0]} is of another type")


def _text(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
