"""Text from files and names, as it may be shown: no control characters, and not without end.

A terminal obeys escape sequences, also those in a patient's name or a model's record, and some Unicode characters turn
the direction of what follows. Whatever is printed goes through here.
"""

import unicodedata
from typing import Any

__all__ = ["excerpt", "printable", "say"]

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode's categories of control and format characters, halves of pairs, private ones, and separators of lines."""


def printable(text: str, *, keep: str = "\n") -> str:
    r"""The text with every character that controls a terminal, or is not seen, written as ``\x1b`` or ``\u202e``.

    Args:
        text: of any origin.
        keep: characters that stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or unicodedata.category(c) not in _UNSEEN else _written(c) for c in text)


def _written(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def excerpt(text: str, most: int) -> str:
    """The text, its middle left out where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} [{len(text) - 2 * half:,} characters left out] {text[-half:]}"


def say(text: Any, **style: Any) -> None:
    """Print a line of a command's answer; ``style`` is that of ``typer.secho``."""
    import typer

    typer.secho(printable(str(text)), **style)
