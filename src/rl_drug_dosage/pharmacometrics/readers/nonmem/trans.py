"""TRANS of NONMEM's linear ADVANs: rate constants from clearances, volumes or exponents."""

from collections.abc import Callable

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, call

__all__ = ["TRANS", "Flow"]

type Flow = tuple[int, int, Expr]
"""From compartment, to compartment (0: out of the body), rate constant."""
type Make = Callable[[Callable[[str], Expr], int], list[Flow]]


def _rates(p: Callable[[str], Expr], c: int) -> list[Flow]:
    return [(c, 0, p("K"))]


def _clearance(p: Callable[[str], Expr], c: int) -> list[Flow]:
    return [(c, 0, call("/", p("CL"), p("V")))]


def _rates_of(peripherals: int) -> Make:
    def make(p: Callable[[str], Expr], c: int) -> list[Flow]:
        flows: list[Flow] = [(c, 0, p("K"))]
        for n in range(c + 1, c + peripherals + 1):
            flows += [(c, n, p(f"K{c}{n}")), (n, c, p(f"K{n}{c}"))]
        return flows

    return make


def _clearances_of(peripherals: int) -> Make:
    def make(p: Callable[[str], Expr], c: int) -> list[Flow]:
        flows: list[Flow] = [(c, 0, call("/", p("CL"), p(f"V{c}")))]
        for n in range(c + 1, c + peripherals + 1):
            # With one peripheral compartment there is one Q; with two they are numbered.
            q = p("Q" if peripherals == 1 else f"Q{n}")
            flows += [(c, n, call("/", q, p(f"V{c}"))), (n, c, call("/", q, p(f"V{n}")))]
        return flows

    return make


def _steady_volume(p: Callable[[str], Expr], c: int) -> list[Flow]:
    v, q = p("V"), p("Q")
    return [
        (c, 0, call("/", p("CL"), v)),
        (c, c + 1, call("/", q, v)),
        (c + 1, c, call("/", q, call("-", p("VSS"), v))),
    ]


def _from_exponents(k21: Expr, p: Callable[[str], Expr], c: int) -> list[Flow]:
    alpha, beta = p("ALPHA"), p("BETA")
    k = call("/", call("*", alpha, beta), k21)
    k12 = call("-", call("-", call("+", alpha, beta), k21), k)
    return [(c, 0, k), (c, c + 1, k12), (c + 1, c, k21)]


def _ratio_of_exponents(p: Callable[[str], Expr], c: int) -> list[Flow]:
    aob = p("AOB")
    k21 = call("/", call("+", call("*", aob, p("BETA")), p("ALPHA")), call("+", aob, 1.0))
    return _from_exponents(k21, p, c)


def _exponents(p: Callable[[str], Expr], c: int) -> list[Flow]:
    return _from_exponents(p(f"K{c + 1}{c}"), p, c)


def _three_exponents(p: Callable[[str], Expr], c: int) -> list[Flow]:
    a, b, g = p("ALPHA"), p("BETA"), p("GAMMA")
    k21, k31 = p(f"K{c + 1}{c}"), p(f"K{c + 2}{c}")
    k = call("/", call("*", call("*", a, b), g), call("*", k21, k31))
    pairs = call("+", call("+", call("*", a, b), call("*", a, g)), call("*", b, g))
    total = call("+", call("+", a, b), g)
    k13 = _k13(pairs, total, k, k21, k31)
    k12 = call("-", call("-", call("-", call("-", total, k), k13), k21), k31)
    return [(c, 0, k), (c, c + 1, k12), (c + 1, c, k21), (c, c + 2, k13), (c + 2, c, k31)]


def _k13(pairs: Expr, total: Expr, k: Expr, k21: Expr, k31: Expr) -> Expr:
    """From the sum and the sum of products of the exponents.

    sum = k + k12 + k13 + k21 + k31, products = k (k21 + k31) + k12 k31 + k13 k21 + k21 k31.
    """
    rest = call("-", call("-", call("-", total, k), k21), k31)
    known = call("+", call("+", call("*", k, call("+", k21, k31)), call("*", k21, k31)), call("*", rest, k31))
    return call("/", call("-", pairs, known), call("-", k21, k31))


TRANS: dict[tuple[int, int], Make] = {
    (0, 1): _rates,
    (0, 2): _clearance,
    (1, 1): _rates_of(1),
    (1, 3): _steady_volume,
    (1, 4): _clearances_of(1),
    (1, 5): _ratio_of_exponents,
    (1, 6): _exponents,
    (2, 1): _rates_of(2),
    (2, 4): _clearances_of(2),
    (2, 6): _three_exponents,
}
"""(Number of peripheral compartments, TRANS) -> flows, from the parameters and the number of the central one."""
