"""What the browser page asks of bort_convert: each function takes a request and gives a reply, both as JSON.

The files that were dropped lie in the working directory. Messages, lines and tables are those of the command line.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import bort_convert
from bort_convert.cli import listings, main, text
from bort_convert.cli.flags import as_flags
from bort_convert.errors import ConvertError
from bort_convert.model_dir.remarks import auto_class
from bort_convert.plain_table import TextTable
from bort_convert.tokenizer import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bort_convert.mapping.fit import Fit

PIECE: Final = 1 << 20


def inspect(request: str) -> str:
    """Inspect a checkpoint: `{"names": [...], "options": {...}}`, the names of all files that were dropped."""
    return _answered("inspect", request, _inspected)


def convert(request: str) -> str:
    """Convert a checkpoint into the directory `target` of a request, and describe the files and their archive."""
    return _answered("convert", request, _converted)


def _answered(command: str, request: str, answer: Callable[[dict[str, Any]], dict[str, object]]) -> str:
    """The answer to a request, or the message that the command line would print."""
    try:
        reply = answer(json.loads(request))
    except ConvertError as error:
        reply = {"error": _message(command, error)}
    return json.dumps(reply)


def _message(command: str, error: ConvertError) -> str:
    return _as_flags(command, [str(error)])[0]


def _as_flags(command: str, lines: Iterable[str]) -> list[str]:
    """Lines as the command line prints them, with flags in place of arguments."""
    with click.Context(main, info_name="bort-convert") as root:
        found = main.get_command(root, command)
        assert found is not None
        context = click.Context(found, parent=root)
        return [as_flags(line.strip(), context) for line in lines]


def _inspected(request: dict[str, Any]) -> dict[str, object]:
    source = _source(request["names"])
    inspection = bort_convert.inspect(source, **request["options"])
    fit, misfit = inspection.fit, inspection.misfit
    blocks = listings.inspection_text(inspection)
    lines = [block for block in blocks[1:] if isinstance(block, str) and block not in {"", str(misfit)}]
    if fit:  # the title of the page has the line with the model
        lines = [line for line in lines if not line.endswith(f"-> {fit.architecture}")]
    return {
        "document": listings.inspection_dict(inspection, summary=True),
        "format": listings.FORMATS[inspection.kind],
        "arrays": len(inspection.arrays),
        "fit": _fit(fit) if fit else None,
        "misfit": _message("inspect", misfit) if misfit else None,
        "lines": _as_flags("inspect", lines),
        "tables": [
            {"titles": block.titles, "rows": [*map(list, block.rows)]}
            for block in blocks
            if isinstance(block, TextTable)
        ],
        "families": [[family.name, family.title] for family in bort_convert.families().values()],
    }


def _fit(fit: Fit) -> dict[str, object]:
    kind = fit.family.tokenizer
    return {
        "title": fit.family.title,
        "loaded_by": auto_class(fit.architecture),
        "tokenizer_files": list(KINDS[kind].file_options) if kind else [],
    }


def _source(names: Iterable[str]) -> Path:
    """The file itself, or the directory of several: a tokenizer is then made of those beside the checkpoint."""
    alone = [*names]
    return Path(alone[0]) if len(alone) == 1 else Path()


def _converted(request: dict[str, Any]) -> dict[str, object]:
    target = Path(request["target"])
    manifest = bort_convert.convert(_source(request["names"]), target, **request["options"])
    files = sorted(target.iterdir())
    return {
        "lines": _as_flags("convert", text.conversion_text(manifest, Path(target.name))),
        "files": [{"name": path.name, "size": path.stat().st_size} for path in files],
        "archive": archive(files, target.name),
    }


def archive(files: Iterable[Path], folder: str) -> list[dict[str, str]]:
    """Parts of a zip archive in their order: `text`, bytes of its own as hexadecimal digits, and `file`, all of a file.

    The files are read once, for their checksums, and never held: the browser puts the parts together.
    """
    sink = _Parts()
    with zipfile.ZipFile(sink, "w") as archived:  # type: ignore[call-overload] # writes, seeks and tells
        for path in files:
            info = zipfile.ZipInfo(f"{folder}/{path.name}")
            info.external_attr = 0o644 << 16
            info.file_size = path.stat().st_size
            with archived.open(info, "w") as member, path.open("rb") as content:
                sink.begin_file(path.name)
                shutil.copyfileobj(content, member, PIECE)
                sink.end_file()
    return [{"file": part} if isinstance(part, str) else {"text": part.hex()} for part in sink.parts.values()]


@dataclass
class _Parts:
    """A file that keeps what is written to it, but for the contents of files, of which it keeps the name.

    Attributes:
        parts: by the byte at which they begin. A header that is written again, with the checksum, keeps its place.
    """

    parts: dict[int, bytes | str] = field(default_factory=dict)
    _position: int = 0
    _in_file: bool = False

    def begin_file(self, name: str) -> None:
        self.parts[self._position] = name
        self._in_file = True

    def end_file(self) -> None:
        self._in_file = False

    def write(self, data: bytes) -> int:
        if not self._in_file:
            self.parts[self._position] = bytes(data)
        self._position += len(data)
        return len(data)

    def seek(self, position: int) -> int:
        self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing is held back."""
