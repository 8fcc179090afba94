"""Flows of linear systems against the matrix exponential in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from rl_drug_dosage.pkpd import LinearSystem, Mammillary
from rl_drug_dosage.pkpd.flows import after, doublings, flow, flows_of, is_closed, rate_matrix, then

_SETS = {
    "one": (Mammillary(), {"cl": 3.0, "v1": 40.0}),
    "depot": (Mammillary(peripherals=1, depot=True), {"cl": 20.0, "v1": 100.0, "q2": 30.0, "v2": 300.0, "ka": 1.1}),
    "three": (
        Mammillary(peripherals=2, effect=True),
        {"cl": 100.0, "v1": 6.0, "q2": 90.0, "v2": 20.0, "q3": 40.0, "v3": 200.0, "ke0": 10.0},
    ),
}


def _exact(a: np.ndarray, c: np.ndarray, into: int, t: float) -> tuple[np.ndarray, ...]:
    """K, G, R, S from one exponential of the augmented matrix."""
    n = len(a)
    m = np.zeros((n + 2, n + 2))
    m[:n, :n], m[into, n], m[n + 1, :n] = a, 1.0, c
    e = expm(m * t)
    return e[:n, :n], e[:n, n], e[n + 1, :n], e[n + 1, n]


def _numbers(matrix: object) -> np.ndarray:
    return np.asarray(jax.tree.map(float, matrix), float)


@pytest.mark.parametrize("name", _SETS)
@pytest.mark.parametrize("t_h", [0.02, 1.0, 12.0])
def test_agrees_with_the_matrix_exponential(name: str, t_h: float) -> None:
    structure, p = _SETS[name]
    a, c = rate_matrix(structure, {k: jnp.asarray(v) for k, v in p.items()})
    m = doublings(a, t_h)
    found = flow(a, c, 0, t_h, m)
    for own, exact in zip(found, _exact(_numbers(a), _numbers(c), 0, t_h), strict=True):
        scale = np.abs(exact).max() + 1e-30
        # Each doubling doubles the rounding errors of single precision.
        np.testing.assert_allclose(_numbers(own) / scale, exact / scale, atol=1e-5 + 2.0**m * 6e-8)


def test_two_times_after_one_another_are_their_sum() -> None:
    structure, p = _SETS["depot"]
    a, c = rate_matrix(structure, {k: jnp.asarray(v) for k, v in p.items()})
    m = doublings(a, 8.0)
    both, whole = then(flow(a, c, 0, 3.0, m), flow(a, c, 0, 5.0, m)), flow(a, c, 0, 8.0, m)
    for own, exact in zip(both, whole, strict=True):
        np.testing.assert_allclose(_numbers(own), _numbers(exact), rtol=2e-4, atol=1e-6)


def test_a_general_matrix_is_the_same_as_the_mammillary_one() -> None:
    p = {"cl": jnp.asarray(3.0), "v1": jnp.asarray(40.0)}
    own = LinearSystem(("central",), lambda p: -(p["cl"] / p["v1"]) * jnp.ones((1, 1)), ("cl", "v1"))
    found = [flow(*rate_matrix(s, p), 0, 6.0, 6) for s in (own, Mammillary())]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(_numbers(a), _numbers(b), rtol=1e-6)


def test_patients_faster_than_the_steps_stay_finite() -> None:
    structure, p = _SETS["depot"]
    a, c = rate_matrix(structure, {k: jnp.asarray(v) for k, v in p.items()})
    m = doublings(a, 12.0)
    fast, c = rate_matrix(structure, {k: jnp.asarray(v * (3000.0 if k in {"q2", "ka"} else 1.0)) for k, v in p.items()})
    found = flow(fast, c, 0, 12.0, m)
    kept = _numbers(found.keep)
    assert np.isfinite(kept).all()
    assert (kept > -1e-3).all()
    assert (kept.sum(axis=0) < 1.0 + 1e-3).all()


@pytest.mark.parametrize(
    "p",
    [
        {"cl": 3.0, "v1": 40.0},
        {"cl": 3.0, "v1": 40.0, "q2": 2.0, "v2": 30.0},
        {"cl": 3.0, "v1": 40.0, "q2": 200.0, "v2": 30.0},  # rates far apart
        {"cl": 0.012, "v1": 3.3, "q2": 0.005, "v2": 1.2},  # slow, as an antibody
        {"cl": 3.0, "v1": 30.0, "q2": 1e-7, "v2": 1e-6},  # rates next to each other
        {"cl": 3.0, "v1": 40.0, "q2": 1e-6, "v2": 30.0},  # nothing goes across
        {"cl": 1e-4, "v1": 40.0, "q2": 5.0, "v2": 30.0},  # hardly anything leaves
    ],
)
@pytest.mark.parametrize("t_h", [0.02, 1.0, 12.0, 168.0])
def test_closed_forms_agree_with_the_matrix_exponential(p: dict[str, float], t_h: float) -> None:
    structure = Mammillary(peripherals=int("q2" in p))
    assert is_closed(structure)
    values = {k: jnp.asarray(v) for k, v in p.items()}
    a, c = rate_matrix(structure, values)
    found = flows_of(structure, values, 0, 0)(t_h)
    keep, gain, reach, swept = _exact(_numbers(a), _numbers(c), 0, t_h)
    np.testing.assert_allclose(_numbers(found.keep), keep, atol=2e-6)
    np.testing.assert_allclose(_numbers(found.gain) / t_h, gain / t_h, atol=5e-6)
    # Areas are what has left, in single precision: of a body that loses a share e they are known to about 1e-7 / e.
    left = max(p["cl"] * np.abs(reach).max(), 1e-12)
    np.testing.assert_allclose(_numbers(found.reach), reach, atol=(1e-5 + 3e-7 / left) * np.abs(reach).max())
    np.testing.assert_allclose(_numbers(found.swept), swept, rtol=1e-4 + 1e-6 * t_h / (p["cl"] * swept))


def test_contents_after_a_flow() -> None:
    values = {k: jnp.asarray(v) for k, v in {"cl": 3.0, "v1": 40.0, "q2": 2.0, "v2": 30.0}.items()}
    a, c = rate_matrix(Mammillary(peripherals=1), values)
    keep, gain, reach, swept = _exact(_numbers(a), _numbers(c), 0, 5.0)
    x, area = after(flows_of(Mammillary(peripherals=1), values, 0, 0)(5.0), [7.0, 2.0], 4.0)
    np.testing.assert_allclose(_numbers(x), keep @ [7.0, 2.0] + 4.0 * gain, rtol=1e-5)
    np.testing.assert_allclose(float(area), reach @ [7.0, 2.0] + 4.0 * swept, rtol=1e-5)
