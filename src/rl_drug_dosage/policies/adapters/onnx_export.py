"""Trained policies as ONNX files: observation vector (and memory) in, action (and memory) out.

The file contains the normaliser, the network, its GRU and the action transform, and holds inputs constant that never
varied in the training of a scenario's policy, as `adapters.learnt` does. Its metadata contain the task and the
names of all observation components. Where the policy corrects a Bayesian dose, a second output says for which patients
it abstains. The observation of a record (`clinic.observation`) and the rounding of an action to the dose grid stay in
Python, because they may need a belief or a Bayesian dose.

The nodes are written with the ``onnx`` package: jax2onnx requires flax, orbax and some 50 more packages (0.8 GB), and
its release 0.17.1 does not run on JAX 0.12.
"""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.errors import DependencyError
from rl_drug_dosage.policies.adapters.learnt import tolerance_of
from rl_drug_dosage.policies.adapters.onnx import ABSTAINS, METADATA
from rl_drug_dosage.ppo.model_file import Model
from rl_drug_dosage.ppo.networks import Gru, Mlp
from rl_drug_dosage.ppo.normalizer import EPSILON
from rl_drug_dosage.ppo.policy import PpoPolicy

__all__ = ["onnx_bytes"]

_OPSET, _IR = 17, 8
"""Opset of 2022: all operators used are older, and any later runtime reads it."""


def onnx_bytes(model: Model, names: Sequence[Feature] = (), far: float | None = None) -> bytes:
    """A trained policy as the contents of an ONNX file.

    Args:
        model: the policy and its record.
        names: names of the observation components, for the metadata; given for the policies of scenarios.
        far: of a policy that abstains, standard deviations from the mean of training beyond which it does
            (`adapters.learnt.far_from`); None for one that never does.

    Raises:
        DependencyError: the package onnx is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError:
        raise DependencyError.of("exporting", "onnx", "onnx") from None
    policy, graph = model.policy, _Graph()
    gru = policy.networks.actor_memory
    seen = _held(graph, policy, "observation") if names else "observation"
    action = _policy(graph, policy, seen)
    graph.nodes.append(helper.make_node("Identity", [action], ["action"]))

    def shaped(name: str, size: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["patient", size])

    inputs, outputs = [shaped("observation", policy.obs_size)], [shaped("action", policy.low.size)]
    if gru is not None:
        inputs.append(shaped("memory", gru.units))
        outputs.append(shaped("memory_after", gru.units))
    if far is not None:
        _abstains(graph, policy, seen, far)
        outputs.append(shaped(ABSTAINS, 1))
    made = helper.make_model(
        helper.make_graph(graph.nodes, "policy", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="rl-drug-dosage",
    )
    helper.set_model_props(made, {METADATA: json.dumps(_record(model, names))})
    onnx.checker.check_model(made, full_check=True)
    contents: bytes = made.SerializeToString()
    return contents


def _record(model: Model, names: Sequence[Feature]) -> dict[str, Any]:
    """The metadata: the model's record, and the inputs and outputs."""
    named = [{"name": f.name, "unit": f.unit} for f in names]
    return {**model.record, "observations": named} if named else dict(model.record)


class _Graph:
    """Collects nodes in the order of creation, and their constants."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def floats(self, x: str, output: str = "") -> str:
        from onnx import TensorProto

        return self.add("Cast", x, output=output, to=TensorProto.FLOAT)

    def columns(self, x: str, start: int, stop: int) -> str:
        edges = [self.constant([n], np.int64) for n in (start, stop, 1)]
        return self.add("Slice", x, *edges)


def _held(graph: _Graph, policy: PpoPolicy, x: str) -> str:
    """`PpoDosing.held`."""
    constants = policy.constants()
    varied = np.isnan(constants)
    if varied.all():
        return x
    constant = graph.constant(np.where(varied, 0.0, constants))
    tolerance = graph.constant(np.where(varied, np.inf, tolerance_of(constants)))
    differs = graph.add("Greater", graph.add("Abs", graph.add("Sub", x, constant)), tolerance)
    return graph.add("Where", differs, constant, x)


def _abstains(graph: _Graph, policy: PpoPolicy, x: str, far: float) -> None:
    """Add an output that is 1 where an input lies too far from its mean in training, as in `PpoDosing.answer`."""
    most = graph.add("ReduceMax", graph.add("Abs", _standard(graph, policy, x)), axes=[1], keepdims=1)
    graph.floats(graph.add("Greater", most, graph.constant(far)), output=ABSTAINS)


def _standard(graph: _Graph, policy: PpoPolicy, x: str) -> str:
    """Each input's distance from its mean in training, in standard deviations."""
    n, moments = policy.obs_size, policy.obs_norm
    x = graph.add("Sub", x, graph.constant(moments.mean[:n]))
    return graph.add("Div", x, graph.constant((moments.var[:n] + EPSILON) ** 0.5))


