"""Special token ids of a converted directory are those of the vocabulary that stands beside it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from family_forms import header_with

import bort_convert
from bort_convert.errors import FormatError, OptionError, OutputError
from bort_convert.model_dir.config import generation_config_of, target_config
from bort_convert.model_dir.read import read_manifest
from bort_convert.models.registry import families, fit_source
from bort_convert.params import open_params, save_params

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROLES = ("pad", "bos", "eos", "unk", "cls", "sep", "mask")
END = 0
"""Id of the token that ends a text, in the GPT-2's vocabulary."""
KEYS = tuple(f"{role}_token_id" for role in ROLES)
ROBERTA, BERT, GPT2 = (
    {"folder": "roberta-own-vocabulary", "source": "rob.params", "vocab": "rob.vocab", "family": "roberta"},
    {"folder": "bert-pad-id", "source": "cls.params", "vocab": "v.vocab", "family": "bert"},
    {"folder": "gpt2-end-of-text-id", "source": "gpt.params", "vocab": "gpt.vocab", "family": "gpt2"},
)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def source_of(case: dict[str, str], fixtures: Path, folder: Path) -> Path:
    """The checkpoint of a case; the GPT-2 is made here, and predicts the end of a text whatever came before."""
    if case is not GPT2:
        return fixtures / "cases" / case["folder"] / case["source"]
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(261, 8))
    embedding[END] *= 9
    norms = {f"{name}.{layer}" for name in ("_attn_ln", "_ffn_ln") for layer in range(2)}
    sizes = {
        "_self_attention_layers.{}._multi_head_qkv_proj": (24, 8),
        "_self_attention_layers.{}._out_proj": (8, 8),
        "_ffn_layers.{}._hidden_map": (32, 8),
        "_ffn_layers.{}._out_map": (8, 32),
    }
    dense = {name.format(layer): shape for name, shape in sizes.items() for layer in range(2)}
    arrays = {
        "_embed.weight": embedding,
        "_logits_proj.weight": embedding,
        "_pos_embed.weight": rng.normal(size=(16, 8)),
        "_final_ln.gamma": np.zeros(8),
        "_final_ln.beta": embedding[END] / 9,
        **{f"{name}.gamma": np.ones(8) for name in norms},
        **{f"{name}.beta": np.zeros(8) for name in norms},
        **{f"{name}.weight": rng.normal(size=shape) for name, shape in dense.items()},
        **{f"{name}.bias": rng.normal(size=shape[0]) for name, shape in dense.items()},
    }
    save_params(folder / "gpt.params", {name: array.astype(np.float32) for name, array in arrays.items()})
    return folder / "gpt.params"


def reordered(case: dict[str, str], order: Sequence[int], fixtures: Path, folder: Path) -> tuple[Path, Path]:
    """Write the checkpoint and the vocabulary of a case with another order of tokens: `order[new] = old`."""
    cases = fixtures / "cases" / case["folder"]
    vocab = read(cases / case["vocab"])
    vocab["idx_to_token"] = [vocab["idx_to_token"][number] for number in order]
    vocab["token_to_idx"] = {token: number for number, token in enumerate(vocab["idx_to_token"])}
    (folder / "x.vocab").write_text(json.dumps(vocab), "utf-8")
    with open_params(source_of(case, fixtures, folder)) as params:
        arrays = {name: array.copy() for name, array in params.items()}
    for name, array in arrays.items():
        if len(array) == len(order):
            arrays[name] = array[list(order)]
    save_params(folder / "x.params", arrays)
    return folder / "x.params", folder / "x.vocab"


def convert(
    case: dict[str, str],
    fixtures: Path,
    out: Path,
    **options: Any,  # noqa: ANN401
) -> bort_convert.Manifest:
    files = tokenizer_files(case, fixtures) if options.pop("tokenizer", True) else {}
    source = options.pop("source", None) or source_of(case, fixtures, out.parent)
    return bort_convert.convert(source, out, family=case["family"], heads=2, **{**files, **options})  # type: ignore[arg-type]


