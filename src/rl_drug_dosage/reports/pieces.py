"""Elements used in several sections: figures, small multiples, names of policies."""

from collections.abc import Iterable

from rl_drug_dosage.reports.markup import Child, Html, el
from rl_drug_dosage.reports.view import View

__all__ = ["figure", "key", "name_cell", "panels"]


def name_cell(view: View, name: str) -> Html:
    """A policy's name with a note: reference, oracle or shield."""
    tag = view.tag(name)
    return el(
        "span",
        el("span", name, class_="name"),
        el("span", tag, class_="tag") if tag else None,
        class_=f"who {view.style(name)}",
    )


def figure(caption: Child, *content: Child, policy: str | None = None, class_: str | None = None) -> Html:
    """A figure with its caption; with ``policy`` the reader can hide it."""
    return el("figure", el("figcaption", caption), *content, data_policy=policy, class_=class_)


def panels(figures: Iterable[Html]) -> Html:
    """A grid of small figures."""
    return el("div", *figures, class_="panels")


def key(view: View) -> Html:
    """The common legend of all figures: colour and shape of every policy."""
    return el("ul", [el("li", name_cell(view, name)) for name in view.names], class_="legend policies")
