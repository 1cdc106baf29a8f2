"""Parameters and memory of a model, computed from its shape."""

from zppo.models.shapes import TextShape

_FLOAT32_BYTES = 4


def full_attention_layers(shape: TextShape) -> int:
    """Layers that keep keys and values of every token."""
    return shape.num_hidden_layers // shape.full_attention_interval


def linear_attention_layers(shape: TextShape) -> int:
    """Layers that keep a state of constant size instead."""
    return shape.num_hidden_layers - full_attention_layers(shape)


def parameter_count(shape: TextShape) -> int:
    """Trainable numbers of the text model; tied embeddings count once."""
    embeddings = shape.vocab_size * shape.hidden_size * (1 if shape.tie_word_embeddings else 2)
    return embeddings + layer_parameters(shape)


def layer_parameters(shape: TextShape) -> int:
    """Those of the layers and of the norm after them."""
    each_layer = _mlp(shape) + 2 * shape.hidden_size
    return (
        shape.num_hidden_layers * each_layer
        + full_attention_layers(shape) * _attention(shape)
        + linear_attention_layers(shape) * _gated_delta_net(shape)
        + shape.hidden_size
    )


def cache_bytes_per_token(shape: TextShape, value_bytes: float) -> float:
    """Keys and values of one token, over all layers."""
    return 2 * shape.num_key_value_heads * shape.head_dim * full_attention_layers(shape) * value_bytes


def state_bytes_per_sequence(shape: TextShape, value_bytes: float) -> float:
    """Recurrent state (float32) and convolution window of one sequence, over all layers."""
    recurrent = shape.linear_num_value_heads * shape.linear_key_head_dim * shape.linear_value_head_dim
    window = _convolved_channels(shape) * shape.linear_conv_kernel_dim
    return linear_attention_layers(shape) * (recurrent * _FLOAT32_BYTES + window * value_bytes)


def layer_flops(shape: TextShape) -> int:
    """Floating-point operations of one token forwards through the layers; training takes 3 times.

    Left out are attention scores and the output layer, which only tokens pass that predict one.
    """
    return 2 * layer_parameters(shape)


def head_flops(shape: TextShape) -> int:
    """Those of one token in the output layer."""
    return 2 * shape.vocab_size * shape.hidden_size


def attention_flops(shape: TextShape) -> int:
    """Operations of one token forwards for every token of its context: scores, and the mean of the values.

    Multiplied by the mean context, half of a sequence's length, they are what `layer_flops` leaves out. The
    gated delta nets' own state, about two per cent of a layer, is left out of both.
    """
    return 4 * shape.num_attention_heads * shape.head_dim * full_attention_layers(shape)


def _mlp(shape: TextShape) -> int:
    biases = 2 * shape.intermediate_size + shape.hidden_size if shape.mlp_bias else 0
    return 3 * shape.hidden_size * shape.intermediate_size + biases


def _attention(shape: TextShape) -> int:
    """Projections, their biases, and the norms of queries and keys where the family has them."""
    queries = shape.num_attention_heads * shape.head_dim
    keys = shape.num_key_value_heads * shape.head_dim
    # Qwen3.5 projects a gate of the attention's output together with the queries.
    projected = (2 * queries if shape.model_type == "qwen3_5_text" else queries) + 2 * keys
    weights = shape.hidden_size * (projected + queries)
    if shape.model_type == "qwen2":
        biases = projected
    else:
        biases = projected + shape.hidden_size if shape.attention_bias else 0
    norms = 2 * shape.head_dim if shape.model_type in ("qwen3", "qwen3_5_text") else 0
    return weights + biases + norms


def _convolved_channels(shape: TextShape) -> int:
    keys = shape.linear_num_key_heads * shape.linear_key_head_dim
    return 2 * keys + shape.linear_num_value_heads * shape.linear_value_head_dim


def _gated_delta_net(shape: TextShape) -> int:
    """Projections of queries, keys, values, gate, beta and decay; convolution; norm; output."""
    heads = shape.linear_num_value_heads
    values = heads * shape.linear_value_head_dim
    channels = _convolved_channels(shape)
    projections = shape.hidden_size * (channels + values + 2 * heads)
    decay = 2 * heads
    convolution = channels * shape.linear_conv_kernel_dim
    return projections + decay + convolution + shape.linear_value_head_dim + values * shape.hidden_size
