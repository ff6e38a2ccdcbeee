from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from borts import write_bort

from bort_convert.commands.convert import convert
from bort_convert.errors import BackendError, FormatError, ParityError
from bort_convert.model_dir.read import read_model_dir
from bort_convert.safetensors import open_tensors, save_tensors

FIXTURES = Path(__file__).parents[2] / "fixtures"

pytestmark = pytest.mark.torch


@pytest.fixture
def copy(converted: Path, tmp_path: Path) -> Path:
    """A converted directory that a test may spoil."""
    shutil.copytree(converted, tmp_path / "out")
    return tmp_path / "out"


def rewrite(target: Path, **changes: np.ndarray | None) -> None:
    with open_tensors(target / "model.safetensors") as file:
        tensors = {name: array.copy() for name, array in file.items()}
    (target / "model.safetensors").unlink()
    kept = {name: array for name, array in (tensors | changes).items() if array is not None}
    save_tensors(target / "model.safetensors", kept, {"format": "pt"})


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_head_gets_its_override_and_the_rest_the_config_s_epsilon(converted: Path) -> None:
    from bort_convert.verification.torch_run import apply_module_overrides, load_pretrained  # noqa: PLC0415

    model = load_pretrained(read_model_dir(converted))
    assert type(model).__name__ == "BertForMaskedLM"
    assert not model.training
    assert model.cls.predictions.transform.LayerNorm.eps == 1e-12
    assert model.bert.embeddings.LayerNorm.eps == 1e-5
    assert model.bert.encoder.layer[2].output.LayerNorm.eps == 1e-5
    apply_module_overrides(model, {}, as_float32=True)
    assert model.cls.predictions.transform.LayerNorm.eps == float(np.float32(1e-5)) != 1e-5


def test_overrides_of_modules_are_set_and_can_be_taken_back(tmp_path: Path) -> None:
    from bort_convert.verification.torch_run import apply_module_overrides, load_pretrained  # noqa: PLC0415

    convert(FIXTURES / "ernie_2_2_8_8.params", tmp_path / "out", family="ernie", heads=2, gluonnlp_version="0.9.1")
    model = load_pretrained(read_model_dir(tmp_path / "out"))
    head, layer = model.cls.predictions.transform, model.bert.encoder.layer[1]
    assert type(head.transform_act_fn).__name__ == "GELUActivation"
    assert type(layer.intermediate.intermediate_act_fn).__name__ == "ReLU"
    assert (head.LayerNorm.eps, model.bert.embeddings.LayerNorm.eps, layer.output.LayerNorm.eps) == (1e-12, 1e-12, 1e-5)
    apply_module_overrides(model, {})
    assert type(head.transform_act_fn).__name__ == "ReLU"
    assert (head.LayerNorm.eps, model.bert.embeddings.LayerNorm.eps) == (1e-5, 1e-5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("head_hidden_act", "swoosh", "head_hidden_act is 'swoosh', which transformers has not"),
        ("head_hidden_act", 3, "head_hidden_act is 3; expected what a conversion writes"),
        ("head_layer_norm_eps", "1e-5", "head_layer_norm_eps is '1e-5'; expected what a conversion writes"),
        ("embedding_layer_norm_eps", True, "embedding_layer_norm_eps is True; expected what a conversion writes"),
    ],
)
def test_a_manifest_with_a_wrong_override_is_refused(copy: Path, name: str, value: object, message: str) -> None:
    from bort_convert.verification.torch_run import load_pretrained  # noqa: PLC0415

    hyperparameters = json.loads((copy / "conversion.json").read_text())["hyperparameters"]
    edit(copy / "conversion.json", hyperparameters={**hyperparameters, name: value})
    with pytest.raises(FormatError, match=message):
        load_pretrained(read_model_dir(copy))


def test_the_backbone_comes_without_pooler_and_the_classifier_with_it(tmp_path: Path) -> None:
    from bort_convert.verification.torch_run import load_pretrained  # noqa: PLC0415

    for head, name in (("", "BertModel"), ("3", "BertForSequenceClassification")):
        convert(write_bort(tmp_path / f"{name}.params", head=head), tmp_path / name, family="bort", heads=4)
        model = load_pretrained(read_model_dir(tmp_path / name))
        assert type(model).__name__ == name
        assert (model.base_model.pooler is None) == (head == "")


def test_a_backbone_that_has_a_pooler_comes_with_it(tmp_path: Path) -> None:
    from bort_convert.verification.torch_run import load_pretrained, state_shapes  # noqa: PLC0415

    source, out = FIXTURES / "bert_2_2_8_8-pooled.params", tmp_path / "out"
    convert(source, out, family="bert", heads=2)
    assert load_pretrained(read_model_dir(out)).pooler is not None
    rewrite(out, **{"pooler.dense.weight": None, "pooler.dense.bias": None})
    assert "pooler.dense.weight" in state_shapes(read_model_dir(out)), "the manifest knows of it"
    with pytest.raises(ParityError, match=r"missing: pooler\.dense\.bias, pooler\.dense\.weight"):
        load_pretrained(read_model_dir(out))
    (out / "conversion.json").unlink()
    assert load_pretrained(read_model_dir(out)).pooler is None
    convert(source, tmp_path / "whole", family="bert", heads=2)
    (tmp_path / "whole" / "conversion.json").unlink()
    assert load_pretrained(read_model_dir(tmp_path / "whole")).pooler is not None


