"""Knows the statements of a source file, and the places whose mutants say nothing about tests.

Such places are annotations, docstrings, asserts, imports for the type checker, log calls, warnings, texts in ``raise``,
``__repr__``, arguments of ``dataclass`` and ``lru_cache``, decorators for the type checker, and numbers of constants
such as ``POLL_S`` and ``STEP_ROWS``: the pace of background work, which tests replace.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

Position = tuple[int, int]
Range = tuple[Position, Position]

LOGS = {"log", "logger", "_log"}
TUNING = {"dataclass", "lru_cache", "cache", "cached_property"}
PACE = ("POLL_", "STEP_", "ROUND_")
TYPING = {"override", "overload", "final", "runtime_checkable"}


class Places:
    """The statements and the noise of one file; lines count from 1, and columns from 0."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines()
        self._tree = ast.parse(source)
        self._noise = [self._range(node) for node in _noise(self._tree)]

    def is_noise(self, start: Position, end: Position, operator: str) -> bool:
        """Return whether a mutant of this place is not made."""
        if operator.endswith("RemoveDecorator") and self._decorator(start[0]) in TUNING | TYPING:
            return True
        return any(first <= start and end <= last for first, last in self._noise)

    def statements(self) -> Iterator[tuple[range, bool]]:
        """Yield the lines of each statement, without those of its body, and whether it runs when it is imported."""
        yield from self._statements(self._tree.body, imported=True)

    def _statements(self, body: list[ast.stmt], *, imported: bool) -> Iterator[tuple[range, bool]]:
        for node in body:
            inner = _bodies(node)
            first = min((one.lineno for one in getattr(node, "decorator_list", [])), default=node.lineno)
            last = inner[0][0].lineno - 1 if inner else node.end_lineno or node.lineno
            yield range(first, max(first, last) + 1), imported
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for part in inner:
                yield from self._statements(part, imported=imported and not is_function)
            for handler in getattr(node, "handlers", []):
                yield range(handler.lineno, handler.body[0].lineno), imported

    def _decorator(self, line: int) -> str:
        text = self._lines[line - 1].strip().lstrip("@")
        return text.partition("(")[0].rpartition(".")[2]

    def _range(self, node: ast.AST) -> Range:
        return self._place(node, ""), self._place(node, "end_")

    def _place(self, node: ast.AST, prefix: str) -> Position:
        """Return the beginning or the end of a node in characters; ``ast`` counts the bytes of UTF-8."""
        line, column = getattr(node, f"{prefix}lineno"), getattr(node, f"{prefix}col_offset")
        return line, len(self._lines[line - 1].encode()[:column].decode(errors="ignore"))


def _bodies(node: ast.stmt) -> list[list[ast.stmt]]:
    parts = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
    parts += [one.body for one in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]]
    return sorted((part for part in parts if part), key=lambda part: part[0].lineno)


def _noise(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.expr() as found) | ast.AnnAssign(annotation=found):
                yield found
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from [node] if node.name == "__repr__" else [node.returns] if node.returns else []
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Assert():
                yield node
            case ast.Expr(value=ast.Constant()):
                yield node
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))) if name in LOGS | {"warnings"}:
                yield node
            case ast.Raise():
                yield from (one for one in ast.walk(node) if isinstance(one, ast.JoinedStr))
            case ast.Call(func=ast.Name(id=name)) if name in TUNING:
                yield node
            case ast.Assign(targets=[ast.Name(id=name)]) if name.startswith(PACE):
                yield node.value
