"""Warfarin protocols that a clinic can apply by hand: a start from genotype or age, then an INR nomogram.

A protocol is a function (facts, `Chart`, day, INR, whether it is known) -> (mg today, chart). It uses the INR of the
morning, before the dose. Policies step it (`morning`); a scenario's label replays it from the record (`replay`).

Numbers are from anzabizadeh/ReiL, reil/healthcare/dosing_protocols/warfarin (`aurora.py`, `intermountain.py`,
`iwpc.py`, `lenzini.py`, `ravvaz_dosing_protocols.py`), which implements the arms of Ravvaz K et al. Circ Cardiovasc
Genet 2017;10(6):e001804. The daily dose is stored unrounded; each day's tablets are rounded from it. INRs meet the
limits of a protocol in whole hundredths: 1.60 has no exact binary form and would fall below itself when rounded.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import Values

__all__ = [
    "Chart",
    "Protocol",
    "aurora_arm",
    "empty_chart",
    "inr_now",
    "intermountain_arm",
    "is_warfarin",
    "iwpc_mg",
    "lenzini_mg",
    "loading_mg",
    "morning",
    "pharmacogenetic_arm",
    "replay",
]

_HEIGHT_CM, _WEIGHT_KG = 170.0, 80.0
"""Same for all: the virtual patients have no body size, since none of our warfarin models uses it (our choice)."""
_BSA_M2 = (_HEIGHT_CM * _WEIGHT_KG / 3600.0) ** 0.5
_IN_RANGE = (200, 300)
"""In hundredths of the INR."""


class Chart(NamedTuple):
    """The state of a protocol from one morning to the next."""

    dose: Float[Array, ""]
    """Current daily dose, mg."""
    other: Float[Array, ""]
    """Dose that replaces it on the next ``days`` days."""
    days: Int[Array, ""]
    stopped: Bool[Array, ""]
    """No warfarin until the INR has fallen."""
    due: Int[Array, ""]
    """First day on which an INR may change the daily dose again."""
    zone: Int[Array, ""]
    """Zone of the last INR that counted, from 0 (lowest), that on which warfarin went on included; -1: none yet."""
    given: Float[Array, " recent"]
    """The last four days' doses, newest first."""


type Protocol = Callable[[Values, Chart, Array, Array, Array], tuple[Array, Chart]]


def is_warfarin(scenario: Scenario) -> bool:
    """Whether a scenario doses warfarin and measures the INR: every model of it is one of warfarin."""
    return scenario.doses("warfarin") and scenario.monitoring.output == "inr"


def empty_chart() -> Chart:
    """The chart on admission."""
    zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
    return Chart(zero, zero, none, jnp.asarray(False), none, none - 1, jnp.zeros(4))


def inr_now(record: Record, day: Int[Array, ""]) -> tuple[Array, Array]:
    """The INR of this morning, and whether one was drawn: the last sample of the interval before, or the baseline."""
    before = jnp.maximum(day - 1, 0)
    inr = jnp.where(day > 0, record.level[before, -1], record.baseline)
    return inr, jnp.where(day > 0, record.known[before, -1], record.baseline > 0)


def morning(
    protocol: Protocol, facts: Values, record: Record, chart: Chart, day: Int[Array, ""]
) -> tuple[Float[Array, ""], Chart]:
    """One day's dose, mg, and the updated chart; past doses are those in the record, whichever policy chose them."""
    inr, known = inr_now(record, day)
    before = day - 1 - jnp.arange(chart.given.shape[0])
    given = jnp.where(before >= 0, record.dose[jnp.maximum(before, 0)], 0.0)
    return protocol(facts, chart._replace(given=given), day, inr, known)


def replay(protocol: Protocol, facts: Values, record: Record) -> Float[Array, ""]:
    """Today's dose, mg, of a protocol applied to the whole record."""

    def one(day: Array, carry: tuple[Array, Chart]) -> tuple[Array, Chart]:
        return morning(protocol, facts, record, carry[1], day)

    return jax.lax.fori_loop(0, record.k + 1, one, (jnp.zeros(()), empty_chart()))[0]


def iwpc_mg(facts: Values) -> Float[Array, ""]:
    """Daily maintenance dose by the pharmacogenetic algorithm of the IWPC (N Engl J Med 2009;360:753-764).

    sqrt(mg/week) = 5.6044 - 0.2614 decades + 0.0087 cm + 0.0128 kg - VKORC1 - CYP2C9 terms; no patient
    takes amiodarone or an enzyme inducer, and race is omitted as in EU-PACT.
    """
    g_alleles = facts["vkorc1_g_alleles"]
    root = 5.6044 - 0.2614 * facts["age_y"] / 10.0 + 0.0087 * _HEIGHT_CM + 0.0128 * _WEIGHT_KG
    root = root - jnp.where(g_alleles > 1.5, 0.0, jnp.where(g_alleles > 0.5, 0.8677, 1.6974))
    root = root - _of_diplotype(facts, (0.0, 0.5211, 0.9357, 1.0616, 1.9206, 2.3312))
    return root**2 / 7.0


