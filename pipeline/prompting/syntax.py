"""The syntax of templates: what is left of Jinja2's, and where a template's work is counted.

A template is checked before it is compiled, for compiling can take more than rendering: Jinja2
computes what is constant, and Python's compiler isn't made for deep trees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from pipeline.errors import UsageError
from pipeline.prompting.operations import EACH, JOINED, MADE, SCANNED
from pipeline.prompting.work import TooMuchError, check_number

_MOST_LEVELS = 60
_MOST_NODES = 20_000  # compiled in 2 s
_TAGS: dict[type[nodes.Node], str] = {
    nodes.Block: "block",
    nodes.Extends: "extends",
    nodes.FromImport: "from",
    nodes.Import: "import",
    nodes.Include: "include",
    nodes.ScopedEvalContextModifier: "autoescape",
}


def check(template: nodes.Template) -> None:
    """Raise UsageError for what no prompt needs, and what is too much to be compiled."""
    for count, (node, level) in enumerate(_walk(template)):
        line = f"in a message, line {node.lineno}: "
        if level > _MOST_LEVELS:
            raise UsageError(f"{line}it goes over {_MOST_LEVELS} levels deep")
        if count > _MOST_NODES:
            raise UsageError(f"{line}it has over {_MOST_NODES:,} expressions")
        if type(node) in _TAGS:
            raise UsageError(f"{line}a prompt has no {{% {_TAGS[type(node)]} %}}: it stands alone")
        if isinstance(node, nodes.For) and node.recursive:
            raise UsageError(f"{line}a loop can't be recursive")
        if getattr(node, "dyn_args", None) or getattr(node, "dyn_kwargs", None):
            raise UsageError(f"{line}a call can't have `*` or `**`")
        if isinstance(node, nodes.Const) and isinstance(node.value, int):
            try:
                check_number(node.value)
            except TooMuchError as error:
                raise UsageError(f"{line}{error}") from error


def _walk(template: nodes.Template) -> Iterator[tuple[nodes.Node, int]]:
    """Yield all nodes with their levels; not by recursion, which ends at some level."""
    stack: list[tuple[nodes.Node, int]] = [(template, 0)]
    while stack:
        node, level = stack.pop()
        yield node, level
        stack.extend((inner, level + 1) for inner in node.iter_child_nodes())


def parts(template: nodes.Template) -> Iterator[nodes.Node]:
    """Yield what a template does, one text, expression or block after the other."""
    for node in template.body:
        if isinstance(node, nodes.Output):
            yield from (nodes.Output([part], lineno=part.lineno) for part in node.nodes)
        else:
            yield node


def count_work(template: nodes.Template) -> nodes.Template:
    """Put in what counts the steps of loops, and the characters that are read and made."""
    counted: nodes.Template = _Counting().visit(template)
    return counted


class _Counting(NodeTransformer):
    """Filters, calls and operators count by themselves; what becomes plain Python can't."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filtered(EACH, node.iter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(JOINED, nodes.Tuple(node.nodes, "load", lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        looks_inside = any(operand.op in ("in", "notin") for operand in node.ops)
        if looks_inside or not any(isinstance(side, nodes.Const) for side in sides):
            node.expr = _filtered(SCANNED, node.expr)
            for operand in node.ops:
                operand.expr = _filtered(SCANNED, operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(MADE, node) if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self._collection(node, node.items)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self._collection(node, node.items) if node.ctx == "load" else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        return self._collection(
            node, [part for pair in node.items for part in (pair.key, pair.value)]
        )

    def _collection(self, node: nodes.Expr, items: list[nodes.Expr]) -> nodes.Expr:
        self.generic_visit(node)
        constant = all(isinstance(item, nodes.Const) for item in items)
        return node if constant else _filtered(MADE, node)

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:
        self.generic_visit(node)
        node.filter = _innermost(node.filter)
        return node

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> nodes.Node:
        self.generic_visit(node)
        node.filter = _innermost(node.filter)
        return node


def _filtered(name: str, node: Any) -> nodes.Filter:
    lineno = node.lineno if node is not None else 1
    return nodes.Filter(node, name, [], [], None, None, lineno=lineno)


def _innermost(node: Any) -> nodes.Filter:
    """Count what a block has made, which the innermost of its filters is given."""
    if node is None:
        return _filtered(MADE, None)
    node.node = _innermost(node.node)
    return node  # type: ignore[no-any-return]