def tokenizer_files(case: dict[str, str], fixtures: Path) -> dict[str, Path]:
    folder = fixtures / "cases" / case["folder"]
    ranks = {"bpe_ranks": folder / "ranks.txt"} if (folder / "ranks.txt").exists() else {}
    return {"vocab": folder / case["vocab"], **ranks}


def moved(size: int, token: int, place: int) -> list[int]:
    """The order of tokens in which one has another place."""
    order = [number for number in range(size) if number != token]
    return [*order[:place], token, *order[place:]]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("case", "order"),
    [
        (ROBERTA, None),
        (ROBERTA, moved(265, 2, 0)),
        (ROBERTA, moved(265, 2, 9)),
        (ROBERTA, moved(265, 2, 264)),
        (BERT, None),
        (BERT, moved(18, 4, 0)),
        (BERT, moved(18, 4, 1)),
        (GPT2, None),
        (GPT2, moved(261, 0, 260)),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_config_and_tokenizer_have_the_same_ids(
    case: dict[str, str], order: list[int] | None, fixtures: Path, tmp_path: Path, *, later: bool
) -> None:
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig  # noqa: PLC0415

    options: dict[str, Any] = {}
    if order:
        options = dict(zip(("source", "vocab"), reordered(case, order, fixtures, tmp_path), strict=True))
    out = tmp_path / "out"
    if later and case is not ROBERTA:
        vocab = options.pop("vocab", tokenizer_files(case, fixtures)["vocab"])
        convert(case, fixtures, out, tokenizer=False, **options)
        manifest = bort_convert.add_tokenizer(out, **{**tokenizer_files(case, fixtures), "vocab": vocab})
    else:
        manifest = convert(case, fixtures, out, **options)
    config, tokenizer = AutoConfig.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    expected = {key: getattr(tokenizer, key) for key in KEYS}
    assert {key: getattr(config, key, None) for key in KEYS} == expected
    assert {key: manifest.hyperparameters.get(key) for key in KEYS} == expected
    assert not set(manifest.assumed) & {*KEYS}
    if case is GPT2:
        generation = GenerationConfig.from_pretrained(out)
        assert {key: getattr(generation, key) for key in KEYS[:3]} == {key: expected[key] for key in KEYS[:3]}
        assert set(read(out / "generation_config.json")) == {"bos_token_id", "eos_token_id"}
    else:
        assert not (out / "generation_config.json").exists()
    assert bort_convert.check(out)


@pytest.mark.torch
@pytest.mark.parametrize("pad", [2, 0, 5, 264])
def test_a_robertas_positions_begin_behind_its_own_padding_id(fixtures: Path, tmp_path: Path, pad: int) -> None:
    """The plain class, with nothing set by us, computes what GluonNLP computed."""
    import torch  # noqa: PLC0415
    from transformers import AutoModelForMaskedLM  # noqa: PLC0415

    order = moved(265, 2, pad)
    source, vocab = reordered(ROBERTA, order, fixtures, tmp_path)
    convert(ROBERTA, fixtures, tmp_path / "out", source=source, vocab=vocab)
    config = read(tmp_path / "out" / "config.json")
    assert (config["pad_token_id"], config["max_position_embeddings"]) == (pad, 16 + pad + 1)
    with np.load(fixtures / "cases" / ROBERTA["folder"] / "expected.npz") as stored:
        expected = dict(stored)
    ids = torch.tensor([[order.index(int(number)) for number in expected["ids"][0]]])
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "out").eval()
    with torch.inference_mode():
        output = model(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    np.testing.assert_allclose(output.hidden_states[-1].numpy(), expected["hidden"], rtol=0, atol=5e-6)
    best = output.logits[0, 3].numpy().argsort()[::-1][:5]
    assert [order[number] for number in best] == [233, 47, 96, 84, 21]
    bort_convert.export(tmp_path / "out", tmp_path / "back.params")
    with open_params(source) as one, open_params(tmp_path / "back.params") as other:
        assert {name: array.tobytes() for name, array in one.items()} == {
            name: array.tobytes() for name, array in other.items()
        }


@pytest.mark.torch
def test_the_row_of_the_unknown_token_learns(fixtures: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415
    from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: PLC0415

    convert(BERT, fixtures, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    batch = tokenizer("the zebra was bad", padding="max_length", max_length=8, return_tensors="pt")
    logits = model(**batch).logits
    assert logits[0, 0].item() == pytest.approx(-0.29946, abs=1e-5)
    torch.nn.functional.cross_entropy(logits, torch.tensor([1])).backward()
    gradient = model.get_input_embeddings().weight.grad
    assert gradient[tokenizer.unk_token_id].abs().max().item() == pytest.approx(0.02431, abs=1e-5)
    masked = model(batch["input_ids"], attention_mask=batch["input_ids"].ne(model.config.pad_token_id).long()).logits
    assert masked[0, 0].item() == pytest.approx(-0.29946, abs=1e-5)


@pytest.mark.torch
def test_a_gpt2_stops_at_the_end_of_its_own_text(fixtures: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    manifest = convert(GPT2, fixtures, tmp_path / "out")
    assert "generation_config.json" in manifest.files
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    batch = tokenizer("the cat", return_tensors="pt")
    text = model.generate(**batch, max_new_tokens=6, do_sample=False, pad_token_id=0)
    assert text[0, batch["input_ids"].shape[1] :].tolist() == [0]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("family", "vocab_size"),
    [
        (name, size)
        for name, family in families().items()
        for size in (1, 2, 4, 30)
        if size > 1 or not any(key.after for key in family.config)  # positions begin behind a token that it lacks
    ],
)
@pytest.mark.filterwarnings("error")
def test_ids_that_the_vocabulary_has_no_row_for_are_null_and_the_model_can_be_built(
    family: str, vocab_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    from transformers import AutoConfig, AutoModel  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    known = families()[family]
    header = header_with(known.tables[0], frozenset(), vocab_size=vocab_size)
    fit = fit_source(header, family=family, heads=2, layers=2 if family == "albert" else None)
    config = target_config(fit)
    ids = {key: config[key] for key in KEYS if key in config}
    assert all(number is None or number < vocab_size for number in ids.values())
    assert all(config[key.name] is None or key.name in fit.hyperparameters for key in known.config if key.name in KEYS)
    caplog.set_level("WARNING")
    logging.enable_propagation()
    model = AutoModel.from_config(AutoConfig.for_model(**config))
    logging.disable_propagation()
    assert {key: getattr(model.config, key) for key in ids} == ids
    assert not caplog.records
    generation = generation_config_of(config)
    assert generation is None or None not in generation.values()


def test_a_tokenizer_that_comes_later_gives_the_same_directory(fixtures: Path, tmp_path: Path) -> None:
    for case in (BERT, GPT2):
        out, later = tmp_path / f"{case['family']}-out", tmp_path / f"{case['family']}-later"
        convert(case, fixtures, out)
        convert(case, fixtures, later, tokenizer=False)
        bort_convert.add_tokenizer(later, **tokenizer_files(case, fixtures))
        assert {path.name: path.read_bytes() for path in later.iterdir()} == {
            path.name: path.read_bytes() for path in out.iterdir()
        }


def test_a_robertas_padding_id_cannot_change_later(fixtures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(ROBERTA, fixtures, out, tokenizer=False)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(
        FormatError, match=r"behind pad_token_id 1, and the vocabulary's is 2\. Convert the checkpoint again"
    ):
        bort_convert.add_tokenizer(out, **tokenizer_files(ROBERTA, fixtures))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    convert(ROBERTA, fixtures, out, tokenizer=False, hyperparameters={"pad_token_id": 2}, force=True)
    manifest = bort_convert.add_tokenizer(out, **tokenizer_files(ROBERTA, fixtures))
    assert manifest.hyperparameters["mask_token_id"] == read(out / "config.json")["mask_token_id"] == 1
    assert bort_convert.check(out)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_ids_do_not_go_into_a_file_that_was_edited(fixtures: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    convert(GPT2, fixtures, out, tokenizer=False)
    (out / name).write_text(json.dumps({**read(out / name), "attn_pdrop": 0.1}), "utf-8")
    with pytest.raises(FormatError, match=rf"{re.escape(name)}: is not as the conversion wrote it"):
        bort_convert.add_tokenizer(out, **tokenizer_files(GPT2, fixtures))


def test_a_generation_config_of_the_users_own_is_not_replaced(fixtures: Path, tmp_path: Path) -> None:
    """A directory of release 0.1 has none."""
    out = tmp_path / "out"
    manifest = convert(GPT2, fixtures, out, tokenizer=False)
    document = manifest.to_dict()
    files = {key: value for key, value in manifest.files.items() if key != "generation_config.json"}
    (out / "conversion.json").write_text(json.dumps({**document, "files": files}), "utf-8")
    with pytest.raises(OutputError, match=r"holds generation_config\.json, which no conversion wrote"):
        bort_convert.add_tokenizer(out, **tokenizer_files(GPT2, fixtures))


def test_the_manifest_keeps_what_was_assumed_and_what_was_given(fixtures: Path, tmp_path: Path) -> None:
    plain = convert(GPT2, fixtures, tmp_path / "plain", tokenizer=False)
    assert plain.assumed == ("hidden_act", "layer_norm_eps")
    assert "hyperparameters" not in plain.options
    chosen = {"activation": "gelu", "eos_token_id": 0}
    given = convert(GPT2, fixtures, tmp_path / "given", tokenizer=False, hyperparameters=chosen)
    assert given.options["hyperparameters"] == chosen
    assert (given.hyperparameters["hidden_act"], given.assumed) == ("gelu", ("layer_norm_eps",))
    config = read(tmp_path / "given" / "config.json")
    assert (config["activation_function"], config["eos_token_id"], config["bos_token_id"]) == ("gelu", 0, None)
    assert read(tmp_path / "given" / "generation_config.json") == {"eos_token_id": 0}
    assert read_manifest(tmp_path / "given") == given
    later = bort_convert.add_tokenizer(tmp_path / "given", **tokenizer_files(GPT2, fixtures))
    assert (later.hyperparameters["hidden_act"], later.assumed) == ("gelu", ("layer_norm_eps",))
    assert bort_convert.check(tmp_path / "given")
    inspection = bort_convert.inspect(
        source_of(GPT2, fixtures, tmp_path), family="gpt2", heads=2, hyperparameters=chosen
    )
    assert inspection.fit
    assert inspection.fit.assumed == ("layer_norm_eps",)
    with pytest.raises(OptionError, match="GPT-2 has no dropout"):
        convert(GPT2, fixtures, tmp_path / "wrong", hyperparameters={"dropout": 0.1})


def test_the_manifest_keeps_what_the_stock_class_computes_otherwise(fixtures: Path, tmp_path: Path) -> None:
    ernie = bort_convert.convert(fixtures / "ernie_2_2_8_8.params", tmp_path / "ernie", family="ernie", heads=2)
    assert ernie.stock_differences == {"head_layer_norm_eps": 1e-12, "head_hidden_act": "gelu"}
    bert = bort_convert.convert(fixtures / "bert_2_2_8_8.params", tmp_path / "bert", family="bert", heads=2)
    assert not bert.stock_differences


def test_a_model_without_a_padding_token_is_found_again_among_families_that_need_one(
    fixtures: Path, tmp_path: Path
) -> None:
    source = fixtures / "gpt2_2_3_48_12.params"
    bort_convert.convert(source, tmp_path / "out", heads=3, hyperparameters={"bos_token_id": 1, "eos_token_id": 2})
    assert bort_convert.check(tmp_path / "out", source=source)


def test_a_family_that_needs_a_padding_token_says_so(fixtures: Path) -> None:
    with open_params(fixtures / "roberta_2_2_8_8.params") as params, pytest.raises(OptionError) as caught:
        fit_source(params.specs, family="roberta", heads=2, special_token_ids={"bos_token_id": 1})
    assert caught.value.option == "special_token_ids"
    assert caught.value.problem == "RoBERTa needs pad_token_id, a row of the vocabulary"
