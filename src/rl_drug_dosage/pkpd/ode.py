"""Models without a closed form: one system, two integration methods.

`Adaptive` (diffrax, error control, explicit or stiff) is the accuracy reference. `FixedStep` is the classical
fourth-order Runge-Kutta method with equal substeps, for inner loops; `choose_step` finds the longest substep that
agrees with the reference. Both propagate the linear pharmacokinetics that drive the system exactly.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._errors import DrugModelError, SolverError
from rl_drug_dosage.pkpd.answers import Fault, call_fault, mapping_fault, not_finite
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.description import Values, central_concentration
from rl_drug_dosage.pkpd.last_dose import Arrival, arrived
from rl_drug_dosage.pkpd.linear import Mammillary
from rl_drug_dosage.pkpd.ode_methods import Adaptive, FixedStep
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.simulate import solve
from rl_drug_dosage.pkpd.structure import Structure
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["Adaptive", "FixedStep", "OdeSystem", "choose_step"]

_ADAPTIVE = Adaptive()

type Rhs = Callable[[Array, Values, Values, Values], Mapping[str, Array]]


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class OdeSystem(Structure):
    """Named states with a right-hand side, optionally driven by exact linear pharmacokinetics.

    Args:
        states: state names.
        rhs: (t_h, states, parameters, pk) -> derivative per hour of every state. ``pk`` holds the contents of the
            linear part and ``"concentration"`` in mg/L; empty without one. The engine adds infusions into a state.
        required: parameter names that ``rhs`` and ``start`` read.
        start: parameters -> initial values of the states that do not start at 0.
        pk: linear pharmacokinetics that drive the system.
        doses_into: states (amounts in mg) that doses may enter.
        method: integration method.
        arrivals: doses that the equations look at. An infusion goes on to the content and counts as no dose.
    """

    states: tuple[str, ...]
    rhs: Rhs
    required: tuple[str, ...]
    start: Callable[[Values], Mapping[str, Array]] | None = None
    pk: Mammillary | None = None
    doses_into: tuple[str, ...] = ()
    method: Adaptive | FixedStep = _ADAPTIVE
    arrivals: tuple[Arrival, ...] = ()

    def __post_init__(self) -> None:
        if not self.dosable:
            raise DrugModelError("an OdeSystem without a compartment to dose: give pk, or name states in doses_into")
        unknown = sorted(set(self.doses_into) - set(self.states))
        if unknown:
            raise DrugModelError(f"doses_into names {unknown}: the states are {self.states}")
        twice = [name for i, name in enumerate(self.compartments) if name in self.compartments[:i]]
        if twice:
            raise DrugModelError(f"states names {twice[0]!r} twice: compartments are {self.compartments}; rename one")

    @property
    def compartments(self) -> tuple[str, ...]:  # type: ignore[override]
        """Linear part, then states."""
        return (*(self.pk.compartments if self.pk else ()), *self.states)

    @property
    def dosable(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the linear part, and ``doses_into``."""
        return (*(self.pk.dosable if self.pk else ()), *self.doses_into)

    @property
    def parameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the linear part, and ``required``."""
        return (*(self.pk.parameters if self.pk else ()), *self.required)

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Superposition does not hold."""
        return False

    @property
    def _front(self) -> int:
        return len(self.pk.compartments) if self.pk else 0

    def with_method(self, method: Adaptive | FixedStep) -> "OdeSystem":
        """The same system with another integration method."""
        return replace(self, method=method)

    def initial(self, p: Values) -> Float[Array, "n"]:
        """All empty, except the states set by ``start``."""
        given = {} if self.start is None else self.start(p)
        front = [jnp.zeros(())] * self._front
        return jnp.stack([*front, *(jnp.asarray(given.get(name, 0.0), dtype=float) for name in self.states)])

    def fault(self, p: Values, given_mg: float) -> Fault | None:
        """``start`` gives states, and ``rhs`` the derivative of every state and of nothing else, as finite numbers."""
        answers: list[tuple[str, Mapping[str, Any]]] = []
        if found := call_fault("structure.rhs", self.rhs, ("t_h", "states", "parameters", "pk")):
            return found
        if self.start is not None:
            if found := call_fault("structure.start", self.start, ("parameters",)):
                return found
            start = self.start(p)
            if found := mapping_fault("structure.start", start, self.states, complete=False):
                return found
            answers.append(("structure.start", start))
        x = self.dosed(p, given_mg)
        front, y = x[: self._front], x[self._front :]
        slopes = self._slopes(jnp.zeros(()), y, front, p)
        if found := mapping_fault("structure.rhs", slopes, self.states):
            return found
        for what, values in (*answers, ("structure.rhs", slopes)):
            for name, value in values.items():
                if not_finite(value):
                    came = f"{what} gives {value} for {name!r}, for the typical patient"
                    return Fault(came, "finite numbers", "correct the function")
        return None

    def prepare(self, p: Values) -> tuple[Any, dict[str, Array]]:
        """Eigenvalues of the linear part, and the parameters themselves."""
        return (self.pk.prepare(p) if self.pk else None), {k: jnp.asarray(v, dtype=float) for k, v in p.items()}

    def _slopes(self, t_h: Array, y: Array, front: Array, p: Values) -> Mapping[str, Array]:
        pk: dict[str, Array] = {}
        if self.pk is not None:
            pk = self.pk.contents(front)
            pk["concentration"] = central_concentration(pk, p)
        return self.rhs(t_h, {name: y[i] for i, name in enumerate(self.states)}, p, pk)

    def _derivative(self, t_h: Array, y: Array, front: Array, p: Values, rate: Array) -> Array:
        slopes = self._slopes(t_h, y, front, p)
        return jnp.stack([jnp.asarray(slopes[name], dtype=float) for name in self.states]) + rate

    def advance(
        self,
        prepared: Any,
        x: Float[Array, "n"],
        rate_mg_per_h: Float[Array, "n"] | None,
        t_h: Float[Array, ""],
        dt_h: Float[Array, ""],
        *,
        auc: bool = False,
    ) -> tuple[Float[Array, "n"], Float[Array, ""]]:
        """Integrate. The linear part and its AUC are exact; that of a state ``central`` is integrated numerically."""
        linear, p = prepared
        rate = jnp.zeros(len(self.compartments)) if rate_mg_per_h is None else rate_mg_per_h
        if self.arrivals:
            x, rate = arrived(self.arrivals, self.compartments, x, rate)
        front, y = x[: self._front], x[self._front :]
        pk_rate = None if rate_mg_per_h is None else rate[: self._front]

        def front_at(s: Array) -> Array:
            return self.pk.advance(linear, front, pk_rate, t_h, s)[0] if self.pk else front

        def slope(s: Array, state: Array, front_now: Array) -> Array:
            own = self._derivative(t_h + s, state[: len(self.states)], front_now, p, rate[self._front :])
            if state.shape[0] == own.shape[0]:
                return own
            central = state[self.states.index("central")]
            return jnp.concatenate([own, (central / p["v1"])[None]])

        own_area = auc and self.pk is None and "central" in self.states and "v1" in p
        state = jnp.concatenate([y, jnp.zeros(1)]) if own_area else y
        if isinstance(self.method, Adaptive):
            state = _adaptive(self.method, lambda s, v: slope(s, v, front_at(s)), state, dt_h)
        else:
            state = self._fixed(self.method, slope, state, front, linear, pk_rate, dt_h)
        area = state[-1] if own_area else jnp.full((), jnp.nan if auc else 0.0)
        end = front
        if self.pk is not None:
            end, area = self.pk.advance(linear, front, pk_rate, t_h, dt_h, auc=auc)
        return jnp.concatenate([end, state[: len(self.states)]]), area

    def _fixed(
        self, method: FixedStep, slope: Any, state: Array, front: Array, linear: Any, pk_rate: Array | None, dt_h: Array
    ) -> Array:
        """RK4. The linear part advances in half substeps with one matrix, computed once."""
        if isinstance(dt_h, float | int):
            count: Any = max(1, math.ceil(dt_h / method.step_h - 1e-9))
        else:
            count = jnp.maximum(1, jnp.ceil(dt_h / method.step_h - 1e-6)).astype(int)
        h = jnp.asarray(dt_h, dtype=float) / count
        if self.pk is not None:
            pk, zero = self.pk, jnp.zeros(())
            columns = jax.vmap(lambda unit: pk.advance(linear, unit, None, zero, 0.5 * h)[0])(jnp.eye(self._front))
            shift = pk.advance(linear, jnp.zeros(self._front), pk_rate, zero, 0.5 * h)[0]

        def half(now: Array) -> Array:
            return now @ columns + shift if self.pk is not None else now

        def substep(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            now, y = carry
            s = i * h
            middle = half(now)
            end = half(middle)
            k1 = slope(s, y, now)
            k2 = slope(s + 0.5 * h, y + 0.5 * h * k1, middle)
            k3 = slope(s + 0.5 * h, y + 0.5 * h * k2, middle)
            k4 = slope(s + h, y + h * k3, end)
            return end, y + h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)

        return jax.lax.fori_loop(0, count, substep, (front, state))[1]


