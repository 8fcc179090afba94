"""Common non-linear systems, ready to use as the structure of a drug file.

Each function returns an `OdeSystem` (for an absorption chain, an exact `LinearSystem`) and lists the parameters it
needs.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.pkpd.description import Values
from rl_drug_dosage.pkpd.linear import LinearSystem, Mammillary
from rl_drug_dosage.pkpd.links import emax
from rl_drug_dosage.pkpd.ode import Adaptive, OdeSystem

__all__ = ["friberg", "indirect_response", "logistic_growth", "michaelis_menten", "transit_absorption"]

type Effect = Callable[[Array, Values], Array]


def michaelis_menten(*, depot: bool = False) -> OdeSystem:
    """One compartment with saturable elimination: dA/dt = -vmax C / (km + C), C = A / v1.

    Parameters: ``vmax`` mg/h, ``km`` mg/L, ``v1`` L; with a depot ``ka`` 1/h.
    """

    def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
        concentration = x["central"] / p["v1"]
        out = p["vmax"] * concentration / (p["km"] + concentration)
        if not depot:
            return {"central": -out}
        absorbed = p["ka"] * x["depot"]
        return {"depot": -absorbed, "central": absorbed - out}

    states = ("depot", "central") if depot else ("central",)
    required = ("vmax", "km", "v1", *(("ka",) if depot else ()))
    return OdeSystem(states=states, rhs=rhs, required=required, doses_into=states)


def indirect_response(
    pk: Mammillary, *, on: str = "production", stimulates: bool = False, sigmoid: bool = False
) -> OdeSystem:
    """Turnover of a response R whose production or loss the drug inhibits or stimulates (Dayneka 1993, models I-IV).

    dR/dt = kin (1 -+ E) - kout R, or kin - kout (1 -+ E) R, with E = emax C^gamma / (ec50^gamma + C^gamma); R starts
    at kin / kout. Parameters: those of ``pk``, ``kin``, ``kout`` 1/h, ``emax``, ``ec50`` mg/L, and ``gamma`` if
    ``sigmoid``.
    """
    sign = 1.0 if stimulates else -1.0

    def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
        change = 1.0 + sign * emax(pk["concentration"], p["emax"], p["ec50"], p["gamma"] if sigmoid else 1.0)
        made, lost = (change, 1.0) if on == "production" else (1.0, change)
        return {"response": p["kin"] * made - p["kout"] * lost * x["response"]}

    required = ("kin", "kout", "emax", "ec50", *(("gamma",) if sigmoid else ()))
    return OdeSystem(("response",), rhs, required, lambda p: {"response": p["kin"] / p["kout"]}, pk)


def friberg(pk: Mammillary, effect: Effect | None = None) -> OdeSystem:
    """Myelosuppression (Friberg 2002): proliferating cells, three transit steps, circulating cells.

    dProl/dt = ktr Prol (1 - E) (circ0 / Circ)^gamma - ktr Prol; each transit ktr (previous - own); Circ likewise;
    ktr = 4 / mtt. Parameters: those of ``pk``, ``circ0``, ``mtt`` h, ``gamma``, and ``slope`` L/mg for the default E =
    slope C. ``effect`` replaces E.
    """

    def linear(concentration: Array, p: Values) -> Array:
        return p["slope"] * concentration

    drug = linear if effect is None else effect

    def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
        ktr = 4.0 / p["mtt"]
        feedback = (p["circ0"] / jnp.maximum(x["circ"], 1e-6 * p["circ0"])) ** p["gamma"]
        return {
            "prol": ktr * x["prol"] * ((1.0 - drug(pk["concentration"], p)) * feedback - 1.0),
            "transit1": ktr * (x["prol"] - x["transit1"]),
            "transit2": ktr * (x["transit1"] - x["transit2"]),
            "transit3": ktr * (x["transit2"] - x["transit3"]),
            "circ": ktr * (x["transit3"] - x["circ"]),
        }

    states = ("prol", "transit1", "transit2", "transit3", "circ")
    required = ("circ0", "mtt", "gamma", *(("slope",) if effect is None else ()))
    return OdeSystem(states, rhs, required, lambda p: dict.fromkeys(states, p["circ0"]), pk)


def logistic_growth(pk: Mammillary) -> OdeSystem:
    """A population N under drug: dN/dt = growth N (1 - N / capacity) - kill C N.

    Parameters: those of ``pk``, ``growth`` 1/h, ``capacity``, ``kill`` L/(mg h), ``size0``.
    """

    def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
        size = x["size"]
        return {"size": p["growth"] * size * (1.0 - size / p["capacity"]) - p["kill"] * pk["concentration"] * size}

    return OdeSystem(
        ("size",), rhs, ("growth", "capacity", "kill", "size0"), lambda p: {"size": p["size0"]}, pk, method=Adaptive()
    )


def transit_absorption(transits: int, *, peripherals: int = 0) -> LinearSystem:
    """Depot, ``transits`` steps of equal rate, central. Linear, so solved exactly by matrix exponential.

    Parameters: ``ktr`` 1/h (every step out of depot and transits), ``cl``, ``v1``, and ``q2``, ``v2`` with a
    peripheral.
    """
    names = ("depot", *(f"transit{i + 1}" for i in range(transits)), "central", *(["peripheral1"] * peripherals))

    def matrix(p: Values) -> Array:
        a = jnp.zeros((len(names), len(names)))
        for i in range(transits + 1):
            a = a.at[i, i].add(-p["ktr"]).at[i + 1, i].add(p["ktr"])
        central = transits + 1
        a = a.at[central, central].add(-p["cl"] / p["v1"])
        if peripherals:
            out, back = p["q2"] / p["v1"], p["q2"] / p["v2"]
            a = a.at[central, central].add(-out).at[central + 1, central].add(out)
            a = a.at[central, central + 1].add(back).at[central + 1, central + 1].add(-back)
        return a

    return LinearSystem(names, matrix, ("ktr", "cl", "v1", *(("q2", "v2") if peripherals else ())))