def loading_mg(facts: Values, day: Int[Array, ""]) -> Float[Array, ""]:
    """Loading doses of days 1-3 (``day`` 0-2) of EU-PACT (N Engl J Med 2013;369:2294-2303).

    With e = exp(-24 k) and k of the CYP2C9 diplotype: LD = D / ((1 - e) (1 + e + e^2)); 1.5 LD - 0.5 D, LD, 0.5 LD +
    0.5 D.
    """
    daily = iwpc_mg(facts)
    e = jnp.exp(-24.0 * _of_diplotype(facts, (0.0189, 0.0158, 0.0132, 0.0130, 0.0090, 0.0075)))
    load = daily / ((1.0 - e) * (1.0 + e + e * e))
    return jnp.stack([1.5 * load - 0.5 * daily, load, 0.5 * load + 0.5 * daily])[jnp.clip(day, 0, 2)]


def lenzini_mg(facts: Values, inr: Float[Array, ""], given: Float[Array, " recent"]) -> Float[Array, ""]:
    """Daily maintenance dose, refined on day 4 or 5 (Lenzini P et al. Clin Pharmacol Ther 2010;87:572-578), INR 2.5.

    ``given``: the last doses, newest first. No patient has diabetes or a history of stroke, or takes amiodarone or
    fluvastatin.
    """
    twos = _of_diplotype(facts, (0.0, 1.0, 0.0, 2.0, 1.0, 0.0))
    threes = _of_diplotype(facts, (0.0, 0.0, 1.0, 0.0, 1.0, 2.0))
    log_week = (
        3.10894
        - 0.00767 * facts["age_y"]
        - 0.51611 * jnp.log(jnp.maximum(inr, 0.5))
        - 0.23032 * (2.0 - facts["vkorc1_g_alleles"])
        - 0.14745 * twos
        - 0.30770 * threes
        + 0.24597 * _BSA_M2
        + 0.26729 * 2.5
        + 0.01690 * given[1]
        + 0.02018 * given[2]
        + 0.01065 * given[3]
    )
    return jnp.exp(log_week) / 7.0


def _of_diplotype(facts: Values, values: tuple[float, ...]) -> Array:
    code = facts["cyp2c9"]
    return jnp.select([code == c for c in (11.0, 12.0, 13.0, 22.0, 23.0, 33.0)], [jnp.asarray(v) for v in values], 0.0)


_AURORA_EDGES = (150, 180, 200, 300, 340, 400, 500)
"""In hundredths of the INR."""
_AURORA_BELOW = (300, 500)
"""Limits that belong to the zone below them."""
_AURORA_FACTORS = (1.15, 1.10, 1.075, 1.0, 0.925, 0.9, 0.875, 0.85)


def _aurora(chart: Chart, day: Array, inr: Array, known: Array, wait: int) -> tuple[Array, Chart]:
    """Aurora's dosing table. Above INR 4 up to 5, two doses are skipped; above 5, no dose until the INR is 3 or less.

    An INR above 4 acts on any day, any other only ``wait`` days after the last change.
    """
    zone = _zone(inr, _AURORA_EDGES, _AURORA_BELOW)
    danger = zone >= 6
    acts = known & ~chart.stopped & (chart.days == 0) & ((day >= chart.due) | danger)
    factor = jnp.asarray(_AURORA_FACTORS)[zone]
    dose = jnp.where(acts, chart.dose * factor, chart.dose)
    stopped = (chart.stopped & ~(known & (_hundredths(inr) <= _IN_RANGE[1]))) | (acts & (zone == 7))
    days = jnp.where(acts & (zone == 6), 2, chart.days)
    changed = (acts & (factor != 1.0)) | (chart.stopped & ~stopped)
    due = jnp.where(changed, day + wait + jnp.where(zone == 6, 2, 0), chart.due)
    today = jnp.where(stopped | (days > 0), 0.0, dose)
    return today, chart._replace(
        dose=dose, days=jnp.maximum(days - 1, 0), stopped=stopped, due=due, zone=jnp.where(acts, zone, chart.zone)
    )


_INTERMOUNTAIN_EDGES = (160, 180, 200, 300, 340, 500)
_INTERMOUNTAIN_BELOW = (300,)


