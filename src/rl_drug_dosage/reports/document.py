"""The frame of a report: one HTML file that needs no network, with its content security policy."""

import base64
import hashlib
from importlib.resources import files

from rl_drug_dosage.reports.markup import Html, el, void

__all__ = ["asset", "document", "picture"]


def asset(name: str) -> Html:
    """A file of the package, unchanged."""
    return Html((files("rl_drug_dosage.reports") / name).read_text(encoding="utf-8"))


def document(title: str, body: Html, *, script: str = "", style: str = "") -> str:
    """A complete HTML document that allows only its own style sheet and script, and no network request.

    Args:
        title: of the window.
        body: the element.
        script: the script that the body holds; empty: none is allowed.
        style: rules after those of every report.
    """
    rules = Html(asset("report.css") + style)
    scripts = f" script-src {_hash(script)};" if script else ""
    policy = f"default-src 'none'; style-src {_hash(rules)};{scripts} img-src data:; base-uri 'none'"
    head = el(
        "head",
        void("meta", charset="utf-8"),
        void("meta", http_equiv="Content-Security-Policy", content=f"{policy}; form-action 'none'"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        void("link", rel="icon", href="data:,"),
        el("title", title),
        el("style", rules),
    )
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def picture(png: bytes, description: str) -> Html:
    """A picture inside the document.

    Args:
        png: its bytes.
        description: for readers who do not see it.
    """
    return void("img", src=f"data:image/png;base64,{base64.b64encode(png).decode()}", alt=description)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
