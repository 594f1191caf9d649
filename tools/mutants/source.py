"""Lists the mutants of source files and writes the text of those that are drawn, with the operators of Cosmic Ray.

Runs in ``.venv-mutants``, as a filter: standard input is JSON with ``places`` (the lines that tests reach, by file),
``sample`` (a number, or null for all) and ``seed``; standard output is JSON with ``found``, the number of mutants, and
``drawn``, a list of mutants in random order.

Cosmic Ray replaces each operator by every other one, and most of these mutants fail at once. Of a comparison or a
calculation, only the most similar one is made here, which is the hardest to notice. Two operators are our
own: one removes a call, an assignment to an attribute or an item, or a ``raise``; the other catches another exception.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from parso.python.tree import Keyword, Name
from rules import Places, Position

Area = tuple[Position, Position]

SIMILAR = [
    *("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_FloorDiv", "Pow_Mul", "LShift_RShift"),
    *("RShift_LShift", "BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitAnd"),
]
COMPARED = 8
OPERATORS = [
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in SIMILAR[:COMPARED]),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in SIMILAR[COMPARED:]),
    *("core/ReplaceUnaryOperator_Delete_USub", "core/ReplaceUnaryOperator_Delete_Not", "core/AddNot"),
    *("core/ReplaceTrueWithFalse", "core/ReplaceFalseWithTrue", "core/ReplaceAndWithOr", "core/ReplaceOrWithAnd"),
    *("core/ReplaceBreakWithContinue", "core/ReplaceContinueWithBreak", "core/NumberReplacer"),
    *("core/RemoveDecorator", "core/ZeroIterationForLoop", "RemoveStatement", "ReplaceException"),
]


class RemoveStatement:
    """An operator for Cosmic Ray that replaces a statement by ``pass``."""

    def mutation_positions(self, node: Any) -> Iterator[Area]:
        """Yield the place of a simple statement whose absence does not leave a name undefined."""
        if node.type != "simple_stmt":
            return
        statement = node.children[0]
        parts = getattr(statement, "children", [])
        stored = statement.type == "expr_stmt" and parts[0].type in {"atom_expr", "power"}
        if stored or statement.type in {"atom_expr", "power", "raise_stmt", "del_stmt"}:
            yield statement.start_pos, statement.end_pos

    def mutate(self, node: Any, _index: int) -> Any:
        """Replace the statement."""
        first = node.children[0].get_first_leaf()
        node.children[0] = Keyword("pass", first.start_pos, first.prefix)
        return node


class ReplaceException:
    """An operator for Cosmic Ray that catches another exception; its own one fails for names with a dot."""

    def mutation_positions(self, node: Any) -> Iterator[Area]:
        """Yield the place of each exception that an ``except`` names."""
        for caught in self._caught(node):
            yield caught.start_pos, caught.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Replace the name by that of an exception that nothing here raises."""
        caught = self._caught(node)[index]
        first = caught.get_first_leaf()
        siblings = caught.parent.children
        siblings[siblings.index(caught)] = Name("BufferError", first.start_pos, first.prefix)
        return node

    def _caught(self, node: Any) -> list[Any]:
        if node.type != "except_clause":
            return []
        expression = node.children[1]
        if expression.type != "atom":
            return [expression]
        listed = expression.children[1]
        return listed.children[::2] if listed.type == "testlist_comp" else [listed]


OWN = {"RemoveStatement": RemoveStatement, "ReplaceException": ReplaceException}


def main() -> None:
    """Read the request and print the mutants."""
    request = json.load(sys.stdin)
    found = [mutant for path, lines in request["places"].items() for mutant in mutants(path, set(lines))]
    random.Random(request["seed"]).shuffle(found)
    drawn = [mutant | {"text": text} for mutant in found[: request["sample"]] if (text := mutated(mutant)) is not None]
    json.dump({"found": len(found), "drawn": drawn}, sys.stdout)


def mutants(path: str, lines: set[int]) -> Iterator[dict[str, Any]]:
    """Yield the mutants of a file whose line tests reach, without those of `Places.is_noise`."""
    source = Path(path).read_text(encoding="utf-8")
    places, nodes = Places(source), list(ast_nodes(get_ast(source)))
    for name in OPERATORS:
        operator = operator_named(name)
        positions = ((node, *position) for node in nodes for position in operator.mutation_positions(node))
        for occurrence, (node, start, end) in enumerate(positions):
            if start[0] in lines and not is_star(node) and not places.is_noise(start, end, name):
                yield {"path": path, "line": start[0], "operator": name.partition("/")[2] or name, "number": occurrence}


def is_star(node: Any) -> bool:
    """Return whether a node is a star or a slash that separates parameters, which Cosmic Ray takes for an operator."""
    return node.type == "operator" and node.parent.type in {"parameters", "param", "lambdef"}


def operator_named(name: str) -> Any:
    """Return one of our own operators, or one of Cosmic Ray's."""
    return OWN[name]() if name in OWN else get_operator(name)()


def mutated(mutant: dict[str, Any]) -> str | None:
    """Return the text of a file with one mutant; None if that is no Python, such as ``def f(a, /, b)`` with ``*``."""
    name = mutant["operator"] if mutant["operator"] in OWN else f"core/{mutant['operator']}"
    source = Path(mutant["path"]).read_text(encoding="utf-8")
    text: str | None = mutate_code(source, operator_named(name), mutant["number"])
    try:
        compile(text or "", mutant["path"], "exec")
    except SyntaxError:
        return None
    return text


if __name__ == "__main__":
    main()
