"""Small changes to a function, found by its name and by the shape of its code.

Each change is a function from a function's syntax tree to the nodes that it replaces, so that
renaming a variable does not break it. ``nth`` counts the matches in the order of the source.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

Edit = Callable[[ast.AST], dict[ast.AST, ast.AST | None]]


def mutate(path: Path, function: str, edit: Edit) -> None:
    """Apply an edit to ``function`` (``name`` or ``Class.name``) in the file at ``path``."""
    tree = ast.parse(path.read_text())
    scope: ast.AST = tree
    for name in function.split("."):
        scopes = [n for n in ast.iter_child_nodes(scope) if getattr(n, "name", None) == name]
        assert scopes, f"no {function} in {path.name}: renew the mutation"
        scope = scopes[0]
    replacements = edit(scope)
    assert replacements, f"nothing to change in {function} of {path.name}: renew the mutation"
    path.write_text(ast.unparse(ast.fix_missing_locations(_Replace(replacements).visit(tree))))


class _Replace(ast.NodeTransformer):
    def __init__(self, replacements: dict[ast.AST, ast.AST | None]):
        self.replacements = replacements

    def visit(self, node: ast.AST):
        if node in self.replacements:
            return self.replacements[node]
        return self.generic_visit(node)


def _in_order(scope: ast.AST, kind: type | tuple[type, ...]) -> Iterator:
    nodes = [node for node in ast.walk(scope) if isinstance(node, kind)]
    return iter(sorted(nodes, key=lambda node: (node.lineno, node.col_offset)))


def _nth(nodes: Iterator, nth: int) -> ast.AST:
    return list(nodes)[nth]


def _expression(text: str) -> ast.AST:
    return ast.parse(text, mode="eval").body


def call(name: str, template: str, nth: int = 0) -> Edit:
    """Replace a call of a function or method ``name``.

    In the template, ``{0}`` is its first argument, ``{func}`` what is called, ``{self}`` the object
    whose method it is, and ``{call}`` the whole call.
    """

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        calls = (
            node
            for node in _in_order(scope, ast.Call)
            if name in (getattr(node.func, "id", None), getattr(node.func, "attr", None))
        )
        node = _nth(calls, nth)
        owner = getattr(node.func, "value", None)
        text = template.format(
            *map(ast.unparse, node.args),
            func=ast.unparse(node.func),
            self=ast.unparse(owner) if owner else "",
            call=ast.unparse(node),
        )
        return {node: _expression(text)}

    return edit


def compare(old: type[ast.cmpop], new: type[ast.cmpop], nth: int = 0) -> Edit:
    """Replace a comparison operator."""

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        matches = (n for n in _in_order(scope, ast.Compare) if type(n.ops[0]) is old)
        node = _nth(matches, nth)
        return {node: ast.Compare(node.left, [new(), *node.ops[1:]], node.comparators)}

    return edit


def condition(value: bool, nth: int = 0) -> Edit:
    """Replace the condition of an ``if`` statement or expression by a constant."""

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        return {_nth(_in_order(scope, (ast.If, ast.IfExp)), nth).test: ast.Constant(value)}

    return edit


def number(old: float, new: float, nth: int = 0) -> Edit:
    """Replace a number."""

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        matches = (
            n
            for n in _in_order(scope, ast.Constant)
            if type(n.value) is type(old) and n.value == old
        )
        return {_nth(matches, nth): ast.Constant(new)}

    return edit


def left_operand(operator: type[ast.operator], nth: int = 0) -> Edit:
    """Replace an operation by its left operand."""

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        matches = (n for n in _in_order(scope, ast.BinOp) if type(n.op) is operator)
        node = _nth(matches, nth)
        return {node: node.left}

    return edit


def without_slice(nth: int = 0) -> Edit:
    """Replace a subscript that holds a slice with a step by what it is a subscript of."""

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        matches = (
            n
            for n in _in_order(scope, ast.Subscript)
            if any(isinstance(s, ast.Slice) and s.step for s in ast.walk(n.slice))
        )
        node = _nth(matches, nth)
        return {node: node.value}

    return edit


def without_invert(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
    """Drop every ``~``."""
    matches = (n for n in _in_order(scope, ast.UnaryOp) if isinstance(n.op, ast.Invert))
    return {node: node.operand for node in matches}


def assigned_index(template: str, nth: int = 0) -> Edit:
    """Replace the index of an assignment to elements; ``{0}`` is the index."""

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        index = _nth(_assignments_to_elements(scope), nth).targets[0].slice
        return {index: _expression(template.format(ast.unparse(index)))}

    return edit


def assigned_value(text: str, nth: int = 0) -> Edit:
    """Replace the value of an assignment to elements."""

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        return {_nth(_assignments_to_elements(scope), nth).value: _expression(text)}

    return edit


def without_assignment(nth: int = 0) -> Edit:
    """Drop an assignment to elements."""

    def edit(scope: ast.AST) -> dict[ast.AST, ast.AST | None]:
        return {_nth(_assignments_to_elements(scope), nth): ast.Pass()}

    return edit


def _assignments_to_elements(scope: ast.AST) -> Iterator:
    return (
        node for node in _in_order(scope, ast.Assign) if isinstance(node.targets[0], ast.Subscript)
    )
