"""Finds mutants: all the small changes of one file that might matter to somebody who runs it."""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

Node = ast.expr | ast.stmt
Tree = TypeVar("Tree", bound=ast.AST)

OPPOSITES: dict[
    type[ast.AST], tuple[Any, ...]
] = {  # Any: classes that are called without arguments
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.FloorDiv,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Break: (ast.Continue,),
    ast.Continue: (ast.Break,),
}


@dataclass(frozen=True)
class Mutant:
    """One change: bytes `start` to `stop` of a file become `text`."""

    path: str
    """Inside the package: "protocol/session.py"."""
    function: str
    """As in "Session.feed"; empty outside of functions and classes."""
    line: int
    before: str
    """The statement, or the head of one that holds others, on one line."""
    after: str
    start: int
    stop: int
    text: str
    first_line: int
    """Of the statement."""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What names it in the list of equivalent ones, wherever the lines move."""
        return self.path, self.function, f"{self.before} -> {self.after}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function}: {self.before} -> {self.after}"

    def rank(self, seed: int) -> bytes:
        """Where it comes in the order of a seed; no other mutant changes it."""
        return hashlib.sha256(repr((seed, self.identity, self.text)).encode()).digest()

    def apply(self, source: bytes) -> bytes:
        """Write the change into the source."""
        return source[: self.start] + self.text.encode() + source[self.stop :]

    def compiles(self, source: bytes) -> bool:
        """Say whether Python takes the file with the change in it."""
        try:
            compile(self.apply(source), self.path, "exec", dont_inherit=True)
        except SyntaxError:
            return False
        return True


class Finder(ast.NodeVisitor):
    """Finds the mutants of one file; what is only for readers or type checkers has none."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        self.found: list[Mutant] = []
        self._scope: list[str] = []
        self._statements: list[ast.stmt] = []
        self._line_starts = [0]
        for line in source.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        self.visit(ast.parse(source))

    def visit(self, node: ast.AST) -> None:
        """Look at one node and what is in it."""
        if _is_for_readers(node):
            return
        scope = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        statement = [node] if isinstance(node, ast.stmt) else []
        self._scope += scope
        self._statements += statement

        for old, new in variants(node):
            self._add(old, new)
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "decorator_list"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        self.visit(child)

        del self._scope[len(self._scope) - len(scope) :]
        del self._statements[len(self._statements) - len(statement) :]

    def _add(self, old: Node, new: Node) -> None:
        assert old.end_lineno is not None
        assert old.end_col_offset is not None
        statement = self._statements[-1]
        text = ast.unparse(new) if isinstance(new, ast.stmt) else f"({ast.unparse(new)})"
        start = self._line_starts[old.lineno - 1] + old.col_offset
        stop = self._line_starts[old.end_lineno - 1] + old.end_col_offset
        before, after = _head(statement), _head(_replaced(statement, old, new))
        if before != after:
            function, first_line = ".".join(self._scope), statement.lineno
            mutant = Mutant(
                self.path, function, old.lineno, before, after, start, stop, text, first_line
            )
            self.found.append(mutant)


def _is_for_readers(node: ast.AST) -> bool:
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    is_protocol = isinstance(node, ast.ClassDef) and any(
        ast.unparse(base) == "Protocol" for base in node.bases
    )
    # Below Python 3.12 what is in an f-string has no place of its own.
    return (
        is_docstring or is_for_types or is_protocol or isinstance(node, ast.Assert | ast.JoinedStr)
    )


def variants(node: ast.AST) -> Iterator[tuple[Node, Node]]:
    """Give pairs of a node, this one or one right below it, and what it may become."""
    match node:
        # None says no as False does: `return True` is tried there instead.
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) not in ("None", "False"):
            yield node, ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield node, ast.Pass()
        case ast.Break() | ast.Continue():
            yield node, OPPOSITES[type(node)][0]()
        case ast.If(test=test) | ast.IfExp(test=test):
            yield test, ast.Constant(True)
            yield test, ast.Constant(False)
        case ast.While(test=test):
            yield test, ast.Constant(False)
        case ast.Constant(value=bool(value)):
            yield node, ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield node, ast.Constant(value + 1)
            yield node, ast.Constant(value - 1)
        case ast.expr() | ast.AugAssign():
            for changed in _changed_operators(node):
                yield node, changed


def _changed_operators(node: Node) -> Iterator[Node]:
    match node:
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                for other in OPPOSITES[type(op)]:
                    yield _with(node, ops=[*ops[:index], other(), *ops[index + 1 :]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            for other in OPPOSITES.get(type(op), ()):
                yield _with(node, op=other())
        case ast.BoolOp(op=op, values=values):
            yield _with(node, op=OPPOSITES[type(op)][0]())
            for index in range(len(values)):
                kept = values[:index] + values[index + 1 :]
                yield kept[0] if len(kept) == 1 else _with(node, values=kept)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand


def _with(node: Tree, **fields: object) -> Tree:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _replaced(tree: ast.AST, old: ast.AST, new: ast.AST) -> ast.AST:
    """Copy the tree as far as is needed to have the new node in it."""
    if tree is old:
        return new
    fields: dict[str, object] = {}
    for name, value in ast.iter_fields(tree):
        if isinstance(value, list):
            fields[name] = [
                _replaced(one, old, new) if isinstance(one, ast.AST) else one for one in value
            ]
        elif isinstance(value, ast.AST):
            fields[name] = _replaced(value, old, new)
    return _with(tree, **fields)


# Python 3.10 writes several targets in parentheses, and later ones don't.
_TARGETS = re.compile(r"^(for )?\(([^()]*)\)(?= = | in )")


def _head(statement: ast.AST) -> str:
    bodies: dict[str, object] = {
        name: [] for name in ("body", "orelse", "finalbody") if hasattr(statement, name)
    }
    if bodies:
        text = ast.unparse(
            _with(statement, **bodies | {"body": [ast.Pass()], "decorator_list": []})
        )
        text = text.partition("\n")[0].removesuffix(" pass").removesuffix(":")
    else:
        text = " ".join(ast.unparse(statement).split())
    return _TARGETS.sub(r"\1\2", text)
