"""A fleet of small checkpoints of every family, good and broken, with the plan that converts them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = Path(__file__).parents[2] / "fixtures"
GOOD = sorted(path for path in FIXTURES.glob("*_[0-9]_[0-9]_*.params") if "-later" not in path.name)
"""Checkpoints whose name has the family, the layers and the heads."""
LABELS = ["one", "two", "three"]


@dataclass(frozen=True)
class Ship:
    """A checkpoint of a fleet.

    Attributes:
        source: the file.
        name: of the target.
        options: of the conversion.
        refusal: part of the error, "" for a good one.
    """

    source: Path
    name: str
    options: dict[str, Any]
    refusal: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The checkpoint as a plan has it."""
        return {"source": str(self.source), "name": self.name, **self.options}


def options_of(path: Path) -> dict[str, Any]:
    """Options that a conversion of a fixture needs; a classifier gets labels."""
    family, _, heads = path.stem.split("_")[:3]
    labels = {"labels": LABELS} if "classifier3" in path.stem else {}
    return {"family": family, "heads": int(heads), **labels}


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _other_magic(data: bytes) -> bytes:
    return b"\xff" + data[1:]


def _text(_data: bytes) -> bytes:
    return b"this is no checkpoint\n"


def _longer(data: bytes) -> bytes:
    return data + b"\0"


DAMAGE: tuple[tuple[Callable[[bytes], bytes], dict[str, Any], str], ...] = (
    (_cut, {}, "Truncated"),
    (_other_magic, {}, "starts with the bytes FF"),
    (_text, {}, "this is a text file"),
    (_longer, {}, "1 byte too many"),
    (bytes, {"heads": 7}, "heads"),
    (bytes, {"variant": "bort_4_8_768_1024"}, "variant"),
    (bytes, {"vocab": str(FIXTURES / "gone.vocab")}, "gone.vocab"),
    (bytes, {"hyperparameters": {"no_such": 1}}, "no_such"),
)
"""Change of a file's bytes and of its options, and a part of the error."""


def launch(folder: Path, good: int, broken: int) -> list[Ship]:
    """Write a fleet into an empty folder, the broken ones spread among the good ones."""
    ships = []
    for number in range(good):
        path = GOOD[number % len(GOOD)]
        source = folder / f"{path.stem}-{number}.params"
        source.write_bytes(path.read_bytes())
        ships.append(Ship(source, f"{path.stem.partition('_')[0]}/{number:03}", options_of(path)))
    for number in range(broken):
        damage, changes, refusal = DAMAGE[number % len(DAMAGE)]
        path = GOOD[number * 7 % len(GOOD)]
        source = folder / f"broken-{number}.params"
        source.write_bytes(damage(path.read_bytes()))
        ship = Ship(source, f"broken-{number}", {**options_of(path), **changes}, refusal)
        ships.insert((number * 37 + 5) % len(ships), ship)
    return ships


def write_plan(path: Path, ships: list[Ship]) -> Path:
    """Write a plan of JSON lines."""
    path.write_text("".join(json.dumps(ship.row) + "\n" for ship in ships))
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Name and bytes of every file of a directory."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
