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
from gluon_models import BERTTagger, RoBERTaClassifier, Size, bert, mx, randomize, settle, settle_bert

Arrays = dict[str, Any]


def tagger(size: Size, labels: int) -> tuple[Any, Any, Any]:
    """A tagger; a function of (ids, lengths) that runs it; a function that settles its shapes."""
    net = BERTTagger(size, labels=labels)

    def run(ids: Any, lengths: Any) -> Arrays:  # noqa: ANN401 - MXNet arrays
        return {"logits": net.tag_classifier(net.bert_model(ids, mx.nd.zeros_like(ids), lengths))}

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


FORMS = {"tagger": tagger, "no_next_sentence": no_next_sentence, "roberta_regression": roberta_regression}


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
