"""Builds HTML that is always escaped: text becomes markup only through `el`."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rl_drug_dosage.utils.printable import printable

__all__ = [
    "Cell",
    "Html",
    "classes",
    "definitions",
    "details",
    "el",
    "join",
    "paragraph",
    "scroller",
    "section",
    "table",
    "void",
]


class Html(str):
    """Finished markup. Any other string is escaped when it becomes a child or an attribute."""

    __slots__ = ()


Child = str | None | Iterable["Child"]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return html.escape(printable(child, keep="\n\t"), quote=False)
    return "".join(_text(part) for part in child)


def join(*children: Child) -> Html:
    """Concatenated children."""
    return Html(_text(children))


def _open(name: str, attributes: dict[str, str | bool | None]) -> str:
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        # class_ and for_ are Python keywords plus an underscore; data_policy becomes data-policy.
        written = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(written):
            raise ValueError(f"{key!r} is not the name of an attribute")
        parts.append(written if value is True else f'{written}="{html.escape(printable(str(value), keep="\n\t"))}"')
    return " ".join(parts)


def el(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """An element. Attributes that are None or False are omitted."""
    return Html(f"<{_open(name, attributes)}>{_text(children)}</{name}>")


def void(name: str, /, **attributes: str | bool | None) -> Html:
    """An element without an end tag, such as ``input``."""
    return Html(f"<{_open(name, attributes)}>")


def classes(*names: str | None) -> str | None:
    """A class attribute."""
    return " ".join(n for n in names if n) or None


def paragraph(*children: Child, class_: str | None = None) -> Html:
    """One."""
    return el("p", *children, class_=class_)


def section(anchor: str, title: str, *children: Child) -> Html:
    """A section of the report, with a heading and an anchor for the table of contents."""
    return el("section", el("h2", title, id=f"{anchor}-title"), *children, id=anchor, aria_labelledby=f"{anchor}-title")


def definitions(pairs: Iterable[tuple[Child, Child]], class_: str | None = None) -> Html:
    """A definition list; pairs without a value are omitted."""
    rows = [el("div", el("dt", term), el("dd", value)) for term, value in pairs if value not in {None, ""}]
    return el("dl", rows, class_=class_)


def details(summary: Child, *children: Child, **attributes: str | bool | None) -> Html:
    """A collapsed block that the reader can open."""
    return el("details", el("summary", summary), *children, **attributes)


def scroller(label: str, content: Child) -> Html:
    """A box that scrolls horizontally. It can take the focus, so the keyboard can scroll it too."""
    return el("div", content, class_="scroll", role="region", aria_label=label, tabindex="0")


@dataclass(frozen=True)
class Cell:
    """A table cell.

    Args:
        content: content of the cell.
        head: whether it is the row heading.
        class_: class of the cell.
    """

    content: Child
    head: bool = False
    class_: str | None = None


def _cell(cell: Cell | str) -> Html:
    if not isinstance(cell, Cell):
        return el("td", cell)
    if cell.head:
        return el("th", cell.content, scope="row", class_=cell.class_)
    return el("td", cell.content, class_=cell.class_)


def table(
    caption: Child,
    columns: Sequence[str],
    rows: Iterable[tuple[Sequence[Cell | str], str | None]],
    *,
    groups: Sequence[tuple[str, int]] = (),
    label: str,
    class_: str | None = None,
) -> Html:
    """A table in a scrolling box.

    Args:
        caption: caption of the table.
        columns: column headings.
        rows: cells and class of each row.
        groups: (heading, number of columns) above the column headings; may be empty text.
        label: accessible name of the box, for screen readers.
        class_: class of the table.
    """
    over = [
        el("th", name, scope="colgroup", colspan=str(span)) if name else el("td", colspan=str(span))
        for name, span in groups
    ]
    head = el(
        "thead",
        el("tr", over, class_="over") if over else None,
        el("tr", [el("th", name, scope="col") for name in columns]),
    )
    body = el("tbody", [el("tr", [_cell(cell) for cell in cells], class_=kind) for cells, kind in rows])
    return scroller(f"Table: {label}", el("table", el("caption", el("span", caption)), head, body, class_=class_))
