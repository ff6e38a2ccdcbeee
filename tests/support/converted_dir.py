"""A converted directory with two layers, open for changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bort_convert.model_dir.assemble import file_digest
from bort_convert.model_dir.manifest import Manifest
from bort_convert.model_dir.read import read_manifest
from bort_convert.safetensors import open_tensors, save_tensors

if TYPE_CHECKING:
    from pathlib import Path

_LAYERS = 2


class Converted:
    """A converted directory, open for mutation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with open_tensors(folder / "model.safetensors") as file:
            self.tensors = {name: array.copy() for name, array in file.items()}
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.manifest: dict[str, Any] = json.loads((folder / "conversion.json").read_text())

    def write(self) -> None:
        """Write all files; the manifest gets a valid digest, so that no check sees the edit by that alone."""
        (self.folder / "model.safetensors").unlink()
        save_tensors(self.folder / "model.safetensors", self.tensors, {"format": "pt"})
        (self.folder / "config.json").write_text(json.dumps(self.config))
        (self.folder / "conversion.json").write_text(Manifest.from_json(json.dumps(self.manifest)).to_json())

    def swap(self, one: str, other: str) -> None:
        self.tensors[one], self.tensors[other] = self.tensors[other], self.tensors[one]

    def swap_rows(self, one: str, other: str) -> None:
        """Swap the tensors of two rows of a table, in every layer if the rows have layers."""
        for layer in range(_LAYERS if "{layer}" in one else 1):
            self.swap(one.format(layer=layer), other.format(layer=layer))

    def set_hyperparameter(self, name: str, value: object, key: str = "") -> None:
        """Put one wrong value into the manifest and into the config, which then agree.

        Args:
            name: of the hyperparameter.
            value: the wrong one.
            key: of the config, where it has another name.
        """
        self.manifest["hyperparameters"][name] = value
        self.config[key or name] = value


def seal(out: Path, name: str) -> None:
    """Write the digest of a file into the manifest."""
    manifest = read_manifest(out)
    document = {**manifest.to_dict(), "files": {**manifest.files, name: file_digest(out / name)}}
    (out / "conversion.json").write_text(Manifest.from_json(json.dumps(document)).to_json(), "utf-8")
