# ruff: noqa: SLF001 - the published names begin with "_"; Python 3.6 syntax
"""XLNet, which stood among gluonnlp's scripts: its parameters and arithmetic, on the layers of MXNet and gluonnlp.

The frequencies of the positions are computed as GluonNLP does it, in the precision of the run. The file holds them too,
in its own precision, and they are looked at where it is converted.

Source: dmlc/gluon-nlp, scripts/language_model/transformer/transformer.py and attention_cell.py. There is one stream
and, here, no memory.
"""

import math
from typing import TYPE_CHECKING

import mxnet as mx
import numpy as np
from gluonnlp.model.attention_cell import _masked_softmax
from gluonnlp.model.block import GELU
from mxnet.gluon import Block, nn

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Parameter: TypeAlias = Any
    Values: TypeAlias = Any  # an NDArray


class Network:
    """An XLNet with the mask embedding and the decoder that the job's names tell of."""

    def __init__(self, job: "dict[str, Any]") -> None:
        dims, hyperparameters, names = job["dims"], job["hyperparameters"], set(job["names"].values())
        known = {"gelu": True, "gelu_new": False}
        if hyperparameters["hidden_act"] not in known:
            raise ValueError(
                "hidden_act is {!r}, expected one of {}".format(hyperparameters["hidden_act"], ", ".join(known))
            )
        if dims["attention_heads"] * dims["head_dim"] != dims["hidden_size"]:
            raise ValueError("heads times head_dim is not units")
        self.block, self.heads = Block(), dims["attention_heads"]
        net = self.block._net = Block()
        net.word_embed = nn.Embedding(dims["vocab_size"], dims["hidden_size"])
        if "_net.mask_embed" in names:
            net.mask_embed = net.params.get("mask_embed", shape=(1, 1, dims["hidden_size"]))
        net.pos_embed = Block()
        net.pos_embed.inv_freq = net.pos_embed.params.get("inv_freq", shape=(1, dims["hidden_size"] // 2))
        net.transformer_cells = nn.Sequential()
        for _ in range(dims["layers"]):
            net.transformer_cells.add(
                Cell(dims, hyperparameters["layer_norm_eps"], exact_gelu=known[hyperparameters["hidden_act"]])
            )
        if "_net.decoder.bias" in names:
            net.decoder = nn.Dense(
                dims["vocab_size"], in_units=dims["hidden_size"], flatten=False, params=net.word_embed.params
            )
        self.net = net

    def watched(self, *, attentions: bool) -> "list[tuple[str, Any, int]]":
        """The words and each layer; an attention's second output are its probabilities."""
        found = [("embeddings", self.net.word_embed, 0)]
        for number in range(len(self.net.transformer_cells)):
            cell = self.net.transformer_cells[number]
            found.append((f"layer.{number}", cell, 0))
            if attentions:
                found.append((f"attention.{number}", cell.attention_cell, 1))
        return found

    def forward(self, inputs: "dict[str, Any]", dtype: str) -> "dict[str, Values]":
        """The logits (batch, masked, vocab) of the masked positions, where there is a decoder."""
        ids = np.asarray(inputs["input_ids"])
        batch, length = ids.shape
        types = np.asarray(inputs.get("token_types", np.zeros_like(ids)))
        valid = np.arange(length) < np.asarray(inputs["valid_length"])[:, None]
        mask = mx.nd.array(np.repeat(valid[:, None, :], length, axis=1), dtype=dtype)
        differ = types[:, :, None] != types[:, None, :]
        segments = mx.nd.array(np.stack([~differ, differ], axis=-1), dtype=dtype)  # (batch, query, key, 2)
        hidden = self.net.word_embed(mx.nd.array(ids, dtype="int32"))
        positions = self.positions(length, dtype)
        for cell in self.net.transformer_cells:
            hidden = cell(hidden, positions, mask, segments)
        if not hasattr(self.net, "decoder"):
            return {}
        chosen = np.asarray(inputs.get("masked_positions", np.zeros((batch, 1), "int64")))
        rows = mx.nd.array(np.repeat(np.arange(batch)[:, None], chosen.shape[1], axis=1), dtype="int32")
        picked = mx.nd.gather_nd(hidden, mx.nd.stack(rows, mx.nd.array(chosen, dtype="int32")))
        return {"lm_logits": self.net.decoder(picked)}

    def positions(self, length: int, dtype: str) -> "Values":
        """Sinusoids of the offsets from `length` down to 1 - `length`, (2*length, units)."""
        offsets = mx.nd.arange(length, -length, -1, dtype=dtype).reshape((-1, 1))
        units = self.net.word_embed.weight.shape[1]
        frequencies = 1 / mx.nd.power(10000, mx.nd.arange(0, units, 2, dtype=dtype) / units)
        angles = mx.nd.dot(offsets, frequencies.reshape((1, -1)))
        return mx.nd.concat(mx.nd.sin(angles), mx.nd.cos(angles), dim=-1)


class Attention(Block):  # type: ignore[misc] # mxnet has no types
    """Scores by content, by relative position, and by whether two tokens have one segment."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        for name in ("query", "key", "value", "emb"):
            dense = nn.Dense(heads * width, in_units=heads * width, use_bias=False, flatten=False)
            setattr(self, "proj_" + name, dense)
        for name in ("query_key_bias", "query_emb_bias", "query_seg_bias"):
            setattr(self, name, self.params.get(name, shape=(heads, width)))
        self.seg_emb = self.params.get("seg_emb", shape=(2, heads, width))

    def forward(
        self, hidden: "Values", positions: "Values", mask: "Values", segments: "Values"
    ) -> "tuple[Values, Values]":
        """What each token reads, (batch, length, units), and how much of each, (batch, heads, length, length)."""
        batch, length, _ = hidden.shape
        query = self.proj_query(hidden).reshape((batch, length, self.heads, self.width))
        key, value = self.by_head(self.proj_key(hidden)), self.by_head(self.proj_value(hidden))
        places = mx.nd.broadcast_axis(positions.expand_dims(0), axis=0, size=batch)
        by_content = mx.nd.batch_dot(self.biased(query, self.query_key_bias), key, transpose_b=True)
        by_place = mx.nd.batch_dot(
            self.biased(query, self.query_emb_bias), self.by_head(self.proj_emb(places)), transpose_b=True
        )
        segment = mx.nd.broadcast_axis(self.seg_emb.data().transpose((1, 2, 0)).expand_dims(0), axis=0, size=batch)
        relation = mx.nd.batch_dot(
            self.biased(query, self.query_seg_bias), segment.reshape((-1, self.width, 2))
        ).reshape((batch, self.heads, length, 1, 2))
        by_segment = mx.nd.broadcast_mul(relation, segments.expand_dims(1)).sum(axis=-1)
        score = by_content + shifted(by_place) + by_segment.reshape((-1, length, length))
        every = mx.nd.broadcast_axis(mask.expand_dims(1), axis=1, size=self.heads).reshape((-1, length, length))
        weights = _masked_softmax(mx.nd, score / math.sqrt(self.width), every, "float32")
        read = mx.nd.batch_dot(weights, value).reshape((batch, self.heads, length, self.width))
        read = read.transpose((0, 2, 1, 3)).reshape((batch, length, -1))
        return read, weights.reshape((batch, self.heads, length, length))

    def by_head(self, values: "Values") -> "Values":
        """(batch, length, units) as (batch * heads, length, width)."""
        batch, length, _ = values.shape
        split = values.reshape((batch, length, self.heads, self.width))
        return split.transpose((0, 2, 1, 3)).reshape((-1, length, self.width))

    def biased(self, query: "Values", bias: "Parameter") -> "Values":
        """(batch, length, heads, width), the same for each token added, as (batch * heads, length, width)."""
        summed = mx.nd.broadcast_add(query, bias.data().reshape((1, 1, self.heads, self.width)))
        return summed.transpose((0, 2, 1, 3)).reshape((-1, query.shape[1], self.width))


class Cell(Block):  # type: ignore[misc] # as above
    """A layer: attention and a feed-forward part, each with its residual and a norm behind."""

    def __init__(self, dims: "dict[str, int]", epsilon: float, *, exact_gelu: bool) -> None:
        super().__init__()
        units = dims["hidden_size"]
        self.attention_cell = Attention(dims["attention_heads"], dims["head_dim"])
        self.proj = nn.Dense(units, in_units=units, use_bias=False, flatten=False)
        self.layer_norm = nn.LayerNorm(in_channels=units, epsilon=epsilon)
        self.ffn = Block()
        self.ffn.ffn_1 = nn.Dense(dims["intermediate_size"], in_units=units, flatten=False)
        self.ffn.activation = GELU()
        self.ffn.activation._support_erf = exact_gelu
        self.ffn.ffn_2 = nn.Dense(units, in_units=dims["intermediate_size"], flatten=False)
        self.ffn.layer_norm = nn.LayerNorm(in_channels=units, epsilon=epsilon)

    def forward(self, hidden: "Values", positions: "Values", mask: "Values", segments: "Values") -> "Values":
        """(batch, length, units)."""
        read, _ = self.attention_cell(hidden, positions, mask, segments)
        hidden = self.layer_norm(self.proj(read) + hidden)
        wide = self.ffn.activation(self.ffn.ffn_1(hidden))
        return self.ffn.layer_norm(self.ffn.ffn_2(wide) + hidden)


def shifted(scores: "Values") -> "Values":
    """Scores by offset, (n, query, 2*length), as scores by key, (n, query, length): each row starts one later."""
    count, length, offsets = scores.shape
    moved = scores.reshape((count, offsets, length)).slice_axis(axis=1, begin=1, end=None)
    return moved.reshape((count, length, offsets - 1)).slice_axis(axis=2, begin=0, end=length)
