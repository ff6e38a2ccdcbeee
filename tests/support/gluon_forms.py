"""Build a network of GluonNLP's scripts in any size, save it, and keep what it computes: `gluon_forms.py JOB.json`.

The job has the `form`, its `size` (see `Size`), `options` of its function below, the number of networks that were made
`before` it (which counters in prefixed names count), `naming` ("structural" or "prefixed"), `ids` (batch, length) with
`lengths`, and the paths `params` and `outputs` (an .npz). Everything is computed in float64 with the file's values.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))
from gluon_models import (
    BERTForICSL,
    BERTTagger,
    RoBERTaClassifier,
    Size,
    XLNetClassifier,
    XLNetForQA,
    bert,
    mx,
    randomize,
    settle,
    settle_bert,
    settle_xlnet,
)

from bort_convert.verification.mxnet_process.xlnet import Network as NetworkXLNet

Arrays = dict[str, Any]
BEST = 5
"""Starts, and ends of each, that an XLNet keeps: as many as its script does by default."""


def tagger(size: Size, labels: int, attribute: str = "bert_model") -> tuple[Any, Any, Any]:
    """A tagger; a function of (ids, lengths) that runs it; a function that settles its shapes."""
    net = BERTTagger(size, labels=labels)
    if attribute != "bert_model":
        setattr(net, attribute, net._children.pop("bert_model"))  # noqa: SLF001 - a block has no other way to lose a child
        del net.bert_model

    def run(ids: Any, lengths: Any) -> Arrays:  # noqa: ANN401 - MXNet arrays
        return {"logits": net.tag_classifier(getattr(net, attribute)(ids, mx.nd.zeros_like(ids), lengths))}

    return net, run, settle_bert


def intent_and_slots(size: Size, intents: int, slots: int) -> tuple[Any, Any, Any]:
    """A network with a head for the text and one for its tokens."""
    net = BERTForICSL(size, intents=intents, slots=slots)

    def run(ids: Any, lengths: Any) -> Arrays:  # noqa: ANN401
        states, pooled = net.bert(ids, mx.nd.zeros_like(ids), lengths)
        return {"intent": net.intent_classifier(pooled), "slots": net.slot_tagger(states)}

    return net, run, settle_bert


def no_next_sentence(size: Size, kind: str = "bert") -> tuple[Any, Any, Any]:
    """A model with pooler and masked-language-model head alone; every position is decoded."""
    net = bert(size, next_sentence=False, kind=kind)

    def run(ids: Any, lengths: Any) -> Arrays:  # noqa: ANN401
        everywhere = mx.nd.array(np.tile(np.arange(ids.shape[1]), (ids.shape[0], 1)))
        _, pooled, logits = net(ids, mx.nd.zeros_like(ids), lengths, everywhere)
        return {"pooled": pooled, "prediction_logits": logits}

    return net, run, settle_bert


def roberta_regression(size: Size, dropout: float) -> tuple[Any, Any, Any]:
    """A classifier with one output."""
    net = RoBERTaClassifier(size, labels=1, dropout=dropout)
    return net, lambda ids, lengths: {"logits": net(ids, lengths)}, settle


def xlnet_answers(size: Size) -> tuple[Any, Any, Any]:
    """An XLNet that answers questions: the best starts, and the best ends for each, as its script finds them."""
    net = XLNetForQA(size)

    def run(ids: Any, lengths: Any) -> Arrays:  # noqa: ANN401
        hidden = last_hidden_states(net, size, ids, lengths)
        batch, length, width = hidden.shape
        padding = mx.nd.array(np.arange(length) >= lengths.asnumpy()[:, None], dtype="float64")
        starts = net.start_logits.dense(hidden).squeeze(-1) * (1 - padding) - 1e30 * padding
        chances, first = mx.nd.topk(mx.nd.log_softmax(starts), k=BEST, ret_typ="both")
        rows = mx.nd.arange(batch).repeat(BEST)
        states = mx.nd.gather_nd(hidden, mx.nd.stack(rows, first.reshape(-1))).reshape((batch, 1, BEST, width))
        pairs = [mx.nd.broadcast_to(one, (batch, length, BEST, width)) for one in (hidden.expand_dims(2), states)]
        ends = net.end_logits
        wide = ends.layernorm(ends.dense_0(mx.nd.concat(*pairs, dim=-1)))
        hidden_by_padding = padding.expand_dims(-1)
        logits = mx.nd.broadcast_mul(ends.dense_1(wide).squeeze(-1), 1 - hidden_by_padding)
        logits = mx.nd.broadcast_sub(logits, 1e30 * hidden_by_padding)
        last_chances, last = mx.nd.topk(mx.nd.log_softmax(logits, axis=1), k=BEST, axis=1, ret_typ="both")
        state = mx.nd.batch_dot(hidden, mx.nd.softmax(starts).expand_dims(-1), transpose_a=True).squeeze(-1)
        token = mx.nd.gather_nd(hidden, mx.nd.stack(mx.nd.arange(batch), lengths.astype("float32") - 1))
        answers = net.answer_class
        return {
            "start_top_log_probs": chances,
            "start_top_index": first,
            "end_top_log_probs": last_chances.reshape((batch, -1)),
            "end_top_index": last.reshape((batch, -1)),
            "cls_logits": answers.dense_1(answers.dense_0(mx.nd.concat(state, token, dim=-1))).squeeze(-1),
        }

    return net, run, settle_xlnet


def xlnet_classifier(size: Size, labels: int, dropout: float) -> tuple[Any, Any, Any]:
    """A classifier or a regression on an XLNet, which nothing here runs."""
    return XLNetClassifier(size, labels=labels, dropout=dropout), lambda _ids, _lengths: {}, settle_xlnet


def last_hidden_states(net: Any, size: Size, ids: Any, lengths: Any) -> Any:  # noqa: ANN401
    """Run the backbone of a network, whose own blocks hold parameters alone."""
    names = ["_net.mask_embed"]
    sizes = {**vars(size), "head_dim": size.hidden_size // size.attention_heads}
    hyperparameters = {"hidden_act": "gelu_new", "layer_norm_eps": 1e-12}
    runner = NetworkXLNet(
        {"dims": sizes, "hyperparameters": hyperparameters, "names": dict(zip(names, names, strict=True))}
    )
    runner.block.cast("float64")
    runner.block.initialize()
    known = net.xlnet._collect_params_with_prefix()  # noqa: SLF001 - what save_parameters uses
    for name, parameter in runner.block._collect_params_with_prefix().items():  # noqa: SLF001
        parameter.set_data(known[name].data())
    kept = []
    runner.net.transformer_cells[-1].register_forward_hook(lambda _block, _inputs, output: kept.append(output))
    runner.forward({"input_ids": ids.asnumpy().astype(int), "valid_length": lengths.asnumpy()}, "float64")
    return kept[0]


FORMS = {
    "tagger": tagger,
    "intent_and_slots": intent_and_slots,
    "no_next_sentence": no_next_sentence,
    "roberta_regression": roberta_regression,
}
FORMS |= {"xlnet_answers": xlnet_answers, "xlnet_classifier": xlnet_classifier}


def main(job: dict[str, Any]) -> None:
    """Do a job."""
    size = Size(**job["size"])
    for _ in range(job["before"]):
        FORMS[job["form"]](size, **job["options"])
    net, run, settled = FORMS[job["form"]](size, **job["options"])
    settled(net)
    randomize(net, np.random.RandomState(job["before"]))
    if job["naming"] == "structural":
        net.save_parameters(job["params"])
    else:
        net.collect_params().save(job["params"])
    net.cast("float64")
    ids, lengths = (mx.nd.array(job[name], dtype="float64") for name in ("ids", "lengths"))
    np.savez(job["outputs"], **{name: values.asnumpy() for name, values in run(ids, lengths).items()})


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