def _intermountain(chart: Chart, day: Array, inr: Array, known: Array, wait: int) -> tuple[Array, Chart]:
    """Intermountain's zones (Anderson JL et al. Circulation 2007;116:2563-2570, appendix B of its supplement).

    Below 1.6: a double dose and +10 %. Below 1.8: one and a half doses and +5 %. Below 2, and from 3 to 3.4: +5 and
    -5 % if the INR is there for the second time. Below 5: half a dose (none from 4 on) and -10 %. Above: no dose until
    the INR is below 3.4, then -15 %. An INR of 3.4 or more acts on any day, any other only ``wait`` days after the last
    that acted.
    """
    zone = _zone(inr, _INTERMOUNTAIN_EDGES, _INTERMOUNTAIN_BELOW)
    danger = zone >= 5
    acts = known & ~chart.stopped & (chart.days == 0) & ((day >= chart.due) | danger)
    again = zone == chart.zone
    resumes = chart.stopped & known & (zone <= 4)
    factor = jnp.asarray((1.10, 1.05, 1.0, 1.0, 1.0, 0.90, 1.0))[zone]
    factor = jnp.where((zone == 2) & again, 1.05, jnp.where((zone == 4) & again, 0.95, factor))
    once = jnp.asarray((2.0, 1.5, -1.0, -1.0, -1.0, 0.5, 0.0))[zone]
    once = jnp.where((zone == 5) & (_hundredths(inr) >= 400), 0.0, once)
    stopped = (chart.stopped & ~resumes) | (acts & (zone == 6))
    dose = jnp.where(acts, chart.dose * factor, jnp.where(resumes, 0.85 * chart.dose, chart.dose))
    today = jnp.where(acts & (once >= 0), once * chart.dose, dose)
    due = jnp.where(acts & (zone != 3) | resumes, day + wait, chart.due)
    return jnp.where(stopped, 0.0, today), chart._replace(
        dose=dose, stopped=stopped, due=due, zone=jnp.where(acts | resumes, zone, chart.zone)
    )


def _hundredths(inr: Array) -> Array:
    """An INR to two decimals, as a whole number of hundredths."""
    return jnp.round(100.0 * inr).astype(jnp.int32)


def _zone(inr: Array, edges: tuple[int, ...], below: tuple[int, ...]) -> Array:
    """The zone of an INR, from 0, between limits in hundredths; ``below``: those that belong to the zone below them."""
    rounded = _hundredths(inr)
    above = jnp.stack([rounded > e if e in below else rounded >= e for e in edges])
    return jnp.sum(above, axis=0).astype(int)


def pharmacogenetic_arm(wait: int) -> Protocol:
    """Ravvaz's arm PGPGA: EU-PACT's loading on days 1-3, Lenzini on days 4 and 5, then Aurora's table.

    Args:
        wait: minimum days between two changes of the dose.
    """

    def protocol(facts: Values, chart: Chart, day: Array, inr: Array, known: Array) -> tuple[Array, Chart]:
        on_day_4 = jnp.where(known, lenzini_mg(facts, inr, chart.given), iwpc_mg(facts))
        early = jnp.where(day <= 2, loading_mg(facts, day), jnp.where(day == 3, on_day_4, chart.dose))
        today, later = _aurora(chart, day, inr, known, wait)
        return _until(day < 5, early, today, chart, later)

    return protocol


def aurora_arm(wait: int) -> Protocol:
    """Aurora throughout (Ravvaz's arm AAA): 10 mg below 65 years, else 5, on days 1 and 2, without a genotype.

    On day 3: 5 mg if the INR is 2 or more, else by the table; the same on day 4; from day 5 by the table.
    """

    def protocol(facts: Values, chart: Chart, day: Array, inr: Array, known: Array) -> tuple[Array, Chart]:
        first = jnp.where(facts["age_y"] < 65.0, 10.0, 5.0)
        factor = jnp.asarray(_AURORA_FACTORS)[_zone(inr, _AURORA_EDGES, _AURORA_BELOW)]
        on_day_3 = jnp.where(known & (_hundredths(inr) >= _IN_RANGE[0]), 5.0, first * jnp.where(known, factor, 1.0))
        early = jnp.where(day <= 1, first, jnp.where(day == 2, on_day_3, chart.dose))
        today, later = _aurora(chart, day, inr, known, wait)
        return _until(day < 4, early, today, chart, later)

    return protocol


def intermountain_arm(wait: int) -> Protocol:
    """Ravvaz's arm PGPGI: EU-PACT's loading on days 1-3, Lenzini on days 4 and 5, then Intermountain's zones."""

    def protocol(facts: Values, chart: Chart, day: Array, inr: Array, known: Array) -> tuple[Array, Chart]:
        on_day_4 = jnp.where(known, lenzini_mg(facts, inr, chart.given), iwpc_mg(facts))
        early = jnp.where(day <= 2, loading_mg(facts, day), jnp.where(day == 3, on_day_4, chart.dose))
        today, later = _intermountain(chart, day, inr, known, wait)
        return _until(day < 5, early, today, chart, later)

    return protocol


def _until(starting: Array, early: Array, today: Array, chart: Chart, later: Chart) -> tuple[Array, Chart]:
    """The starting dose and a chart that holds it, or the nomogram's dose and chart."""
    held = chart._replace(dose=early)
    return jnp.where(starting, early, today), jax.tree.map(lambda a, b: jnp.where(starting, a, b), held, later)
