# ruff: noqa: SLF001 - the published names begin with "_"; Python 3.6 syntax
"""XLNet, one of gluonnlp's scripts and not in its package: rebuilt from layers of MXNet and gluonnlp, with its names.

The end of an answer depends on its start: the outputs here are for an answer that begins with the first token.

The frequencies of the positions are computed as in GluonNLP, in the precision of the run. The file holds them too, in
its own precision; a conversion checks them.

Source: dmlc/gluon-nlp, scripts/language_model/transformer/transformer.py and attention_cell.py; model/qa.py. There is
one stream and no memory.
"""

import math
from typing import TYPE_CHECKING

import mxnet as mx
import numpy as np
from gluonnlp.model.attention_cell import _masked_softmax
from mxnet.gluon import Block, nn

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Parameter: TypeAlias = Any
    Values: TypeAlias = Any  # an NDArray


ACTIVATIONS = ("gelu_new", "gelu", "relu", "tanh")


class Network:
    """An XLNet, with a mask embedding and a decoder where the job names their parameters."""

    def __init__(self, job: "dict[str, Any]") -> None:
        dims, hyperparameters, names = job["dims"], job["hyperparameters"], set(job["names"].values())
        activation = hyperparameters["hidden_act"]
        if activation not in ACTIVATIONS:
            raise ValueError("hidden_act is {!r}, expected one of {}".format(activation, ", ".join(ACTIVATIONS)))
        if dims["attention_heads"] * dims["head_dim"] != dims["hidden_size"]:
            raise ValueError("attention_heads * head_dim is not hidden_size")
        self.block = top = Block()
        if any(name.startswith("xlnet.") for name in names):
            top.xlnet = Block()
            add_answers(top, dims["hidden_size"])
            top, names = top.xlnet, {name[len("xlnet.") :] for name in names}
        net = top._net = Block()
        net.word_embed = nn.Embedding(dims["vocab_size"], dims["hidden_size"])
        if "_net.mask_embed" in names:
            net.mask_embed = net.params.get("mask_embed", shape=(1, 1, dims["hidden_size"]))
        net.pos_embed = Block()
        net.pos_embed.inv_freq = net.pos_embed.params.get("inv_freq", shape=(1, dims["hidden_size"] // 2))
        net.transformer_cells = nn.Sequential()
        for _ in range(dims["layers"]):
            net.transformer_cells.add(Cell(dims, hyperparameters["layer_norm_eps"], activation))
        if "_net.decoder.bias" in names:
            net.decoder = nn.Dense(
                dims["vocab_size"], in_units=dims["hidden_size"], flatten=False, params=net.word_embed.params
            )
        self.net, self.clamp_len = net, hyperparameters.get("clamp_len", -1)

    def watched(self, *, attentions: bool) -> "list[tuple[str, Any, int]]":
        """The word embedding and each layer; the second output of an attention is its probabilities."""
        found = [("embeddings", self.net.word_embed, 0)]
        for number in range(len(self.net.transformer_cells)):
            cell = self.net.transformer_cells[number]
            found.append((f"layer.{number}", cell, 0))
            if attentions:
                found.append((f"attention.{number}", cell.attention_cell, 1))
        return found

    def forward(self, inputs: "dict[str, Any]", dtype: str) -> "dict[str, Values]":
        """The logits of the heads: at the masked positions, where there is a decoder; or of answers."""
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
        if hasattr(self.block, "answer_class"):
            return self.answers(hidden, mx.nd.array(valid, dtype=dtype))
        if not hasattr(self.net, "decoder"):
            return {}
        chosen = np.asarray(inputs.get("masked_positions", np.zeros((batch, 1), "int64")))
        rows = mx.nd.array(np.repeat(np.arange(batch)[:, None], chosen.shape[1], axis=1), dtype="int32")
        picked = mx.nd.gather_nd(hidden, mx.nd.stack(rows, mx.nd.array(chosen, dtype="int32")))
        return {"lm_logits": self.net.decoder(picked)}

    def answers(self, hidden: "Values", valid: "Values") -> "dict[str, Values]":
        """Logits of the first and the last token of an answer, at valid tokens, and of no answer."""
        end, no_answer = self.block.end_logits, self.block.answer_class
        starts = covered(self.block.start_logits.dense(hidden), valid)
        first = mx.nd.broadcast_like(hidden.slice_axis(axis=1, begin=0, end=1), hidden)
        wide = mx.nd.tanh(end.dense_0(mx.nd.concat(hidden, first, dim=-1)))
        ends = covered(end.dense_1(end.layernorm(wide)), valid)
        weights = mx.nd.softmax(starts, axis=1)
        states = mx.nd.broadcast_mul(weights, hidden).sum(axis=1)
        last = valid.sum(axis=1) - 1
        rows = mx.nd.arange(len(hidden), dtype=hidden.dtype)
        class_token = mx.nd.gather_nd(hidden, mx.nd.stack(rows, last))
        pair = mx.nd.concat(states, class_token, dim=-1)
        return {
            "span_logits": mx.nd.concat(starts, ends, dim=-1),
            "no_answer": no_answer.dense_1(mx.nd.tanh(no_answer.dense_0(pair))),
        }

    def positions(self, length: int, dtype: str) -> "Values":
        """Sinusoids of the offsets from `length` down to 1 - `length`, (2*length, hidden_size).

        A clamp length makes every negative offset 0, as in the script.
        """
        offsets = mx.nd.arange(length, -length, -1, dtype=dtype).reshape((-1, 1))
        if self.clamp_len > 0:
            offsets = mx.nd.clip(offsets, 0, self.clamp_len)
        hidden_size = self.net.word_embed.weight.shape[1]
        frequencies = 1 / mx.nd.power(10000, mx.nd.arange(0, hidden_size, 2, dtype=dtype) / hidden_size)
        angles = mx.nd.dot(offsets, frequencies.reshape((1, -1)))
        return mx.nd.concat(mx.nd.sin(angles), mx.nd.cos(angles), dim=-1)


class Attention(Block):  # type: ignore[misc] # mxnet has no types
    """Relative attention: scores by content, by relative position, and by equal or different segment."""

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
        """The context (batch, length, hidden_size) and the probabilities (batch, heads, length, length)."""
        batch, length, _ = hidden.shape
        query = self.proj_query(hidden).reshape((batch, length, self.heads, self.width))
        key, value = self.by_head(self.proj_key(hidden)), self.by_head(self.proj_value(hidden))
        sinusoids = mx.nd.broadcast_axis(positions.expand_dims(0), axis=0, size=batch)
        by_content = mx.nd.batch_dot(self.biased(query, self.query_key_bias), key, transpose_b=True)
        by_position = mx.nd.batch_dot(
            self.biased(query, self.query_emb_bias), self.by_head(self.proj_emb(sinusoids)), transpose_b=True
        )
        segment = mx.nd.broadcast_axis(self.seg_emb.data().transpose((1, 2, 0)).expand_dims(0), axis=0, size=batch)
        relation = mx.nd.batch_dot(
            self.biased(query, self.query_seg_bias), segment.reshape((-1, self.width, 2))
        ).reshape((batch, self.heads, length, 1, 2))
        by_segment = mx.nd.broadcast_mul(relation, segments.expand_dims(1)).sum(axis=-1)
        score = by_content + shifted(by_position) + by_segment.reshape((-1, length, length))
        mask = mx.nd.broadcast_axis(mask.expand_dims(1), axis=1, size=self.heads).reshape((-1, length, length))
        weights = _masked_softmax(mx.nd, score / math.sqrt(self.width), mask, "float32")
        context = mx.nd.batch_dot(weights, value).reshape((batch, self.heads, length, self.width))
        context = context.transpose((0, 2, 1, 3)).reshape((batch, length, -1))
        return context, weights.reshape((batch, self.heads, length, length))

    def by_head(self, values: "Values") -> "Values":
        """Reshape (batch, length, hidden_size) to (batch * heads, length, width)."""
        batch, length, _ = values.shape
        split = values.reshape((batch, length, self.heads, self.width))
        return split.transpose((0, 2, 1, 3)).reshape((-1, length, self.width))

    def biased(self, query: "Values", bias: "Parameter") -> "Values":
        """Add a bias to (batch, length, heads, width) and reshape to (batch * heads, length, width)."""
        summed = mx.nd.broadcast_add(query, bias.data().reshape((1, 1, self.heads, self.width)))
        return summed.transpose((0, 2, 1, 3)).reshape((-1, query.shape[1], self.width))


class Cell(Block):  # type: ignore[misc] # as above
    """A layer: attention and a feed-forward part, each with a residual and a LayerNorm."""

    def __init__(self, dims: "dict[str, int]", epsilon: float, activation: str) -> None:
        super().__init__()
        hidden_size = dims["hidden_size"]
        self.attention_cell = Attention(dims["attention_heads"], dims["head_dim"])
        self.proj = nn.Dense(hidden_size, in_units=hidden_size, use_bias=False, flatten=False)
        self.layer_norm = nn.LayerNorm(in_channels=hidden_size, epsilon=epsilon)
        self.ffn = Block()
        self.ffn.ffn_1 = nn.Dense(dims["intermediate_size"], in_units=hidden_size, flatten=False)
        self.activation = activation
        self.ffn.ffn_2 = nn.Dense(hidden_size, in_units=dims["intermediate_size"], flatten=False)
        self.ffn.layer_norm = nn.LayerNorm(in_channels=hidden_size, epsilon=epsilon)

    def forward(self, hidden: "Values", positions: "Values", mask: "Values", segments: "Values") -> "Values":
        """Hidden states (batch, length, hidden_size)."""
        context, _ = self.attention_cell(hidden, positions, mask, segments)
        hidden = self.layer_norm(self.proj(context) + hidden)
        wide = activate(self.ffn.ffn_1(hidden), self.activation)
        return self.ffn.layer_norm(self.ffn.ffn_2(wide) + hidden)


def add_answers(block: "Block", hidden_size: int) -> None:
    """Add the heads for answers: start, end given a start, and whether there is one."""
    block.start_logits, block.end_logits, block.answer_class = Block(), Block(), Block()
    block.start_logits.dense = nn.Dense(1, in_units=hidden_size, flatten=False)
    for part in (block.end_logits, block.answer_class):
        part.dense_0 = nn.Dense(hidden_size, in_units=2 * hidden_size, flatten=False)
    block.end_logits.layernorm = nn.LayerNorm(in_channels=hidden_size, epsilon=1e-12)
    block.end_logits.dense_1 = nn.Dense(1, in_units=hidden_size, flatten=False)
    block.answer_class.dense_1 = nn.Dense(1, in_units=hidden_size, use_bias=False, flatten=False)


def covered(logits: "Values", valid: "Values") -> "Values":
    """Logits (batch, length, 1) without any weight at padding."""
    valid = valid.expand_dims(-1)
    return logits * valid - 1e30 * (1 - valid)


def activate(values: "Values", activation: str) -> "Values":
    """Apply one of `ACTIVATIONS`; the releases of gluonnlp have their GELUs under different names."""
    if activation == "gelu":
        return values * 0.5 * (1 + mx.nd.erf(values / math.sqrt(2)))
    if activation == "gelu_new":
        return 0.5 * values * (1 + mx.nd.tanh(math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)))
    return mx.nd.Activation(values, act_type=activation)


def shifted(scores: "Values") -> "Values":
    """Turn scores by offset (n, query, 2*length) into scores by key (n, query, length): each row starts one later."""
    count, length, offsets = scores.shape
    moved = scores.reshape((count, offsets, length)).slice_axis(axis=1, begin=1, end=None)
    return moved.reshape((count, length, offsets - 1)).slice_axis(axis=2, begin=0, end=length)
