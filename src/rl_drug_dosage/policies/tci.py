"""Target-controlled infusion of propofol to the effect site, as in anaesthesia pumps, with closed-loop BIS control.

The pump simulates a typical patient of the same age, sex and size with the controller's model. Each interval it gives
the highest rate after which the effect site, with the pump then off, does not rise above the target (Shafer SL, Gregg
KM. J Pharmacokinet Biopharm 1992;20:147-169). This is checked at the ends of the intervals; between them the effect
site may peak up to 1 % higher. The target is the concentration C at which that patient has the wanted BIS, times a
sensitivity s. It is updated by the surprise, the measured BIS minus the BIS expected at concentration / s:

    ln s <- ln s + slow surprise / 50,   target = s C exp(fast surprise / 50)

The gains `slow` and `fast` and the wanted BIS are tuned; with both gains 0 the loop is open.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.clinic.belief import Player
from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.interval import dose_mg
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.propagators import row_of
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["POLICY", "Tci"]

_AHEAD_H = 0.25
"""Period in which the effect-site peak is searched; that of propofol occurs within minutes."""
_HIGHEST = 30.0
"""Upper limit of the target, mg/L."""
_COUNT = 128


class _Memory(NamedTuple):
    contents: Array
    """Amounts in the typical patient at the previous decision."""
    log_sensitivity: Array


class Tci(Policy):
    """The memory holds the typical patient's contents and ln s; the parameters are the gains."""

    scenario: Scenario = eqx.field(static=True)
    model: DrugModel = eqx.field(static=True)
    wanted: Float[Array, ""]
    slow: Float[Array, ""]
    fast: Float[Array, ""]

    def init(self, record: Record, truth: Truth | None = None) -> _Memory:
        return _Memory(self._player(record).initial(), jnp.zeros(()))

    def act(self, memory: _Memory, observation: Record, key: PRNGKeyArray | None) -> tuple[Array, _Memory]:
        record, scenario = observation, self.scenario
        player = self._player(record)
        effect = self.model.structure.compartments.index("effect")
        last = jnp.maximum(record.k - 1, 0)
        slot = scenario.schedule.output_times_h.index(scenario.monitoring.at_h[-1])
        out, _ = player.interval(memory.contents, record.dose[last], last, jnp.zeros(()))
        begun = record.k > 0
        contents = jnp.where(begun, out.contents, memory.contents)
        expected = self._bis(player, out.at_times[slot, effect] * jnp.exp(-memory.log_sensitivity))
        known = begun & record.known[last, -1]
        surprise = jnp.where(known, (record.level[last, -1] - expected) / 50.0, 0.0)
        log_sensitivity = memory.log_sensitivity + self.slow * surprise
        target = self._concentration(player) * jnp.exp(log_sensitivity + self.fast * surprise)
        rate = self._rate(player, contents, effect, jnp.minimum(target, _HIGHEST), record)
        return snap(scenario, rate), _Memory(contents, log_sensitivity)

    def _player(self, record: Record) -> Player:
        typical = jnp.zeros(len(self.model.etas))
        return Player(self.model, self.scenario, record.covariates, typical, None, area=False)

    def _bis(self, player: Player, concentration: Array) -> Array:
        """BIS of the typical patient at an effect-site concentration."""
        at = self.model.output_index(self.scenario.monitoring.output)
        p = row_of(player.parameters(jnp.zeros((), jnp.int32)), 0)
        return jnp.asarray(self.model.outputs[at].value({"effect": concentration}, p), dtype=float)

    def _concentration(self, player: Player) -> Array:
        """Effect-site concentration at which the typical patient has the wanted BIS, by bisection."""

        def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            middle = 0.5 * (low + high)
            light = self._bis(player, middle) > self.wanted
            return jnp.where(light, middle, low), jnp.where(light, high, middle)

        low, high = jax.lax.fori_loop(0, 24, halve, (jnp.zeros(()), jnp.asarray(_HIGHEST)))
        return 0.5 * (low + high)

    def _rate(self, player: Player, contents: Array, effect: int, target: Array, record: Record) -> Array:
        """The highest amount whose effect-site peak does not exceed the target; contents are affine in the amount."""
        scenario = self.scenario
        steps = max(2, round(_AHEAD_H / scenario.schedule.interval_h))
        unit = dose_mg(scenario, jnp.ones(()), record.facts())
        assert player.own is not None
        keep, gain = player.own.keep[-1], player.own.gain[-1] * unit

        def step(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
            without, more = carry
            return (keep @ without, keep @ more), (without[effect], more[effect])

        _, (without, more) = jax.lax.scan(step, (keep @ contents, gain), None, length=steps)
        room = (target - without) / jnp.maximum(more, 1e-9)
        return jnp.clip(jnp.min(room), scenario.dosage.amounts[0], scenario.dosage.amounts[-1])


def _refuses(scenario: Scenario) -> str:
    if scenario.doses("propofol") and scenario.monitoring.output == "bis":
        return ""
    return "effect-site target-controlled infusion: only for propofol scenarios with BIS"


def build(setting: Setting) -> Tci:
    """Untuned: BIS at the goal's aim, ``slow`` 0.05, ``fast`` 0."""
    aim = float(setting.scenario.edges()[2][-1, 0])
    return Tci(setting.scenario, setting.controller, *(jnp.asarray(v, dtype=float) for v in (aim, 0.05, 0.0)))


def candidates(setting: Setting, rng: np.random.Generator) -> Tci:
    """128 draws: the wanted BIS within 4 of the aim, gains over two decades or 0; the one of `build` first."""
    aim = float(setting.scenario.edges()[2][-1, 0])
    wanted = rng.uniform(aim - 4.0, aim + 4.0, _COUNT)
    slow, fast = 10.0 ** rng.uniform(-2.0, 0.0, _COUNT), 10.0 ** rng.uniform(-2.0, 0.3, _COUNT)
    slow[rng.random(_COUNT) < 0.1] = 0.0
    fast[rng.random(_COUNT) < 0.3] = 0.0
    wanted[0], slow[0], fast[0] = aim, 0.05, 0.0
    columns = (wanted, slow, fast)
    return Tci(setting.scenario, setting.controller, *(jnp.asarray(c, dtype=float) for c in columns))


POLICY = PolicyDefinition(
    title="target-controlled infusion of propofol, its target moved by BIS",
    build=build,
    candidates=candidates,
    refuses=_refuses,
)
