"""R source text as a tree. It is parsed, never evaluated.

Operators of one level are ordered with a stack, so that only brackets, blocks, `if` and `function` nest calls of this
parser; both they and the tree's depth are limited to `DEEPEST`.
"""

from rl_drug_dosage.pharmacometrics.readers.expressions import DEEPEST
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_operators import BINARY, PREFIX, SPELLED, Operator
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source, Token, tokens_of
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["parse"]


_WORDS = frozenset({"if", "else", "for", "while", "repeat", "function", "in"})


def parse(source: Source, start: tuple[int, int] = (1, 1)) -> tuple[Node, Source]:
    """The file as one block, and the source with its comments.

    Raises:
        ReadError: it is not R code, or deeper than `DEEPEST`.
    """
    tokens, commented = tokens_of(source, start)
    return _Parser(commented, tokens).file(), commented


class _Parser:
    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    def file(self) -> Node:
        first = self.tokens[0]
        statements = self._statements("end", first)
        return self._node("block", "", statements, first)

    def _peek(self) -> Token:
        return self.tokens[self.at]

    def _next(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def _is(self, *texts: str) -> bool:
        token = self._peek()
        return token.kind == "operator" and token.text in texts

    def _skip_lines(self) -> None:
        while self._peek().kind == "newline":
            self.at += 1

    def _refused(self, token: Token, what: str) -> ReadError:
        came = "the end of the file" if token.kind == "end" else repr(token.text)
        return self.source.refused(
            (token.line, token.column), f"{came} cannot stand here, {what}", "the file must be R code"
        )

    def _node(
        self, kind: str, text: str, args: tuple[Node, ...], first: "Token | Node", names: tuple[str, ...] = ()
    ) -> Node:
        depth = 1 + max((arg.depth for arg in args), default=0)
        if depth > DEEPEST:
            raise self._too_deep((first.line, first.column))
        end = max(self.tokens[max(self.at - 1, 0)].line, first.line)
        return Node(kind, text, args, names or ("",) * len(args), first.line, first.column, end, depth)

    def _too_deep(self, place: tuple[int, int]) -> ReadError:
        return self.source.refused(
            place,
            f"more than {DEEPEST} levels of nesting",
            f"at most {DEEPEST} are read; give parts of it names of their own",
        )

    def _statements(self, closing: str, first: Token) -> tuple[Node, ...]:
        """Up to ``}`` or the end of the file."""
        out: list[Node] = []
        while True:
            while self._peek().kind == "newline" or self._is(";"):
                self.at += 1
            token = self._peek()
            if token.kind == "end":
                if closing != "end":
                    raise self.source.refused(
                        (first.line, first.column), "the '{' is never closed", "close it with '}'"
                    )
                return tuple(out)
            if closing == "}" and self._is("}"):
                self.at += 1
                return tuple(out)
            out.append(self._expression(in_brackets=False))
            token = self._peek()
            if not (token.kind in {"newline", "end"} or self._is(";") or (closing == "}" and self._is("}"))):
                raise self._refused(token, "after the end of an expression")

    def _expression(self, *, in_brackets: bool) -> Node:
        """Up to where no operator follows; inside brackets a line break is a space."""
        self.depth += 1
        if self.depth > DEEPEST:
            token = self._peek()
            raise self._too_deep((token.line, token.column))
        operands: list[Node] = []
        waiting: list[tuple[Token, int, bool]] = []
        while True:
            self._skip_lines()
            while self._is(*PREFIX):
                token = self._next()
                waiting.append((token, PREFIX[token.text], True))
                self._skip_lines()
            operands.append(self._postfix(self._operand(), in_brackets=in_brackets))
            if in_brackets:
                self._skip_lines()
            token = self._peek()
            operator = self._operator(token)
            if operator is None:
                break
            self.at += 1
            self._reduce(operands, waiting, operator)
            waiting.append((token, operator.order, False))
        self._reduce(operands, waiting, Operator(0))
        self.depth -= 1
        return operands[0]

    def _operator(self, token: Token) -> Operator | None:
        if token.kind != "operator":
            return None
        return Operator(12) if token.text.startswith("%") else BINARY.get(token.text)

    def _reduce(self, operands: list[Node], waiting: list[tuple[Token, int, bool]], operator: Operator) -> None:
        while waiting:
            token, order, is_prefix = waiting[-1]
            if order < operator.order or (order == operator.order and operator.is_right and not is_prefix):
                return
            waiting.pop()
            right = operands.pop()
            text = SPELLED.get(token.text, token.text)
            if is_prefix:
                operands.append(self._node("call", text, (right,), token))
                continue
            left = operands.pop()
            if text in {"->", "->>"}:
                text, left, right = "<-", right, left
            if text in {"::", ":::"}:  # `rxode2::rxode2` is `rxode2`
                operands.append(right)
            else:
                operands.append(self._node("call", text, (left, right), left if left.place < right.place else right))

    def _operand(self) -> Node:
        token = self._next()
        if token.kind in {"number", "string"}:
            return self._node(token.kind, token.text, (), token)
        if token.kind == "name":
            special = {"if": self._if, "function": self._function}.get(token.text, self._loop)
            return special(token) if token.text in _WORDS else self._node("name", token.text, (), token)
        if token.kind == "operator" and token.text == "(":
            inner = self._expression(in_brackets=True)
            self._close(")", token)
            return inner
        if token.kind == "operator" and token.text == "{":
            self.depth += 1
            statements = self._statements("}", token)
            self.depth -= 1
            return self._node("block", "", statements, token)
        if token.kind == "operator" and token.text == "\\" and self._is("("):
            return self._function(token)
        raise self._refused(token, "where a value is expected")

    def _close(self, closing: str, opened: Token) -> None:
        self._skip_lines()
        if self._is(closing):
            self.at += 1
            return
        token = self._peek()
        if token.kind == "end":
            raise self.source.refused(
                (opened.line, opened.column), f"the {opened.text!r} is never closed", f"close it with {closing!r}"
            )
        raise self._refused(token, f"where {closing!r} is expected")

    def _postfix(self, node: Node, *, in_brackets: bool) -> Node:
        """Calls and indices that follow; inside brackets a line break may stand before them."""
        while True:
            before = self.at
            if in_brackets:
                self._skip_lines()
            if not self._is("(", "[", "[["):
                self.at = before
                return node
            opened = self._next()
            double = opened.text == "[["
            args, names = self._arguments({"(": ")", "[": "]", "[[": "]"}[opened.text], opened)
            if double:
                self._close("]", opened)
            if opened.text == "(" and node.kind in {"name", "string"}:
                node = self._node("call", node.text, args, node, names)
            else:
                text = "" if opened.text == "(" else "["
                node = self._node("apply", text, (node, *args), node, ("", *names))

    def _arguments(self, closing: str, opened: Token) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        args: list[Node] = []
        names: list[str] = []
        while True:
            self._skip_lines()
            if self._is(closing):
                self.at += 1
                return tuple(args), tuple(names)
            if self._is(","):  # an argument left empty: x[, 1]
                args.append(self._node("missing", "", (), self._next()))
                names.append("")
                continue
            name = self._argument_name()
            self._skip_lines()
            names.append(name)
            empty = self._is(",", closing)
            args.append(self._node("missing", "", (), self._peek()) if empty else self._expression(in_brackets=True))
            self._skip_lines()
            if self._is(","):
                self.at += 1
            elif not self._is(closing):
                token = self._peek()
                if token.kind == "end":
                    raise self.source.refused(
                        (opened.line, opened.column),
                        f"the {opened.text!r} is never closed",
                        f"close it with {closing!r}",
                    )
                raise self._refused(token, f"where ',' or {closing!r} is expected")

    def _argument_name(self) -> str:
        """The ``name`` of ``name = value``; empty if there is none."""
        token = self._peek()
        if token.kind not in {"name", "string"}:
            return ""
        after = self.at + 1
        while self.tokens[after].kind == "newline":
            after += 1
        follows = self.tokens[after]
        if follows.kind == "operator" and follows.text == "=":
            self.at = after + 1
            return token.text
        return ""

    def _loop(self, token: Token) -> Node:
        """`for`, `while` or `repeat`."""
        if token.text == "repeat":
            return self._node("call", "repeat", (self._expression(in_brackets=False),), token)
        if token.text in {"for", "while"}:
            opened = self._opened(token)
            parts = [self._expression(in_brackets=True)]
            self._skip_lines()
            if token.text == "for" and self._peek().text == "in":
                self.at += 1
                parts.append(self._expression(in_brackets=True))
            self._close(")", opened)
            return self._node("call", token.text, (*parts, self._expression(in_brackets=False)), token)
        raise self._refused(token, "where a value is expected")

    def _opened(self, token: Token) -> Token:
        self._skip_lines()
        if not self._is("("):
            raise self._refused(self._peek(), f"where '(' after {token.text!r} is expected")
        return self._next()

    def _if(self, token: Token) -> Node:
        opened = self._opened(token)
        condition = self._expression(in_brackets=True)
        self._close(")", opened)
        parts = [condition, self._expression(in_brackets=False)]
        before = self.at
        self._skip_lines()
        following = self._peek()
        if following.kind == "name" and following.text == "else":
            self.at += 1
            parts.append(self._expression(in_brackets=False))
        else:
            self.at = before
        return self._node("call", "if", tuple(parts), token)

    def _function(self, token: Token) -> Node:
        opened = self._opened(token)
        self._arguments(")", opened)
        return self._node("function", "", (self._expression(in_brackets=False),), token)