def _policy(graph: _Graph, policy: PpoPolicy, x: str) -> str:
    """Add the output of `PpoPolicy.act` for ``x``, without sampling; the new memory is called ``memory_after``."""
    if policy.norm_obs:
        edges = graph.constant(-policy.clip_obs), graph.constant(policy.clip_obs)
        x = graph.add("Clip", _standard(graph, policy, x), *edges)
    if policy.networks.actor_memory is not None:
        h = _gru(graph, policy.networks.actor_memory, x, "memory")
        x = graph.add("Concat", x, h, axis=1)
    return _action(graph, policy, _mlp(graph, policy.networks.actor_mean, x))


def _affine(graph: _Graph, x: str, weight: Any, bias: Any) -> str:
    return graph.add("Gemm", x, graph.constant(weight), graph.constant(bias))


def _mlp(graph: _Graph, mlp: Mlp, x: str) -> str:
    for layer, (weight, bias) in enumerate(zip(mlp.weights, mlp.biases, strict=True)):
        x = _affine(graph, x, weight, bias)
        if layer < len(mlp.weights) - 1:
            x = graph.add("Tanh", x)
    return x


def _gru(graph: _Graph, gru: Gru, x: str, h: str) -> str:
    """`Gru.step`."""
    n = gru.units
    seen = _affine(graph, x, gru.weight_in, gru.bias_in)
    hidden = _affine(graph, h, gru.weight_hidden, gru.bias_hidden)
    r, z = (
        graph.add("Sigmoid", graph.add("Add", *(graph.columns(v, i * n, (i + 1) * n) for v in (seen, hidden))))
        for i in range(2)
    )
    gated = graph.add("Mul", r, graph.columns(hidden, 2 * n, 3 * n))
    candidate = graph.add("Tanh", graph.add("Add", graph.columns(seen, 2 * n, 3 * n), gated))
    fresh = graph.add("Mul", graph.add("Sub", graph.constant(1.0), z), candidate)
    return graph.add("Add", fresh, graph.add("Mul", z, h), output="memory_after")


def _action(graph: _Graph, policy: PpoPolicy, u: str) -> str:
    """`ppo.distribution.to_action`; an infinite bound does not clip the action."""
    if policy.choices:
        return _choices(graph, policy, u)
    low, high = graph.constant(policy.low), graph.constant(policy.high)
    unit = u
    if policy.kind == "tanh-gaussian":
        unit = graph.add("Tanh", u)
    elif policy.kind == "gaussian":
        unit = graph.add("Clip", u, graph.constant(-1.0), graph.constant(1.0))
    if policy.kind != "gaussian-raw":
        share = graph.add("Mul", graph.add("Add", unit, graph.constant(1.0)), graph.constant(0.5))
        unit = graph.add("Add", graph.add("Mul", share, graph.add("Sub", high, low)), low)
    return graph.add("Min", graph.add("Max", unit, low), high)


def _choices(graph: _Graph, policy: PpoPolicy, logits: str) -> str:
    """The most probable value of each component, as the environment counts them."""
    ends = [0, *itertools.accumulate(policy.choices)]
    parts = [
        graph.add("ArgMax", graph.columns(logits, start, stop), axis=-1, keepdims=1)
        for start, stop in itertools.pairwise(ends)
    ]
    chosen = graph.floats(graph.add("Concat", *parts, axis=-1))
    return graph.add("Add", chosen, graph.constant(policy.low))