def _adaptive(method: Adaptive, slope: Callable[[Array, Array], Array], y: Array, dt_h: Array) -> Array:
    import diffrax  # takes a third of a second, which models with a closed form or fixed substeps need not wait for

    double = jnp.asarray(0.0).dtype == jnp.float64
    solver = diffrax.Kvaerno5() if method.stiff else diffrax.Tsit5()
    controller = diffrax.PIDController(
        rtol=method.rtol or (1e-10 if double else 1e-6), atol=method.atol or (1e-13 if double else 1e-9)
    )
    # A zero-length interval (two events at the same time) must still give the integrator a direction.
    empty = jnp.asarray(dt_h) <= 0
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda s, v, _: slope(jnp.asarray(s), v)),
        solver,
        t0=0.0,
        t1=jnp.where(empty, 1e-3, jnp.asarray(dt_h)),
        dt0=None,
        y0=y,
        stepsize_controller=controller,
        max_steps=method.max_steps,
        adjoint=diffrax.RecursiveCheckpointAdjoint() if method.reverse_mode else diffrax.ForwardMode(),
        throw=False,
    )
    assert solution.ys is not None
    end = jnp.where(solution.result == diffrax.RESULTS.successful, solution.ys[0], jnp.nan)
    return jnp.where(empty, y, end)


