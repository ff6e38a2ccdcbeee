"""What a converted directory says of itself, read without a framework."""

from __future__ import annotations

import json
from collections import ChainMap
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable
from bort_convert.family import own_facts
from bort_convert.shards import INDEX, WEIGHTS
from bort_convert.tensorfile import open_tensors

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from bort_convert.dtypes import Array, Shape
    from bort_convert.family import Fact
    from bort_convert.tensorfile import TensorFile

PICKLED: Final = "pytorch_model.bin"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        FormatError: the file is not there, cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(
            f"{path}: cannot be read: {error.strerror or error}. Is its folder a converted one?"
        ) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path}: holds no JSON object")
    return content


def config_of(target: str | os.PathLike[str]) -> dict[str, Any]:
    """The directory's config.json."""
    return read_json(Path(target) / "config.json")


def manifest_of(target: str | os.PathLike[str]) -> dict[str, Any]:
    """The directory's conversion.json, as a dictionary."""
    return read_json(Path(target) / "conversion.json")


def cast_of(target: str | os.PathLike[str]) -> str | None:
    """The dtype that the conversion was asked to write; None where the tensors kept theirs."""
    dtype = (manifest_of(target).get("options") or {}).get("dtype")
    return None if dtype is None else str(dtype)


def own_of(target: str | os.PathLike[str]) -> dict[str, Fact]:
    """What the original has of its own by conversion.json, see `own_facts`; nothing where the file is not there.

    Raises:
        FormatError: an epsilon is no number, or an activation no name.
    """
    if not (Path(target) / "conversion.json").exists():
        return {}
    facts = manifest_of(target).get("facts")
    own = own_facts(facts) if isinstance(facts, dict) else {}
    for name, value in own.items():
        if isinstance(value, bool) or not isinstance(value, (int, float) if name.endswith("_eps") else str):
            raise FormatError(f"{target}/conversion.json: {name} is {value!r}; expected what a conversion writes")
    return own


def has_pooler(target: str | os.PathLike[str]) -> bool:
    """Whether a directory with the bare backbone has its pooler: by conversion.json, or by its tensors without one."""
    known = (Path(target) / "conversion.json").exists()
    names = manifest_of(target).get("tensors") if known else shapes_of(target)
    return isinstance(names, dict) and any(str(name).startswith("pooler.") for name in names)


@contextmanager
def open_weights(target: str | os.PathLike[str]) -> Iterator[Mapping[str, Array]]:
    """Every tensor of the directory by name, from one file or from the shards that an index names; read when asked for.

    Raises:
        FormatError: a file is missing or damaged, or the index names a file outside the directory.
    """
    with open_files(target) as files:
        yield ChainMap(*files)  # type: ignore[arg-type]  # nothing is ever put into it


def shapes_of(target: str | os.PathLike[str]) -> dict[str, Shape]:
    """The shape of every tensor of the directory by name; no value is read.

    Raises:
        FormatError: as for `open_weights`.
    """
    with open_files(target) as files:
        return {name: spec.shape for file in files for name, spec in file.header.items()}


@contextmanager
def open_files(target: str | os.PathLike[str]) -> Iterator[list[TensorFile]]:
    """The directory's file of weights, or the shards that an index names.

    Raises:
        FormatError: as for `open_weights`.
    """
    folder = Path(target)
    index = folder / INDEX
    names = {WEIGHTS}
    if index.exists():
        places = read_json(index).get("weight_map")
        if not isinstance(places, dict):
            raise FormatError(f"{index}: has no weight_map; expected one that names the file of each tensor")
        names = {str(name) for name in places.values()}
        if wrong := sorted(name for name in names if Path(name).name != name or not name.isprintable()):
            raise FormatError(f"{index}: names '{printable(wrong[0])}', expected files beside it")
    elif not (folder / WEIGHTS).exists() and (folder / PICKLED).exists():
        raise FormatError(
            f"{folder / PICKLED}: is a pickle, which could run anything and is never read; expected {WEIGHTS} beside "
            "it. Load the model with transformers and write it with save_pretrained, which makes one"
        )
    with ExitStack() as files:
        yield [files.enter_context(open_tensors(folder / name)) for name in sorted(names)]
