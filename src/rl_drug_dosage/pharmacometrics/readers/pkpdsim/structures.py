"""Equations of the structures that PKPDsim knows by name, for files that give no equations."""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

__all__ = ["ode_code_of"]

_STRUCTURE = re.compile(r"([123])cmt_(iv|oral)")


def ode_code_of(structure: str, names: AbstractSet[str]) -> tuple[str, str]:
    """The statements of a named structure, or what it lacks; one of them is empty.

    Args:
        structure: ``"1cmt_iv"`` to ``"3cmt_oral"``.
        names: parameters and variables of the model: ``CL``, or ``CLi`` where the code computes it.
    """
    match = _STRUCTURE.fullmatch(structure)
    if match is None:
        return "", f"the structure {structure!r} has no equations" if structure else "no structure is named"
    size, oral = int(match[1]), match[2] == "oral"
    wanted = ["CL", "V", "Q", "V2", "Q2", "V3"][: 2 * size] + (["KA"] if oral else [])
    found = {each: _spelt(each, names) for each in wanted}
    if missing := [each for each in wanted if not found[each]]:
        return "", f"{structure} needs {', '.join(missing)}"
    return "\n".join(_equations(size, oral, found)), ""


def _spelt(name: str, names: AbstractSet[str]) -> str:
    """The individual value, where the code computes one."""
    return next((each for each in (f"{name}i", name) if each in names), "")


def _equations(size: int, oral: bool, p: dict[str, str]) -> Iterable[str]:
    first = int(oral)
    central = f"A[{first}]"
    into = f"-({p['CL']}/{p['V']})*{central}"
    if oral:
        yield f"dAdt[0] = -{p['KA']}*A[0]"
        into += f" + {p['KA']}*A[0]"
    sides = []
    for n, (flow, volume) in enumerate((("Q", "V2"), ("Q2", "V3"))[: size - 1], start=1):
        exchange = f"({p[flow]}/{p['V']})*{central} - ({p[flow]}/{p[volume]})*A[{first + n}]"
        into += f" - ({exchange})"
        sides.append(f"dAdt[{first + n}] = {exchange}")
    yield f"dAdt[{first}] = {into}"
    yield from sides
