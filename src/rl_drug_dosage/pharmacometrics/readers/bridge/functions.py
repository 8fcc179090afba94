"""``parameters`` and ``finish`` of a bridged model: what is computed before the random effects, and after them."""

from collections.abc import Mapping, Sequence

from rl_drug_dosage.pharmacometrics.readers.bridge.callables import Individual, Pairs, Typical
from rl_drug_dosage.pharmacometrics.readers.bridge.draft import Draft
from rl_drug_dosage.pharmacometrics.readers.bridge.effects import Effect
from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Program, Steps
from rl_drug_dosage.pharmacometrics.readers.expressions import names_in
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel

__all__ = ["functions_of"]


def functions_of(
    draft: Draft,
    written: WrittenModel,
    effects: Sequence[Effect],
    zero: frozenset[str],
    fixed: Sequence[str],
    covariate_names: Mapping[str, str],
) -> tuple[Typical, Individual, frozenset[str]]:
    """``parameters``, ``finish``, and the names of everything that they read.

    Args:
        draft: what is wanted.
        written: what the file says.
        effects: all random effects.
        zero: those whose variance is 0.
        fixed: variables that carry a random effect in a form of the engine.
        covariate_names: name in the file -> name in the engine.
    """

    def pairs(reads: frozenset[str] | set[str]) -> Pairs:
        return tuple((name, own) for name, own in covariate_names.items() if name in reads)

    every = Steps(tuple(draft.steps), {}, {}, frozenset())
    etas = frozenset(e.eta for e in effects)
    needed = every.needed(draft.keys)
    # What comes before the random effects, and what may get one in a training population.
    tainted = set(etas)
    for step in needed:
        if names_in(step.expr) & tainted:
            tainted.add(step.name)
    thetas = {n.name for n in written.thetas}
    of_thetas = set(thetas)
    for step in needed:
        if names_in(step.expr) & of_thetas:
            of_thetas.add(step.name)
    plain = [
        s.name
        for s in needed
        if s.name not in tainted and s.name in of_thetas and "@" not in s.name and not s.name.startswith("_")
    ]
    first = tuple(dict.fromkeys((*fixed, *plain)))
    before = Program([(s.name, s.expr) for s in every.needed(first)])
    after = Program([(s.name, s.expr) for s in every.needed(draft.keys, known=frozenset(first))])
    reads = after.reads() | {name for name in draft.keys if name not in {s.name for s in needed}}
    inside = tuple(e.eta for e in effects if not e.is_helper or e.eta in zero)
    helpers = tuple(e.eta for e in effects if e.is_helper and e.eta not in zero and e.eta in (reads | before.reads()))
    passed = tuple(n.name for n in written.thetas if n.name in reads)
    typical = Typical(before, tuple(e.eta for e in effects), first, helpers, passed, pairs(before.reads()))
    own = tuple(name for name in first if name in reads or name in draft.keys)
    individual = Individual(
        after,
        tuple(name for name in inside if name in reads),
        helpers,
        passed,
        own,
        pairs(reads),
        tuple(draft.keys.items()),
    )
    return typical, individual, frozenset(reads | before.reads())
