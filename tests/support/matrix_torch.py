"""The torch side of the matrix: convert by the command line, load by its last line, run, with nothing set by us."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from click.testing import CliRunner
from matrix_shapes import Batch, Outputs, Shape

import bort_convert
from bort_convert.cli import main

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matrix_cases import Export

HEADS = {
    "pooler_output": "pooled",
    "prediction_logits": "mlm_logits",
    "seq_relationship_logits": "next_sentence",
}
"""Output of a class -> name in a reference; `logits` means another head in each class."""
LOGITS = {
    "MaskedLM": "mlm_logits",
    "NextSentencePrediction": "next_sentence",
    "SequenceClassification": "logits",
    "TokenClassification": "tag_logits",
}
FORMS = {
    "BertModel": "pooler",
    "BertForPreTraining": "pretraining",
    "BertForMaskedLM": "masked_lm",
    "BertForNextSentencePrediction": "next_sentence",
    "BertForSequenceClassification": "classifier",
    "BertForQuestionAnswering": "question_answering",
    "BertForTokenClassification": "tagger",
    "RobertaModel": "encoder",
    "RobertaForMaskedLM": "masked_lm",
    "RobertaForSequenceClassification": "classifier",
    "GPT2LMHeadModel": "language_model",
    "XLNetModel": "encoder",
    "XLNetLMHeadModel": "language_model",
}
"""Form of the GluonNLP model that each class becomes."""


class Refused(Exception):  # noqa: N818 - no error, where a case allows it
    """A command ended with another exit code than 0."""


def convert(source: Path, out: Path, arguments: Sequence[str]) -> str:
    """Convert as a user does; give the last line that is printed."""
    result = CliRunner().invoke(main, ["convert", str(source), str(out), *arguments])
    if result.exit_code:
        reason = " ".join((result.stderr or repr(result.exception)).split())
        raise Refused(f"exit {result.exit_code}: {reason}")
    return result.stdout.splitlines()[-1]


def load(line: str) -> Any:  # noqa: ANN401 - transformers has no types
    """The model that the expression in a last line gives, in float32: no value is rounded by that."""
    expression = re.search(r"(?:transformers|bort_convert)\.[\w.]+\(.*?\)(?=[^)]*$)", line)
    assert expression, line
    names = {"transformers": transformers, "bort_convert": bort_convert}
    return eval(expression.group(), names).float().eval()  # noqa: S307 - our own line


def mask_of(batch: Batch, config: Any) -> torch.Tensor | None:  # noqa: ANN401
    """The attention mask as the config's padding id gives it."""
    return None if config.pad_token_id is None else torch.tensor(batch.ids != config.pad_token_id).long()


def run(model: Any, ids: Any, mask: Any = None, types: Any = None) -> Outputs:  # noqa: ANN401
    """Every hidden state and every head's output, by its name in a reference."""
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    tensors = {name: torch.as_tensor(values).long() for name, values in inputs.items() if values is not None}
    with torch.no_grad():
        output = model(**tensors, output_hidden_states=True)
    names = ["embeddings", *(f"layer{number}" for number in range(len(output.hidden_states) - 1))]
    outputs = dict(zip(names, output.hidden_states, strict=True))
    outputs |= {name: output[key] for key, name in HEADS.items() if output.get(key) is not None}
    if "logits" in output:
        purpose = type(model).__name__.partition("For")[2]
        outputs[LOGITS.get(purpose, "lm_logits")] = output["logits"]
    if "start_logits" in output:
        outputs["span_logits"] = torch.stack([output["start_logits"], output["end_logits"]], dim=-1)
    return {name: values.numpy() for name, values in outputs.items()}


def stock_model(case: Export) -> Any:  # noqa: ANN401
    """A model of transformers with random values of a trained model's scale, where GluonNLP has a place for them."""
    torch.manual_seed(case.seed)
    kind = getattr(transformers, case.model)
    options = {} if case.pooler else {"add_pooling_layer": False}
    model = kind(kind.config_class(**case.config), **options)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(trained_values(name, parameter))
        if case.family == "roberta" or case.config.get("type_vocab_size") == 1:
            embeddings = getattr(model, model.base_model_prefix, model).embeddings
            embeddings.token_type_embeddings.weight.zero_()
            if case.family == "roberta":
                embeddings.position_embeddings.weight[: model.config.pad_token_id + 1] = 0
    model.tie_weights()
    return model.eval()


def trained_values(name: str, parameter: torch.Tensor) -> torch.Tensor:
    """Random values of a parameter."""
    shape = parameter.shape
    if name.endswith(".weight") and len(shape) == 1:
        return torch.empty(shape).uniform_(0.6, 1.1)
    if "embeddings." in name or "_embedding." in name or "wte" in name or "wpe" in name:
        return torch.randn(shape) * 0.06
    if len(shape) == 1 or name.endswith(("_bias", "_emb", "seg_embed")):
        return torch.randn(shape) * 0.3
    fan_in = shape[0] if len(shape) == 3 or "c_" in name else shape[-1]  # Conv1D, XLNet's projections
    return torch.randn(shape) * 1.2 / fan_in**0.5


def stock_shape(case: Export, config: Any) -> Shape:  # noqa: ANN401
    """The sizes that an input needs: `case`'s, of the GluonNLP model nothing is known yet."""
    longest = {"gpt2": "n_positions", "xlnet": ""}.get(case.family, "max_position_embeddings")
    rows = getattr(config, longest) if longest else 17
    positions = rows - (config.pad_token_id + 1 if case.family == "roberta" else 0)
    types = {"bert": getattr(config, "type_vocab_size", 0), "xlnet": 2}.get(case.family, 0)
    return Shape(case.family, "", 0, 0, 0, 0, config.vocab_size, positions, types, 0, "", 0.0)


def received_shape(case: Export, manifest: Any, positions: int) -> Shape:  # noqa: ANN401
    """The GluonNLP model that the result of an export describes."""
    dims, known = manifest.dims, manifest.hyperparameters
    return Shape(
        family=manifest.family,
        form=FORMS[case.model] if case.pooler else "encoder",
        layers=dims["layers"],
        heads=int(dims.get("attention_heads") or known["attention_heads"]),
        hidden=dims["hidden_size"],
        intermediate=dims.get("intermediate_size", 0),
        vocab=dims["vocab_size"],
        positions=dims.get("max_positions", positions),
        types=dims.get("type_vocab_size", 0),
        labels=dims.get("labels", 1),
        activation=str(known["hidden_act"]),
        epsilon=float(known["layer_norm_eps"]),
        clamp=max(int(known.get("clamp_len", 0)), 0),
    )


def padded_tokens(tokenizer: Any, texts: Sequence[str]) -> list[dict[str, Any]]:  # noqa: ANN401
    """What a tokenizer gives a model for these texts: one batch, or one for each text where it has no padding."""
    written = [text.replace("<mask>", tokenizer.mask_token or "") for text in texts]
    if tokenizer.pad_token_id is None:
        return [dict(tokenizer([text], return_tensors="np")) for text in written]
    return [dict(tokenizer(written, padding=True, return_tensors="np"))]


def text_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:  # noqa: ANN401
    """The ids of each text alone."""
    return [np.asarray(tokenizer(text)["input_ids"], "int64").tolist() for text in texts]