def choose_step(
    system: OdeSystem,
    p: Values,
    regimen: Regimen,
    covariates: Covariates,
    time_h: Float[Array, "time"],
    *,
    tolerance: float,
    first_step_h: float = 4.0,
    halvings: int = 12,
) -> FixedStep:
    """The longest substep (first_step_h / 2^k) whose solution agrees with the error-controlled one.

    Args:
        system: the system for which a substep is chosen.
        p: parameters of a demanding patient, see `solve`.
        regimen: a demanding regimen.
        covariates: the patient's covariate table.
        time_h: times at which the two solutions are compared.
        tolerance: for |difference| relative to the largest value that each compartment takes.
        first_step_h: the first substep tried.
        halvings: how many times it is halved.

    Raises:
        SolverError: the error-controlled solution is not finite, or no tried step agrees.
    """
    reference = system.method if isinstance(system.method, Adaptive) else Adaptive()
    exact = np.asarray(solve(system.with_method(reference), p, regimen, covariates, time_h).contents)
    if not np.all(np.isfinite(exact)):
        raise SolverError(
            "the error-controlled solution is not finite: check the parameters, or use Adaptive(stiff=True)"
        )
    scale = np.maximum(np.abs(exact).max(axis=0), np.finfo(exact.dtype).tiny)
    for k in range(halvings + 1):
        method = FixedStep(first_step_h / 2**k)
        tried = np.asarray(solve(system.with_method(method), p, regimen, covariates, time_h).contents)
        if np.all(np.abs(tried - exact) <= tolerance * scale):
            return method
    raise SolverError(
        f"no substep down to {first_step_h / 2**halvings:g} h agrees to {tolerance:g}: use the error-controlled method"
    )
