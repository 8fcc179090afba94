"""Whether the first compartment of a file can be the one that doses enter, where nothing says which one it is."""

import re

from rl_drug_dosage.pharmacometrics.readers.bridge.said import Said
from rl_drug_dosage.pharmacometrics.readers.expressions import names_in
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel

__all__ = ["ask_for_compartment"]

_DOSED = re.compile(r"(depot|central|centr|cent|gut|abs|absorption|dose)\d*", re.IGNORECASE)
"""What compartments are called that doses enter."""


def ask_for_compartment(said: Said) -> None:
    """Ask for the compartment of doses that name none, where the first one is doubtful.

    It is if nothing that is predicted depends on it, or if it has another name and a later one has such a name.
    """
    written, names = said.written, said.written.compartments
    if said.sidecar.compartment or said.sidecar.dosing or written.dosed or len(names) < 2:
        return
    named = [name for name in names if _DOSED.fullmatch(name)]
    if (named and names[0] not in named) or not _reaches(written, names[0]):
        likely = ", ".join(named or names)
        said.want("", "compartment", f"that doses enter: {likely}; the first one is {names[0]}")


def _reaches(written: WrittenModel, compartment: str) -> bool:
    """Whether an output depends on what enters a compartment."""
    moved: set[str] = {compartment}
    reads = [(s.target, names_in(s.expr)) for s in written.statements if s.kind in {"value", "derivative"}]
    while new := {target for target, read in reads if target not in moved and not moved.isdisjoint(read)}:
        moved |= new
    return any(not moved.isdisjoint(names_in(output.expr)) for output in written.outputs)
