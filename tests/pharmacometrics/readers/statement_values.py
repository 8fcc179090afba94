"""What a written model computes, statement by statement; shared by the tests of several readers."""

from collections.abc import Mapping

import jax

from rl_drug_dosage.pharmacometrics.readers.expressions import evaluate
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel

__all__ = ["computed"]


def computed(written: WrittenModel, inputs: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """(target, kind) -> value of every statement in turn, and of every output.

    Args:
        written: of a reader.
        inputs: covariates, random effects, contents of compartments and ``t``.
    """
    values = {number.name: number.value for number in written.thetas} | dict(inputs)
    found = {}
    with jax.enable_x64(True):
        for each in written.statements:
            known = values | {f"_{kind}_{target}": value for (target, kind), value in found.items()}
            found[each.target, each.kind] = float(evaluate(each.expr, known))
            if each.kind == "value":
                values[each.target] = found[each.target, each.kind]
        for output in written.outputs:
            found[output.name, "output"] = float(evaluate(output.expr, values))
    return found
