"""Save networks of somebody's own around a BERT, made by GluonNLP on MXNet: `gluon_networks.py FOLDER`.

Each is saved as `NAME.params` by `save_parameters` and as `NAME-prefix.params` by `collect_params().save`;
`NAME.pooled` holds the pooled output of its BERT for the ids 5, 6, 7 and 8.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))
from gluon_models import BERTEncoder, BERTModel, Block, mx, nn

Net = Any  # an MXNet block


def bert(layers: int, prefix: str | None = None, encoder_prefix: str | None = None) -> Net:
    """A BERT with a pooler; its blocks have Gluon's prefixes or others."""
    sizes = {"units": 8, "hidden_size": 16, "num_layers": layers, "num_heads": 2, "max_length": 12, "dropout": 0.0}
    encoder = BERTEncoder(prefix=encoder_prefix, **sizes)
    parts = {"use_pooler": True, "use_decoder": False, "use_classifier": False}
    return BERTModel(encoder, vocab_size=30, token_type_vocab_size=2, units=8, embed_size=8, prefix=prefix, **parts)


class Scoped(Block):  # type: ignore[misc] # mxnet has no types
    """The BERT is made within the scope of the network, inside of a Sequential."""

    def __init__(self, **arguments: str) -> None:
        super().__init__(**arguments)
        with self.name_scope():
            self.tower = nn.Sequential()
            with self.tower.name_scope():
                self.tower.add(bert(3))
            self.fc = nn.Dense(6, in_units=8)
            self.out = nn.Dense(3, in_units=6)
        self.models = [self.tower[0]]


class Unscoped(Block):  # type: ignore[misc]
    """The BERT is made outside of the network's scope."""

    def __init__(self, **prefixes: str) -> None:
        super().__init__()
        self.text = bert(2, **prefixes)
        with self.name_scope():
            self.dense = nn.Dense(6, in_units=8)
        self.models = [self.text]


class BiEncoder(Block):  # type: ignore[misc]
    """Two BERTs, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        with self.name_scope():
            self.query, self.doc = bert(1, "query_", "query_encoder_"), bert(2)
        self.models = [self.query, self.doc]


def main(folder: Path) -> None:
    mx.random.seed(1)
    bert(1)  # counters go on
    networks = {
        "scoped": Scoped(),
        "mine": Scoped(prefix="mine_"),
        "unscoped": Unscoped(),
        "named": Unscoped(prefix="teacher_", encoder_prefix="layers_of_teacher_"),
        "bi": BiEncoder(),
    }
    for name, network in networks.items():
        network.initialize(mx.init.Normal(0.3))
        inputs = mx.nd.array([[5, 6, 7, 8]]), mx.nd.zeros((1, 4)), mx.nd.array([4])
        pooled = [model(*inputs)[1] for model in network.models]
        network.save_parameters(str(folder / f"{name}.params"))
        network.collect_params().save(str(folder / f"{name}-prefix.params"))
        mx.nd.save(str(folder / f"{name}.pooled"), pooled[-1:])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
