# ruff: noqa: PLC0415, SLF001 - mxnet is there when a model is built; the names of this network begin with "_"
"""GPT-2, one of gluonnlp's scripts and not in its package: rebuilt from layers of MXNet and gluonnlp, with its names.

Source: dmlc/gluon-nlp, scripts/text_generation/model/gpt.py, GPT2Model; model/block.py, GELU, of 0.8.3 (by the error
function) and of 0.10.0 (approximate).
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Block: TypeAlias = Any
    Values: TypeAlias = Any  # an NDArray

INNER = 4  # width of the feed-forward layers, in units of hidden_size
ACTIVATIONS = ("gelu", "gelu_new")


class Network:
    """A language model whose output matrix is the word embedding. A token sees itself and earlier ones, none masked."""

    def __init__(self, job: "dict[str, Any]") -> None:
        import mxnet as mx
        from mxnet.gluon import nn

        dims, hyperparameters = job["dims"], job["hyperparameters"]
        self.heads, self.layers = hyperparameters["attention_heads"], dims["layers"]
        self.activation, epsilon = hyperparameters["hidden_act"], hyperparameters["layer_norm_eps"]
        if self.activation not in ACTIVATIONS:
            raise ValueError("hidden_act is {!r}, expected {}".format(self.activation, " or ".join(ACTIVATIONS)))
        self.block = net = mx.gluon.Block(prefix="gpt2model0_")
        with net.name_scope():
            net._pos_embed = nn.Embedding(dims["max_positions"], dims["hidden_size"], prefix="pos_embed_")
            net._embed = nn.Embedding(dims["vocab_size"], dims["hidden_size"], prefix="embed_")
            net._logits_proj = nn.Dense(dims["vocab_size"], use_bias=False, flatten=False, params=net._embed.params)
            for name in ("_self_attention_layers", "_ffn_layers", "_attn_ln", "_ffn_ln"):
                setattr(net, name, nn.Sequential())
            for number in range(self.layers):
                net._self_attention_layers.add(attention_layer(dims["hidden_size"], f"self_attn{number}_"))
                net._ffn_layers.add(feed_forward_layer(dims["hidden_size"], f"ffn{number}_"))
                net._attn_ln.add(nn.LayerNorm(epsilon=epsilon, prefix=f"attn_ln{number}_"))
                net._ffn_ln.add(nn.LayerNorm(epsilon=epsilon, prefix=f"ffn_ln{number}_"))
            net._final_ln = nn.LayerNorm(epsilon=epsilon, prefix=f"final_ln{self.layers - 1}_")
        # Blocks that do nothing, for hooks on values that are the output of no block.
        names = [f"{kind}.{number}" for kind in ("attention", "layer") for number in range(self.layers)]
        self.probes = {name: nn.Lambda(lambda values: values) for name in ["embeddings", *names]}

    def watched(self, *, attentions: bool) -> "list[tuple[str, Block, int]]":
        """The sum of the embeddings, each layer, the last norm; attention probabilities where wanted."""
        found = [(name, block, 0) for name, block in self.probes.items() if attentions or "attention" not in name]
        return [*found, ("final_norm", self.block._final_ln, 0)]

    def forward(self, inputs: "dict[str, Any]", dtype: str) -> "dict[str, Values]":
        """The logits of the next token (batch, masked, vocab_size) at the masked positions."""
        import mxnet as mx
        import numpy as np

        net, ids = self.block, np.asarray(inputs["input_ids"])
        batch, length = ids.shape
        positions = mx.nd.arange(length, dtype="int32").expand_dims(0)
        hidden = net._embed(mx.nd.array(ids, dtype="int32")) + net._pos_embed(positions)
        hidden = self.probes["embeddings"](hidden)
        earlier = mx.nd.array(np.tril(np.ones((1, length, length))), dtype=dtype)
        earlier = earlier.broadcast_to((batch * self.heads, length, length))
        for number in range(self.layers):
            hidden = hidden + self.attention(number, net._attn_ln[number](hidden), earlier)
            layer = net._ffn_layers[number]
            hidden = hidden + layer._out_map(activate(layer._hidden_map(net._ffn_ln[number](hidden)), self.activation))
            hidden = self.probes[f"layer.{number}"](hidden)
        read = np.asarray(inputs.get("masked_positions", np.zeros((batch, 1))))
        indices = np.stack([np.broadcast_to(np.arange(batch)[:, None], read.shape), read])
        picked = mx.nd.gather_nd(net._final_ln(hidden), mx.nd.array(indices, dtype="int32"))
        logits = net._logits_proj(picked)
        return {"lm_logits": logits} if "masked_positions" in inputs else {}

    def attention(self, number: int, hidden: "Values", earlier: "Values") -> "Values":
        """Run a layer's attention on its normalised input (batch, length, hidden_size).

        `earlier` is (batch * heads, length, length), 1 where a token sees another.
        """
        layer, heads = self.block._self_attention_layers[number], self.heads
        fused = layer._multi_head_qkv_proj(hidden)
        parts = [split_heads(part, heads) for part in fused.split(3, axis=2)]
        context, weights = layer._base_attn_cell(*parts, earlier)
        self.probes[f"attention.{number}"](weights.reshape((-4, -1, heads, 0, 0)))
        context = context.reshape((-4, -1, heads, 0, 0)).transpose((0, 2, 1, 3))  # (batch, length, heads, size)
        return layer._out_proj(context.reshape((0, 0, -3)))


def split_heads(values: "Values", heads: int) -> "Values":
    """Reshape (batch, length, hidden_size) to (batch * heads, length, hidden_size / heads)."""
    return values.reshape((0, 0, -4, heads, -1)).transpose((0, 2, 1, 3)).reshape((-3, 0, 0))


def activate(values: "Values", activation: str) -> "Values":
    """Apply GELU: the exact one of the scripts of 0.8, or the approximate one of later scripts."""
    import mxnet as mx

    if activation == "gelu":
        return values * 0.5 * (1 + mx.nd.erf(values / math.sqrt(2)))
    return values * 0.5 * (1 + mx.nd.tanh(math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)))


def attention_layer(hidden_size: int, prefix: str) -> "Block":
    """An attention layer: a matrix for queries, keys and values, the attention, a matrix for the output."""
    import mxnet as mx
    from gluonnlp.model.attention_cell import DotProductAttentionCell
    from mxnet.gluon import nn

    layer = mx.gluon.Block(prefix=prefix)
    with layer.name_scope():
        layer._multi_head_qkv_proj = nn.Dense(3 * hidden_size, flatten=False, prefix="qkv_proj_")
        layer._base_attn_cell = DotProductAttentionCell(scaled=True, prefix="attn_")
        layer._out_proj = nn.Dense(hidden_size, flatten=False, prefix="out_proj_")
    return layer


def feed_forward_layer(hidden_size: int, prefix: str) -> "Block":
    """A feed-forward layer: two matrices."""
    import mxnet as mx
    from mxnet.gluon import nn

    layer = mx.gluon.Block(prefix=prefix)
    with layer.name_scope():
        layer._hidden_map = nn.Dense(INNER * hidden_size, flatten=False)
        layer._out_map = nn.Dense(hidden_size, flatten=False)
    return layer
