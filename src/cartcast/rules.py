"""Rules: small boolean expressions over named columns, as SQL or of one row, by their syntax tree.

Only comparisons, `and`, `or`, `not`, arithmetic, names and numbers or strings are allowed, so a
rule can never run code or reach another table. What depends on a value that is not known is not
known, as in SQL.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from cartcast.errors import DefinitionError, did_you_mean
from cartcast.events.sql import identifier

__all__ = ["names_in", "parts", "require_kinds", "to_sql", "truth"]

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
_MEANING: dict[type[ast.cmpop] | type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Add: operator.add, ast.Sub: operator.sub,
    ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip

_LONGEST, _DEEPEST, _MOST = 20_000, 50, 5_000


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
def parts(rule: str) -> tuple[str, ...]:
    """Return the conditions that a rule joins by `and`; it is true where each of them is.

    >>> parts("carts > 0 and probability < 0.4 and (a == 1 or b == 2)")
    ('carts > 0', 'probability < 0.4', 'a == 1 or b == 2')
    """
    tree = _parse(rule)
    joined = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
    return tuple(map(ast.unparse, tree.values)) if joined else (rule.strip(),)  # type: ignore[attr-defined]


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


_WORDS = {"truth": "true or false", "number": "a number", "text": "a text", "time": "a moment"}


def require_kinds(rule: str, kinds: Mapping[str, str | None]) -> None:
    """Check that a rule is true or false, of columns that exist, compared with what is like them.

    `kinds` tells `number`, `text`, `truth` or `time` of each column; None fits all.

    Raises:
        DefinitionError: it is not, with the part that does not fit.
    """
    _require_kinds(rule, tuple(kinds.items()))


@lru_cache(maxsize=1024)  # of scores, one after the other
def _require_kinds(rule: str, kinds: tuple[tuple[str, str | None], ...]) -> None:
    if _kind(_parse(rule), rule, dict(kinds)) not in ("truth", None):
        raise DefinitionError(
            f"rule {rule[:200]!r}: must be true or false, as in `a > 1 and b < 2`."
        )


def _kind(node: ast.expr, rule: str, kinds: Mapping[str, str | None]) -> str | None:
    def of(part: ast.expr, wanted: str) -> str:
        found = _kind(part, rule, kinds)
        if found not in (wanted, None):
            raise DefinitionError(
                f"rule {rule[:200]!r}: {ast.unparse(part)[:100]!r} must be {_WORDS[wanted]} there, "
                f"but it is {_WORDS.get(str(found), found)}."
            )
        return wanted

    match node:
        case ast.BoolOp(values=values):
            for value in values:
                of(value, "truth")
            return "truth"
        case ast.UnaryOp(op=op, operand=inner):
            return of(inner, "truth" if isinstance(op, ast.Not) else "number")
        case ast.BinOp(left=left, right=right):
            return of(left, "number") and of(right, "number")
        case ast.Compare(left=left, comparators=rights):
            first = next((k for x in (left, *rights) if (k := _kind(x, rule, kinds))), None)
            for side in (left, *rights):
                of(side, first or "number")
            return "truth"
        case ast.Name(id=name) if name not in kinds:
            raise DefinitionError(
                f"rule {rule[:200]!r}: there is no column {name!r}.{did_you_mean(name, kinds)}"
            )
        case ast.Name(id=name):
            return kinds[name]
        case ast.Constant(value=value):
            return _kind_of(value)
    _sql(node, rule)  # says what rules do not allow
    return None


def _kind_of(value: object) -> str | None:
    """Return the kind of a value of one row; None for one that is not known."""
    if value is None:
        return None
    for kind, types in (("truth", bool), ("number", int | float), ("text", str), ("time", date)):
        if isinstance(value, types):
            return kind
    return type(value).__name__


def truth(rule: str, row: Mapping[str, Any]) -> bool | None:
    """Return what a rule says of one row; None where it cannot be known.

    Not a number is not known, and neither is what is divided by zero. Moments are UTC.

    Raises:
        DefinitionError: as `require_kinds`.

    >>> truth("carts > 0 and p < 0.4", {"carts": 1, "p": 0.2})
    True
    >>> truth("p < 0.4", {"p": None}), truth("p < 0.4 or carts > 0", {"p": None, "carts": 1})
    (None, True)
    """
    plain = {name: _plain(row[name]) if name in row else None for name in names_in(rule)}
    require_kinds(rule, {name: _kind_of(plain[name]) for name in plain if name in row})
    found = _value(_parse(rule), plain)
    return found if found is None else bool(found)


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, datetime):
        # A missing moment of pandas is unlike itself.
        if value == value and value.tzinfo is not None:
            value = value.astimezone(UTC).replace(tzinfo=None)
        return _known(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    return _known(float(value)) if _kind_of(value) == "number" else value


def _known(value: Any) -> Any:
    return value if value == value and value not in (math.inf, -math.inf) else None


def _value(node: ast.expr, row: Mapping[str, Any]) -> Any:
    match node:
        case ast.BoolOp(op=op, values=values):
            said, settles = [_value(v, row) for v in values], isinstance(op, ast.Or)
            return settles if settles in said else (None if None in said else not settles)
        case ast.UnaryOp(op=op, operand=inner):
            value = _value(inner, row)
            return value if value is None else (not value if isinstance(op, ast.Not) else -value)
        case ast.BinOp(left=left, op=sign, right=right):
            return _pair(sign, _value(left, row), _value(right, row))
        case ast.Compare(left=left, ops=signs, comparators=rights):
            sides = [_value(x, row) for x in (left, *rights)]
            said = [_pair(s, a, b) for s, a, b in zip(signs, sides, sides[1:], strict=False)]
            return False if False in said else (None if None in said else True)
        case ast.Name(id=name):
            return row[name]
        case ast.Constant(value=value):
            return value
    raise AssertionError(ast.dump(node))


def _pair(sign: ast.cmpop | ast.operator, a: Any, b: Any) -> Any:
    if a is None or b is None or (isinstance(sign, ast.Div) and b == 0):
        return None
    found = _MEANING[type(sign)](a, b)
    return found if isinstance(found, bool) else _known(found)