def test_missing_unexpected_and_misshapen_tensors_are_named(copy: Path) -> None:
    from bort_convert.verification.torch_run import load_pretrained  # noqa: PLC0415

    rewrite(
        copy,
        **{
            "bert.embeddings.LayerNorm.weight": None,
            "bert.more": np.zeros(2, np.float32),
            "cls.predictions.transform.dense.bias": np.zeros(3, np.float32),
        },
    )
    with pytest.raises(ParityError) as caught:
        load_pretrained(read_model_dir(copy))
    message = str(caught.value)
    assert "the tensors are not those of BertForMaskedLM" in message
    assert "missing: bert.embeddings.LayerNorm.weight" in message
    assert "unexpected: bert.more" in message
    assert "of another shape: cls.predictions.transform.dense.bias" in message


def test_a_config_that_names_no_model_is_refused(copy: Path) -> None:
    from bort_convert.verification.torch_run import load_pretrained  # noqa: PLC0415

    for names in (["BertConfig"], ["logging"], ["os"], [], None, [7]):
        edit(copy / "config.json", architectures=names)
        with pytest.raises(
            FormatError, match=r"config.json: architectures is .*, expected a model class of transformers"
        ):
            load_pretrained(read_model_dir(copy))


def test_a_config_of_no_possible_model_is_refused(copy: Path) -> None:
    from bort_convert.verification.torch_run import load_pretrained, state_shapes  # noqa: PLC0415

    edit(copy / "config.json", num_attention_heads=5)
    with pytest.raises(ParityError, match=r"transformers cannot build it: The hidden size .32. is not a multiple"):
        state_shapes(read_model_dir(copy))
    with pytest.raises(ParityError, match="transformers cannot load it"):
        load_pretrained(read_model_dir(copy))


def test_a_file_that_is_no_config_is_refused(copy: Path) -> None:
    from bort_convert.verification.torch_run import load_pretrained  # noqa: PLC0415

    for text, message in (("{", "is no JSON"), ("[]", "holds no JSON object"), ("[" * 100_000, "is no JSON")):
        (copy / "config.json").write_text(text)
        with pytest.raises(FormatError, match=message):
            load_pretrained(read_model_dir(copy))
    (copy / "config.json").unlink()
    with pytest.raises(FormatError, match=r"cannot be read: No such file or directory. Is its folder a converted one?"):
        load_pretrained(read_model_dir(copy))


def test_the_target_model_has_each_tied_tensor_once(converted: Path) -> None:
    from bort_convert.verification.torch_run import state_shapes  # noqa: PLC0415

    shapes = state_shapes(read_model_dir(converted))
    assert shapes["cls.predictions.decoder.weight"] == ((67, 32), "bert.embeddings.word_embeddings.weight")
    assert shapes["cls.predictions.decoder.bias"] == ((67,), "cls.predictions.bias")
    assert shapes["bert.encoder.layer.2.intermediate.dense.weight"][0] == (24, 32)
    with open_tensors(converted / "model.safetensors") as file:
        assert {first for _, first in shapes.values()} == set(file)


def test_a_missing_device_is_an_error(converted: Path) -> None:
    import torch  # noqa: PLC0415

    from bort_convert.verification.torch_run import load_model  # noqa: PLC0415

    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(BackendError, match="torch sees no CUDA device here; choose `device='cpu'`"):
        load_model(read_model_dir(converted), "float32", device="cuda")


def test_sentences_become_ids(converted: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415

    from bort_convert.verification.torch_run import encode  # noqa: PLC0415

    vocabulary = {"<s>": 0, "</s>": 2, "<unk>": 3, "one": 4, "two": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    shutil.copytree(converted, tmp_path / "out")
    tokenizer.save(str(tmp_path / "out" / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    (tmp_path / "out" / "tokenizer_config.json").write_text(json.dumps(config))
    assert encode(tmp_path / "out", ["one two", "two"], 16) == [[0, 4, 5, 2], [0, 5, 2]]
    assert encode(tmp_path / "out", ["one two two two"], 4) == [[0, 4, 5, 2]]
    (tmp_path / "out" / "tokenizer.json").write_text("{")
    with pytest.raises(FormatError, match="out: the tokenizer cannot be loaded: "):
        encode(tmp_path / "out", ["one"], 16)


def test_layers_can_be_fed_the_inputs_of_the_reference(converted: Path) -> None:
    from bort_convert.verification.inputs import default_inputs  # noqa: PLC0415
    from bort_convert.verification.torch_run import load_model, run_model  # noqa: PLC0415

    inputs = default_inputs({"vocab_size": 67, "max_positions": 16})
    model = load_model(read_model_dir(converted), "float64")
    plain = run_model(model, inputs)
    fed = run_model(model, inputs, feed=plain)
    assert all(np.array_equal(plain[name], fed[name]) for name in plain)
    other = run_model(model, inputs, feed={**plain, "layer.0": plain["layer.0"] + 1})
    changed = {name for name in plain if not np.array_equal(plain[name], other[name])}
    assert changed == {"layer.1"}
