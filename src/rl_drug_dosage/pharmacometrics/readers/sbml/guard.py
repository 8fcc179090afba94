"""What is looked at before an SBML file is handed to libsbml: size, nesting, document types and entities.

libsbml is written in C++ and recurses: a file that is nested a hundred thousand times, or whose entities expand without
end, would end the process instead of raising an error.
"""

import re
from xml.parsers import expat

from rl_drug_dosage.pharmacometrics.readers.expressions import DEEPEST
from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["guard"]

_LONGEST_FORMULA = 20_000
"""Letters of a formula in one attribute, as Level 1 writes them."""
_MOST_CHILDREN = 10_000
"""Elements in one element: libsbml turns a sum of so many terms into as many levels."""
_ENCODING = re.compile(r"""^\s*<\?xml[^>]*encoding\s*=\s*["']([^"']*)""")
_PLAIN_TEXT = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1"})


def guard(path: str, text: str) -> None:
    """Refuse a text that is no XML, or that libsbml should not see.

    Raises:
        ReadError: by line and column.
    """
    if (match := _ENCODING.match(text)) and match[1].lower() not in _PLAIN_TEXT:
        raise refused(path, Place(1, 1), f"encoding {match[1]!r}", "UTF-8, as SBML asks for", "save the file as UTF-8")
    scan = _Scan(path)
    try:
        scan.parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        came = f"no XML: {expat.ErrorString(error.code)}"
        raise refused(path, Place(error.lineno, error.offset + 1), came, "SBML, which is XML", "correct it") from None


class _Scan:
    """Element by element; expat does not recurse."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.children = [0]
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end

    def stop(self, came: str, supported: str, remedy: str) -> ReadError:
        place = Place(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1)
        return refused(self.path, place, came, supported, remedy)

    def doctype(self, *_: object) -> None:
        raise self.stop("a document type", "SBML, which has none", "remove <!DOCTYPE ...>; entities are not expanded")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.children[-1] += 1
        if self.children[-1] > _MOST_CHILDREN:
            raise self.stop(f"more than {_MOST_CHILDREN:,} elements in one", f"up to {_MOST_CHILDREN:,}", "split it")
        depth = len(self.children)
        self.children.append(0)
        if depth == 1 and name.rpartition(":")[2] != "sbml":
            raise self.stop(f"<{name[:40]}>", "<sbml>", "give an SBML file")
        if depth > DEEPEST:
            raise self.stop(f"more than {DEEPEST} levels of elements", f"up to {DEEPEST}", "simplify the formulas")
        formula = attributes.get("formula", "")
        if len(formula) > _LONGEST_FORMULA or _nesting(formula) > DEEPEST:
            came = f"a formula of {len(formula):,} letters and {_nesting(formula)} brackets in each other"
            raise self.stop(came, f"up to {_LONGEST_FORMULA:,} and {DEEPEST}", "split it into rules")

    def end(self, _: str) -> None:
        self.children.pop()


def _nesting(formula: str) -> int:
    depth = deepest = 0
    for letter in formula:
        depth += (letter == "(") - (letter == ")")
        deepest = max(deepest, depth)
    return deepest
