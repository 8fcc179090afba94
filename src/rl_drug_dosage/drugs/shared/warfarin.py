"""Shared by the warfarin files: two chains of coagulation activity, genotypes as numbers, tablets."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.pkpd import Categorical, Covariate, DosingOptions, Mammillary, Route, Target, Values, links
from rl_drug_dosage.pkpd.ode import OdeSystem

__all__ = [
    "DIPLOTYPES",
    "INR_TARGET",
    "TABLETS",
    "by_diplotype",
    "coagulation_chains",
    "cyp2c9_covariate",
    "vkorc1_covariate",
]

DIPLOTYPES = (11.0, 12.0, 13.0, 22.0, 23.0, 33.0)
"""CYP2C9 *1/*1, *1/*2, *1/*3, *2/*2, *2/*3, *3/*3, each coded by its two star-allele numbers."""

INR_TARGET = Target(
    "inr",
    "value",
    2.0,
    3.0,
    "1",
    "INR 2-3, e.g. Augustin D et al. Front Pharmacol 2023;14:1270443 (virtual MIPD trial)",
)

TABLETS = DosingOptions(
    routes=(Route("tablet of racemic warfarin", "depot"),),
    amounts_mg=(0.0, 1.0, 2.0, *(0.5 * half for half in range(5, 61))),
    intervals_h=(24.0,),
    usual_dose_mg=5.0,
    source=(
        "0, 1, 2, 2.5 and then every 0.5 mg up to 30 mg (DavAug/mipd-warfarin "
        "7_simulate_tdm_data_for_mipd_trial.py); usual dose 5 mg as in Hamberg 2007 Figure 3"
    ),
)


def coagulation_chains(pk: Mammillary, fast: int, slow: int) -> OdeSystem:
    """Coagulation activity in two chains of ``fast`` and ``slow`` equal steps, 1 without drug.

    Input into the first step of each chain is k (1 - E); every step passes on k times its content. k = steps / mean
    transit time, E = emax C^gamma / (ec50^gamma + C^gamma).
    Parameters: those of ``pk``, ``emax``, ``ec50`` mg/L, ``gamma``, ``mtt_fast``, ``mtt_slow`` h (whole chains).
    """
    chains = {"fast": tuple(f"fast{i + 1}" for i in range(fast)), "slow": tuple(f"slow{i + 1}" for i in range(slow))}

    def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
        inflow = 1.0 - links.emax(pk["concentration"], p["emax"], p["ec50"], p["gamma"])
        slopes = {}
        for chain, names in chains.items():
            rate = len(names) / p[f"mtt_{chain}"]
            before = inflow
            for name in names:
                slopes[name] = rate * (before - x[name])
                before = x[name]
        return slopes

    states = (*chains["fast"], *chains["slow"])
    required = ("emax", "ec50", "gamma", "mtt_fast", "mtt_slow")
    return OdeSystem(states, rhs, required, lambda p: dict.fromkeys(states, jnp.ones(())), pk)


def by_diplotype(diplotype: Array, values: tuple[Array | float, ...]) -> Array:
    """The value for a CYP2C9 diplotype, in the order of `DIPLOTYPES`; NaN for an unknown code."""
    return jnp.select([diplotype == code for code in DIPLOTYPES], list(values), jnp.nan)


def cyp2c9_covariate(probabilities: tuple[float, ...], source: str) -> Covariate:
    """CYP2C9 diplotype with its frequencies, in the order of `DIPLOTYPES`."""
    return Covariate(
        name="cyp2c9",
        unit="code",
        low=11.0,
        high=33.0,
        typical=11.0,
        source=source,
        meaning="CYP2C9 diplotype, coded by its two star-allele numbers: 11, 12, 13, 22, 23 or 33 (13 is *1/*3)",
        distribution=Categorical(DIPLOTYPES, probabilities),
        column="CYP2C9",
        words={"*1/*1": 11.0, "*1/*2": 12.0, "*1/*3": 13.0, "*2/*2": 22.0, "*2/*3": 23.0, "*3/*3": 33.0},
    )


def vkorc1_covariate(probabilities: tuple[float, float, float], source: str) -> Covariate:
    """Count of VKORC1 -1639 G alleles with the frequencies of GG, GA and AA."""
    return Covariate(
        name="vkorc1_g_alleles",
        unit="count",
        low=0.0,
        high=2.0,
        typical=2.0,
        source=source,
        meaning="VKORC1 -1639G>A: number of G alleles (2 GG, 1 GA, 0 AA; fewer G, more sensitive)",
        distribution=Categorical((2.0, 1.0, 0.0), probabilities),
        column="VKORC1G",
        words={"GG": 2.0, "GA": 1.0, "AG": 1.0, "AA": 0.0, "G/G": 2.0, "G/A": 1.0, "A/G": 1.0, "A/A": 0.0},
        aliases=("vkorc1",),
    )
