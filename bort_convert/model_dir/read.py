"""Read a model directory once: config, manifest and the header of its weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable
from bort_convert.files.identity import Identity
from bort_convert.files.remote import place_of
from bort_convert.files.system_errors import reading
from bort_convert.mapping.family import module_overrides
from bort_convert.model_dir.config import FILE_NAME as CONFIG
from bort_convert.model_dir.foreign import check_foreign, modules_notes
from bort_convert.model_dir.manifest import FILE_NAME as MANIFEST
from bort_convert.model_dir.manifest import Manifest
from bort_convert.model_dir.shards import EXTRA, INDEX, WEIGHTS
from bort_convert.safetensors import open_tensors
from bort_convert.tokenizer.tokenizer_json import FILE_NAME as TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bort_convert.dtypes import Array, Hyperparameter, TensorSpec
    from bort_convert.files.streams import FileRange
    from bort_convert.safetensors import TensorFile

PICKLED: Final = "pytorch_model.bin"
_SUFFIX: Final = ".safetensors"
_INDEX_SUFFIX: Final = f"{_SUFFIX}.index.json"
_NAMED_WEIGHTS: Final = "transformers_weights"


@dataclass(frozen=True)
class ModelDir:
    """A directory that transformers loads, as it was when it was read.

    Attributes:
        path: the directory.
        config: content of config.json.
        manifest: content of conversion.json; None if the directory was not converted.
        header: name -> dtype and shape of every tensor.
        weight_files: the safetensors files with the tensors: one, or the shards that the index names.
        manifest_text: text of conversion.json; None if the directory was not converted.
        notes: remarks on files that are not part of the model, a line each.
    """

    path: Path
    config: Mapping[str, Any]
    manifest: Manifest | None
    header: Mapping[str, TensorSpec]
    weight_files: tuple[Path, ...]
    manifest_text: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def conversion(self) -> Manifest:
        """The manifest of a directory that must be a converted one.

        Raises:
            FormatError: the directory has none.
        """
        if self.manifest is None:
            raise FormatError(f"{self.path}: has no {MANIFEST}. Is it a converted directory?")
        return self.manifest

    @property
    def cast(self) -> str | None:
        """The dtype that the conversion cast every tensor to; None if tensors kept theirs."""
        dtype = self.manifest.options.get("dtype") if self.manifest else None
        return None if dtype is None else str(dtype)

    @property
    def module_overrides(self) -> dict[str, Hyperparameter]:
        """Hyperparameters of single modules that the config has no key for; see `mapping.family.module_overrides`.

        Raises:
            FormatError: an epsilon or a length is no number, or an activation no name.
        """
        overrides = module_overrides(self.manifest.hyperparameters) if self.manifest else {}
        for name, value in overrides.items():
            kind = (int, float) if name.endswith(("_eps", "_len")) else str
            if isinstance(value, bool) or not isinstance(value, kind):
                raise FormatError(f"{self.path / MANIFEST}: {name} is {value!r}; expected what a conversion writes")
        return overrides

    @property
    def has_pooler(self) -> bool:
        """True for a bare backbone with its pooler: by the manifest, or by the tensors of a directory without one."""
        return any(name.startswith("pooler.") for name in (self.manifest.tensors if self.manifest else self.header))

    @property
    def has_tokenizer(self) -> bool:
        """True if transformers finds a tokenizer in the directory."""
        return (self.path / TOKENIZER).exists()

    @contextmanager
    def open_weights(self) -> Iterator[StoredWeights]:
        """Open the weights for the duration of a `with` block.

        Raises:
            FormatError: a file is missing or damaged.
        """
        with _open_files(self.weight_files) as files:
            with reading(self.path):
                weights = StoredWeights(files)
            yield weights

    @contextmanager
    def open_extra(self) -> Iterator[StoredWeights]:
        """Open the tensors that a conversion kept beside the model, for the duration of a `with` block.

        Raises:
            FormatError: their file is missing or damaged, or holds other tensors than the manifest lists.
        """
        listed = self.manifest.extra if self.manifest else {}
        with _open_files((self.path / EXTRA,) if listed else ()) as files:
            stored = StoredWeights(files)
            if different := sorted(listed.keys() ^ stored.header.keys()):
                name = printable(different[0])
                problem = "lacks" if different[0] in listed else f"is not in {MANIFEST}, and the file holds"
                raise FormatError(f"{self.path / EXTRA}: {problem} {name}; expected the tensors of {MANIFEST}")
            yield stored


class StoredWeights(Mapping[str, "Array"]):
    """The tensors of a directory, in one file or in shards; each is read when it is looked up.

    Attributes:
        header: name -> dtype and shape.
        size: bytes of all values.
    """

    def __init__(self, files: Sequence[TensorFile]) -> None:
        self._files = {name: file for file in files for name in file}
        self.header = {name: file.header[name] for name, file in self._files.items()}
        self.size = sum(spec.nbytes for spec in self.header.values())
        self._identities = {file.path: Identity.of(os.fstat(file.fileno())) for file in files}
        if len(self.header) < sum(map(len, files)):
            twice = next(name for file in files for name in file if self._files[name] is not file)
            raise FormatError(f"{printable(twice)}: is in two of the directory's files; expected it in one")

    def __getitem__(self, name: str) -> Array:
        return self._files[name][name]

    def __contains__(self, name: object) -> bool:
        return name in self.header  # a Mapping would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self.header)

    def __len__(self) -> int:
        return len(self.header)

    def part(self, name: str) -> FileRange:
        """The bytes of a tensor in its file."""
        return self._files[name].part(name)

    def check_unchanged(self) -> None:
        """Compare the files with those that were opened.

        Raises:
            FormatError: a file was replaced, or written to.
        """
        for path, identity in self._identities.items():
            identity.check(path)


def read_model_dir(
    target: str | os.PathLike[str], *, manifest_text: str | None = None, allow_foreign: bool = False
) -> ModelDir:
    """Read config, manifest and tensor header of a directory; values of tensors are not read.

    Args:
        target: the directory.
        manifest_text: text of conversion.json, if that was read before; else the file is read, if there is one.
        allow_foreign: read a directory although transformers runs more than its weights, such as an adapter.

    Raises:
        FormatError: there is no such directory, one of its files is missing or damaged, or transformers runs more than
            its weights.
    """
    folder = Path(target)
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises an error for a long name
        raise FormatError(f"{target}: is no directory; expected one that transformers loads")
    with reading(target):
        if manifest_text is None and (folder / MANIFEST).exists():
            manifest_text = read_manifest_text(folder)
        manifest = None if manifest_text is None else parse_manifest(folder, manifest_text)
        config = read_json(folder / CONFIG)
        file, notes = _weights_file(folder, config)
        if not allow_foreign:
            check_foreign(folder, config)
            notes += modules_notes(folder)
        paths = _shards(file) if file.name.endswith(_INDEX_SUFFIX) else (file,)
        with _open_files(paths) as files:
            header = StoredWeights(files).header
        return ModelDir(folder, config, manifest, header, paths, manifest_text, tuple(notes))


def read_manifest(target: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a converted directory.

    Raises:
        FormatError: there is none, or it is damaged.
    """
    return parse_manifest(target, read_manifest_text(target))


