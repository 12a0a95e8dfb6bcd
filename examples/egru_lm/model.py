"""A language model of EGRU layers in plain NumPy: forward, backward through time, Adam. Nothing here knows hwsdk.

A character's embedding enters the first layer; the scores of the next character are the last layer's events times the
same embedding (tied weights). Arrays of a sequence are (steps, batch, n); gate blocks lie in the order z, r, g.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Params = dict[str, Array]
State = list[tuple[Array, Array]]
SLOPE, WIDTH = 0.7, 1.0
"""Surrogate derivative of the event, SLOPE max(0, 1 - |c - theta| / WIDTH): defaults of EvNN (arXiv:2206.06178)."""


@dataclass(frozen=True)
class Tape:
    """What one layer's forward pass leaves for its backward pass; h and y have one step more than the others."""

    x: Array
    h: Array
    y: Array
    gates: Array  # z, r, g, and the recurrent part of g: (steps, batch, 4, H)
    over: Array  # c - theta


def layers(params: Params) -> int:
    """How many layers there are."""
    return sum(name.startswith("w") for name in params)


def sigma(x: Array) -> Array:
    """The logistic function."""
    return 1 / (1 + np.exp(-x))


def fresh(params: Params, batch: int) -> State:
    """(h, y) of every layer before the first step."""
    widths = [params[f"r{i}"].shape[1] for i in range(layers(params))]
    return [(np.zeros((batch, n), params["embedding"].dtype),) * 2 for n in widths]


def forward_layer(params: Params, i: int, x: Array, state: tuple[Array, Array]) -> Tape:
    """Run layer i over a sequence."""
    w, r_weight, bx, br, theta = (params[f"{name}{i}"] for name in ("w", "r", "bx", "br", "theta"))
    steps, batch, units = len(x), x.shape[1], r_weight.shape[1]
    outside = (x @ w.T + bx).reshape(steps, batch, 3, units)
    h, y = (np.zeros((steps + 1, batch, units), x.dtype) for _ in range(2))
    gates, over = np.zeros((steps, batch, 4, units), x.dtype), np.zeros((steps, batch, units), x.dtype)
    h[0], y[0] = state
    for t in range(steps):
        inside = (y[t] @ r_weight.T + br).reshape(batch, 3, units)
        z, r = sigma(outside[t, :, 0] + inside[:, 0]), sigma(outside[t, :, 1] + inside[:, 1])
        g = np.tanh(outside[t, :, 2] + r * inside[:, 2])
        c = z * h[t] + (1 - z) * g
        event = c > theta
        gates[t] = np.stack([z, r, g, inside[:, 2]], 1)
        over[t], y[t + 1], h[t + 1] = c - theta, c * event, c - event * theta
    return Tape(x, h, y, gates, over)


def forward(params: Params, text: NDArray[np.int64], state: State) -> tuple[list[Tape], Array, State]:
    """(tapes, scores of the next character (steps, batch, characters), last state) for text (steps, batch)."""
    x, tapes = params["embedding"][text], []
    for i in range(layers(params)):
        tapes.append(forward_layer(params, i, x, state[i]))
        x = tapes[-1].y[1:]
    return tapes, x @ params["embedding"].T + params["decoder_bias"], [(t.h[-1], t.y[-1]) for t in tapes]


def backward_layer(params: Params, i: int, tape: Tape, dy: Array, slope: float) -> tuple[Params, Array]:
    """(gradients of layer i, gradient of its input) for a gradient dy of its events."""
    w, r_weight, theta = (params[f"{name}{i}"] for name in ("w", "r", "theta"))
    steps, batch, units = tape.over.shape
    outside, inside = (np.zeros((steps, batch, 3, units), dy.dtype) for _ in range(2))
    d_theta, dh, recurrent = np.zeros_like(theta), np.zeros_like(dy[0]), np.zeros_like(dy[0])
    for t in reversed(range(steps)):
        (z, r, g, hidden), event = tape.gates[t].transpose(1, 0, 2), tape.over[t] > 0
        d_out = dy[t] + recurrent
        c = tape.over[t] + theta
        d_event = slope * np.maximum(0, 1 - np.abs(tape.over[t]) / WIDTH) * (c * d_out - theta * dh)
        d_theta -= (d_event + event * dh).sum(0)
        dc = event * d_out + dh + d_event
        dg = dc * (1 - z) * (1 - g * g)
        dz, dr = dc * (tape.h[t] - g) * z * (1 - z), dg * hidden * r * (1 - r)
        outside[t], inside[t] = np.stack([dz, dr, dg], 1), np.stack([dz, dr, dg * r], 1)
        dh = dc * z
        recurrent = inside[t].reshape(batch, -1) @ r_weight
    flat_out, flat_in = outside.reshape(steps * batch, -1), inside.reshape(steps * batch, -1)
    grads = {f"w{i}": flat_out.T @ tape.x.reshape(steps * batch, -1),
             f"r{i}": flat_in.T @ tape.y[:-1].reshape(steps * batch, -1),
             f"bx{i}": flat_out.sum(0), f"br{i}": flat_in.sum(0), f"theta{i}": d_theta}
    return grads, (flat_out @ w).reshape(tape.x.shape)


def loss_and_gradients(params: Params, text: NDArray[np.int64], following: NDArray[np.int64], state: State,
                       event_cost: float = 0.0, slope: float = SLOPE) -> tuple[float, Params, State]:
    """Mean cross-entropy in nats, plus event_cost times the mean event; its gradients; the last state."""
    tapes, scores, last = forward(params, text, state)
    share = np.exp(scores - scores.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    right = np.take_along_axis(share, following[..., None], -1)
    loss = float(-np.log(right).mean()) + event_cost * sum(float(t.y[1:].mean()) for t in tapes)
    np.put_along_axis(share, following[..., None], right - 1, -1)
    d_scores = (share / following.size).astype(scores.dtype)
    grads: Params = {"decoder_bias": d_scores.sum((0, 1))}
    grads["embedding"] = np.tensordot(d_scores, tapes[-1].y[1:], ((0, 1), (0, 1)))
    dy = d_scores @ params["embedding"]
    for i in reversed(range(layers(params))):
        dy = dy + np.asarray(event_cost / dy.size, dy.dtype)
        found, dy = backward_layer(params, i, tapes[i], dy, slope)
        grads |= found
    np.add.at(grads["embedding"], text, dy)
    return loss, grads, last


def perplexity(params: Params, text: NDArray[np.int64]) -> tuple[float, list[float]]:
    """(perplexity a character of one text (steps,), share of units with an event a step, layer by layer)."""
    tapes, scores, _ = forward(params, text[:-1, None], fresh(params, 1))
    top = scores.max(-1, keepdims=True)
    logs = scores - top - np.log(np.exp(scores - top).sum(-1, keepdims=True))
    nats = -np.take_along_axis(logs, text[1:, None, None], -1).mean()
    return float(np.exp(nats)), [float((t.y[1:] > 0).mean()) for t in tapes]


@dataclass
class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1)."""

    first: Params
    second: Params
    step: int = 0

    def update(self, params: Params, grads: Params, rate: float) -> None:
        """One step, in place."""
        self.step += 1
        for name, g in grads.items():
            m, v = self.first[name], self.second[name]
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            params[name] -= rate * (m / (1 - 0.9**self.step)) / (np.sqrt(v / (1 - 0.999**self.step)) + 1e-8)
