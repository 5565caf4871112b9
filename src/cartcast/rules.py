"""Rules: small boolean expressions over named columns, turned into SQL by their syntax tree.

Only comparisons, `and`, `or`, `not`, arithmetic, names and numbers or strings are allowed, so a
rule can never run code or reach another table.
"""

from __future__ import annotations

import ast

from cartcast.errors import DefinitionError
from cartcast.events.sql import identifier

__all__ = ["names_in", "to_sql"]

_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Eq: "=",
    ast.NotEq: "<>",
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}


_LONGEST, _DEEPEST, _MOST = 20_000, 50, 5_000


def _parse(rule: str) -> ast.expr:
    if len(rule) > _LONGEST:
        raise DefinitionError(f"rule {rule[:40]!r}...: must have at most {_LONGEST:,} characters.")
    try:
        tree = ast.parse(rule.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        why = str(error)[:100]
        raise DefinitionError(f"rule {rule[:200]!r}: cannot be read ({why}).") from error
    except (RecursionError, MemoryError) as error:
        raise _too_deep(rule) from error
    _require_bounded(tree, rule)
    return tree


def _require_bounded(tree: ast.expr, rule: str) -> None:
    """Refuse a tree too deep for a stack, or whose SQL would repeat its parts without end."""
    todo, seen = [(tree, 1)], 0
    while todo:
        node, depth = todo.pop()
        seen += 1
        if depth > _DEEPEST or seen > _MOST:
            raise _too_deep(rule)
        inner = [c for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr)]
        todo += [(c, depth + 1) for c in inner]
        if isinstance(node, ast.Compare):
            # Of a < b < c the middle is written twice.
            todo += [(c, depth + 1) for c in node.comparators[:-1]]


def _too_deep(rule: str) -> DefinitionError:
    return DefinitionError(
        f"rule {rule[:40]!r}...: must be nested at most {_DEEPEST} deep and have at most {_MOST:,} "
        "parts; make it several rules or columns."
    )


def names_in(rule: str) -> tuple[str, ...]:
    """Return the column names that a rule uses, in order of first use.

    Raises:
        DefinitionError: the rule is no expression, or uses something that rules do not allow.

    >>> names_in("session_length > 5 and total_spend > 50")
    ('session_length', 'total_spend')
    """
    tree = _parse(rule)
    _sql(tree, rule)
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    return tuple(dict.fromkeys(n.id for n in sorted(names, key=lambda n: n.col_offset)))


def to_sql(rule: str) -> str:
    """Return the rule as a DuckDB expression with quoted identifiers and literals.

    Raises:
        DefinitionError: as `names_in`.

    >>> to_sql("session_length > 5 and not total_spend <= 50")
    '(("session_length" > 5) AND (NOT ("total_spend" <= 50)))'
    """
    return _sql(_parse(rule), rule)


def _sql(node: ast.expr, rule: str) -> str:
    match node:
        case ast.BoolOp(op=op, values=values):
            word = " AND " if isinstance(op, ast.And) else " OR "
            return "(" + word.join(_sql(v, rule) for v in values) + ")"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return f"(NOT {_sql(operand, rule)})"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"(- {_sql(operand, rule)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return f"({_sql(left, rule)} {_ARITHMETIC[type(op)]} {_sql(right, rule)})"
        case ast.Compare(left=left, ops=ops, comparators=rights):
            sides = [left, *rights]
            parts = []
            for first, sign, second in zip(sides, ops, rights, strict=False):
                if type(sign) not in _COMPARE:
                    break
                parts.append(f"({_sql(first, rule)} {_COMPARE[type(sign)]} {_sql(second, rule)})")
            else:
                return parts[0] if len(parts) == 1 else "(" + " AND ".join(parts) + ")"
        case ast.Name(id=name):
            return identifier(name)
        case ast.Constant(value=bool() as value):
            return "TRUE" if value else "FALSE"
        case ast.Constant(value=int() | float() as value):
            return repr(value)
        case ast.Constant(value=str() as value):
            return "'" + value.replace("'", "''") + "'"
        case _:
            pass
    raise DefinitionError(
        f"rule {rule[:200]!r}: {ast.unparse(node)[:100]!r} is not allowed; use "
        "names, numbers, comparisons, and, or, not, + - * /."
    )