def read_manifest_text(target: str | os.PathLike[str]) -> str:
    """Read the text of a converted directory's manifest.

    Raises:
        FormatError: there is none, or it is no text.
    """
    path = place_of(target) / MANIFEST
    try:
        return path.read_bytes().decode("utf-8")  # every byte counts; read_text would change line ends
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read: {error}. Is {target} a converted directory?") from error


def parse_manifest(target: str | os.PathLike[str], text: str) -> Manifest:
    """Parse the text of a directory's manifest.

    Raises:
        FormatError: the text is no manifest; the message names the directory.
    """
    try:
        return Manifest.from_json(text)
    except FormatError as error:
        raise FormatError(f"{target}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        FormatError: the file is missing, cannot be read, or holds something else.
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


def _weights_file(folder: Path, config: Mapping[str, Any]) -> tuple[Path, list[str]]:
    """Find the weights as transformers does: the file that the config names, one file, or an index of shards.

    Returns:
        The safetensors file or the index, and remarks on others that are not read.
    """
    named = config.get(_NAMED_WEIGHTS)
    if named is not None and not _is_weights_name(named):
        raise FormatError(
            f"{folder / CONFIG}: {_NAMED_WEIGHTS} is {printable(repr(named))}, expected the name of a safetensors file "
            "beside it, or of an index"
        )
    candidates = [name for name in (WEIGHTS, INDEX) if (folder / name).is_file()]
    name = named or next(iter(candidates), WEIGHTS)
    if named is None and not candidates:
        _refuse_pickles(folder)
    return folder / name, [
        f"{other} is there too, and is not read: transformers loads {printable(name)}"
        for other in candidates
        if other != name
    ]


def _is_weights_name(name: object) -> bool:
    """True if transformers takes it for the name of weights, and it is the name of a file in the directory."""
    is_name = isinstance(name, str) and name.isprintable() and Path(name).name == name
    return is_name and str(name).endswith((_SUFFIX, _INDEX_SUFFIX))


def _refuse_pickles(folder: Path) -> None:
    """Refuse a directory whose weights are pickles alone."""
    for name, problem in ((PICKLED, "is a pickle"), (f"{PICKLED}.index.json", "names a pickle")):
        if (folder / name).exists():
            raise FormatError(
                f"{folder / name}: {problem}, which could run anything and is never read; expected {WEIGHTS} beside "
                "it. Load the model with transformers and write it with save_pretrained, which makes one"
            )


def _shards(index: Path) -> tuple[Path, ...]:
    """The files that an index names."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise FormatError(f"{index}: has no weight_map; expected one that names the file of each tensor")
    names = sorted({str(name) for name in weight_map.values()})
    if wrong := [name for name in names if Path(name).name != name or not name.isprintable()]:
        raise FormatError(f"{index}: names '{printable(wrong[0])}', expected files beside it")
    return tuple(index.parent / name for name in names)


@contextmanager
def _open_files(paths: Sequence[Path]) -> Iterator[list[TensorFile]]:
    with ExitStack() as files:
        yield [files.enter_context(open_tensors(path)) for path in paths]
