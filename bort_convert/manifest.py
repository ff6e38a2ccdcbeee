"""The manifest: what was converted, how, and the SHA-256 of every tensor, as data and as `conversion.json`.

The same input and options give the same bytes: it holds no time and no path.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from math import prod
from typing import TYPE_CHECKING, Final

from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.family import Fact

FILE_NAME: Final = "conversion.json"


@dataclass(frozen=True)
class Source:
    """The file that was converted.

    Attributes:
        name: without its directory.
        size: in bytes.
        sha256: of the whole file, as hexadecimal digits; "" where nothing was hashed.
    """

    name: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Tensor:
    """One tensor that was written.

    Attributes:
        sources: names of the tensors in the source file that it was made from.
        op: what made it, such as "copy" or "fill".
        dtype: NumPy's name, or "bfloat16".
        sha256: of its little-endian C-order bytes, as hexadecimal digits; "" where nothing was hashed.
        why: the reason, where it was made up.
    """

    sources: tuple[str, ...]
    op: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str
    why: str = ""


@dataclass(frozen=True)
class Manifest:
    """What a conversion did.

    Attributes:
        variant: the published size, "" for any other.
        architecture: the receiving class in transformers.
        dims: sizes of the axes, and the number of layers.
        facts: what shapes cannot show, such as attention heads and epsilons.
        options: those given by the user.
        tied: second names in the source of tensors that were written once -> the first name.
        left_out: names in the source that nothing was written for -> the reason.
        tensors: by name in the target.
    """

    source: Source
    tensors: Mapping[str, Tensor]
    family: str = ""
    table: str = ""
    variant: str = ""
    architecture: str = ""
    dims: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    options: Mapping[str, Fact] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """How many numbers were written that came from the source."""
        return sum(prod(tensor.shape) for tensor in self.tensors.values() if tensor.sources)

    def to_dict(self) -> dict[str, object]:
        """As JSON has it, in a fixed order; without what is empty of a tensor."""
        tensors = {
            name: {key: value for key, value in asdict(self.tensors[name]).items() if value != ""}
            for name in sorted(self.tensors)
        }
        document = {"bort_convert": __version__, **asdict(self), "parameters": self.parameters}
        return {**document, "tensors": tensors}

    def to_json(self) -> str:
        """The text of `conversion.json`."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
