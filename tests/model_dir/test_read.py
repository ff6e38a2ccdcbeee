"""Reading a model directory: the weights that transformers loads, and nothing that it would run beside them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import bort_convert
from bort_convert.errors import FormatError
from bort_convert.model_dir.read import read_model_dir
from bort_convert.params import open_params, save_params

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "embeddings.word_embeddings.weight"
SINGLE, INDEX, OTHER = "model.safetensors", "model.safetensors.index.json", "other.safetensors"


@pytest.fixture
def source(fixtures: Path) -> Path:
    return fixtures / "bert_2_2_8_8-pooled.params"


@pytest.fixture
def stock(source: Path, tmp_path: Path) -> Path:
    """A directory without a manifest, as save_pretrained leaves it."""
    bort_convert.convert(source, tmp_path / "stock", family="bert", heads=2)
    for name in ("conversion.json", "README.md"):
        (tmp_path / "stock" / name).unlink()
    return tmp_path / "stock"


def with_value(source: Path, folder: Path, value: float, **options: Any) -> Path:  # noqa: ANN401
    """A directory of the same model whose first value is this one."""
    with open_params(source) as params:
        arrays = {name: array.copy() for name, array in params.items()}
    arrays["word_embed.0.weight"][0, 0] = value
    save_params(folder / f"{value}.params", arrays)
    bort_convert.convert(folder / f"{value}.params", folder / f"{value}", family="bert", heads=2, **options)
    return folder / f"{value}"


def name_weights(folder: Path, name: object) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "transformers_weights": name}), "utf-8")


@pytest.fixture
def layouts(stock: Path, source: Path, tmp_path: Path) -> Path:
    """One file with the value 1, shards with 2, and another file with 3."""
    shutil.copy(with_value(source, tmp_path, 1) / SINGLE, stock / SINGLE)
    for path in with_value(source, tmp_path, 2, max_shard_size="3KB").glob("model*"):
        shutil.copy(path, stock / path.name)
    shutil.copy(with_value(source, tmp_path, 3) / SINGLE, stock / OTHER)
    return stock


def only_single(folder: Path) -> None:
    (folder / INDEX).unlink()


def only_shards(folder: Path) -> None:
    (folder / SINGLE).unlink()


def single_is_a_lost_link(folder: Path) -> None:
    (folder / SINGLE).unlink()
    (folder / SINGLE).symlink_to(folder / "absent")


def shard_is_lost(folder: Path) -> None:
    next(folder.glob("model-*")).unlink()


def named_single(folder: Path) -> None:
    name_weights(folder, OTHER)


def named_index(folder: Path) -> None:
    name_weights(folder, INDEX)


def nothing(_folder: Path) -> None:
    """Both layouts, as they are."""


@pytest.mark.torch
@pytest.mark.parametrize(
    ("change", "value", "notes"),
    [
        (nothing, 1, [f"{INDEX} is there too, and is not read: transformers loads {SINGLE}"]),
        (only_single, 1, []),
        (only_shards, 2, []),
        (single_is_a_lost_link, 2, []),
        (shard_is_lost, 1, [f"{INDEX} is there too, and is not read: transformers loads {SINGLE}"]),
        (
            named_single,
            3,
            [f"{name} is there too, and is not read: transformers loads {OTHER}" for name in (SINGLE, INDEX)],
        ),
        (named_index, 2, [f"{SINGLE} is there too, and is not read: transformers loads {INDEX}"]),
    ],
)
def test_the_weights_are_those_that_transformers_loads(
    layouts: Path, tmp_path: Path, change: Callable[[Path], None], value: float, notes: list[str]
) -> None:
    from transformers import AutoModel  # noqa: PLC0415

    change(layouts)
    directory = read_model_dir(layouts)
    assert list(directory.notes) == notes
    with directory.open_weights() as weights:
        assert weights[KEY][0, 0] == value
    assert AutoModel.from_pretrained(layouts).state_dict()[KEY][0, 0] == value
    manifest = bort_convert.export(layouts, tmp_path / "back.params")
    assert set(notes) <= set(manifest.notes)
    with open_params(tmp_path / "back.params") as params:
        assert params["word_embed.0.weight"][0, 0] == value


@pytest.mark.parametrize("name", ["../other.safetensors", "pytorch_model.bin", "a/b.safetensors", 1, "", ["x"]])
def test_a_name_of_weights_that_leads_elsewhere_is_refused(stock: Path, name: object) -> None:
    name_weights(stock, name)
    with pytest.raises(FormatError, match=r"transformers_weights is .*, expected the name of a safetensors file"):
        read_model_dir(stock)


def test_weights_that_the_config_names_must_be_there(stock: Path) -> None:
    name_weights(stock, OTHER)
    with pytest.raises(FormatError, match=r"other\.safetensors"):
        read_model_dir(stock)


@pytest.mark.parametrize(("name", "problem"), [("", "is a pickle"), (".index.json", "names a pickle")])
def test_pickles_alone_are_refused(stock: Path, name: str, problem: str) -> None:
    (stock / SINGLE).unlink()
    (stock / f"pytorch_model.bin{name}").write_bytes(b"{}")
    with pytest.raises(FormatError, match=f"{problem}, which could run anything and is never read"):
        read_model_dir(stock)


FILES = {
    "adapter_config.json": "a PEFT adapter",
    "adapter_model.bin": "a PEFT adapter",
    "adapter_model.safetensors": "a PEFT adapter",
    "quantize_config.json": "the weights are quantized",
}
KEYS = {
    "quantization_config": ({"quant_method": "bitsandbytes"}, "the weights are quantized"),
    "auto_map": ({"AutoModel": "modeling_x.XModel"}, "the model is of a class of its own"),
    "per_layer_config": ({"0": {"num_attention_heads": 1}}, "layers have configs of their own"),
}


def refused_everywhere(folder: Path, problem: str) -> None:
    """Read only where that is allowed, and never exported."""
    with pytest.raises(FormatError, match=problem):
        read_model_dir(folder)
    with pytest.raises(FormatError, match=problem):
        bort_convert.export(folder, folder.parent / "back.params")
    assert not (folder.parent / "back.params").exists()
    assert read_model_dir(folder, allow_foreign=True).header


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("converted", [False, True])
def test_an_adapter_beside_the_weights_is_refused(
    stock: Path, source: Path, tmp_path: Path, name: str, *, converted: bool
) -> None:
    folder = stock
    if converted:
        folder = tmp_path / "converted"
        bort_convert.convert(source, folder, family="bert", heads=2)
    (folder / name).write_bytes(b"{}")
    refused_everywhere(folder, FILES[name])
    if converted:
        outcome = bort_convert.check(folder, source=source)
        assert [line for line in outcome.problems if name in line and "was not there" in line]


@pytest.mark.parametrize("key", KEYS)
def test_a_config_that_asks_for_another_model_is_refused(stock: Path, key: str) -> None:
    value, problem = KEYS[key]
    config = json.loads((stock / "config.json").read_text("utf-8"))
    (stock / "config.json").write_text(json.dumps({**config, key: value}), "utf-8")
    refused_everywhere(stock, problem)
    (stock / "config.json").write_text(json.dumps({**config, key: None}), "utf-8")
    assert read_model_dir(stock).header


def modules(*names: str) -> str:
    return json.dumps([{"idx": 0, "type": f"sentence_transformers.models.{name}"} for name in names])


def test_pooling_behind_the_model_is_left_out_with_a_note(stock: Path, tmp_path: Path) -> None:
    (stock / "modules.json").write_text(modules("Transformer", "Pooling", "Normalize"), "utf-8")
    manifest = bort_convert.export(stock, tmp_path / "back.params")
    assert manifest.notes[-1] == (
        "what sentence-transformers runs behind the model is left out: Pooling, Normalize (modules.json)"
    )


@pytest.mark.parametrize("text", [modules("Transformer", "Pooling", "Dense"), modules("WordEmbeddings", "CNN")])
def test_a_layer_with_weights_behind_the_model_is_refused(stock: Path, text: str) -> None:
    (stock / "modules.json").write_text(text, "utf-8")
    refused_everywhere(stock, "sentence-transformers runs (Dense|WordEmbeddings) behind the model")


@pytest.mark.parametrize("text", ["", "{}x", "[1]", '{"a": 1}', '[{"kind": "x"}]'])
def test_modules_that_cannot_be_read_are_refused(stock: Path, text: str) -> None:
    (stock / "modules.json").write_text(text, "utf-8")
    refused_everywhere(stock, "is no list of modules")
