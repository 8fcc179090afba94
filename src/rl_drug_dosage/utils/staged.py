"""A function in stages: what depends on early arguments only is computed once for many values of the later ones."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core
from jaxtyping import Array

__all__ = ["Staged"]


class Staged:
    """The operations of a function, divided by the last argument that they depend on.

    Args:
        f: function of arrays.
        args: one example for each argument, a pytree; the earliest first.
    """

    def __init__(self, f: Callable[..., Sequence[Array]], *args: Any) -> None:
        closed = jax.make_jaxpr(f)(*args)
        self.jaxpr, self.consts = closed.jaxpr, closed.consts
        counts = [len(jax.tree.leaves(arg)) for arg in args]
        stages = [stage for stage, count in enumerate(counts) for _ in range(count)]
        self.inputs = [
            [v for v, own in zip(self.jaxpr.invars, stages, strict=True) if own == stage] for stage in range(len(args))
        ]
        level: dict[Any, int] = dict(zip(self.jaxpr.invars, stages, strict=True)) | dict.fromkeys(
            self.jaxpr.constvars, 0
        )
        self.steps: list[list[Any]] = [[] for _ in args]
        for equation in self.jaxpr.eqns:
            own = max((level[v] for v in equation.invars if not isinstance(v, core.Literal)), default=0)
            self.steps[own].append(equation)
            level |= dict.fromkeys(equation.outvars, own)
        read = [
            {v for e in self.steps[stage] for v in e.invars if not isinstance(v, core.Literal)}
            for stage in range(len(args))
        ]
        read[-1] |= {v for v in self.jaxpr.outvars if not isinstance(v, core.Literal)}
        self.kept = [
            [v for v, own in level.items() if own == stage and any(v in later for later in read[stage + 1 :])]
            for stage in range(len(args))
        ]
        """Of each stage: what later ones need."""

    def stage(self, at: int, earlier: Sequence[Sequence[Array]], arg: Any) -> list[Array]:
        """The results of a stage; those of the last one are the function's.

        Args:
            at: which, from 0.
            earlier: results of all stages before it.
            arg: the argument of the stage.
        """
        known: dict[Any, Any] = dict(zip(self.jaxpr.constvars, self.consts, strict=True))
        for names, values in zip(self.kept, earlier, strict=False):
            known.update(zip(names, values, strict=True))
        known.update(zip(self.inputs[at], jax.tree.leaves(arg), strict=True))

        def value(v: Any) -> Any:
            return v.val if isinstance(v, core.Literal) else known[v]

        for equation in self.steps[at]:
            found = equation.primitive.bind(*(value(v) for v in equation.invars), **equation.params)
            known.update(zip(equation.outvars, found if equation.primitive.multiple_results else [found], strict=True))
        return [value(v) for v in (self.jaxpr.outvars if at == len(self.steps) - 1 else self.kept[at])]
