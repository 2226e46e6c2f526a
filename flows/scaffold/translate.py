"""Defaults, checks and generated columns, from one dialect to another: only what means the same in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sqlglot import exp

_DIALECTS: Final = {
    "postgresql": "postgres",
    "mysql": "mysql",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
    "parquet": "duckdb",
}
_SAME: Final = (
    "Column", "Identifier", "Literal", "Paren", "And", "Or", "Not", "EQ", "NEQ", "GT", "GTE", "LT", "LTE", "In",
    "Between", "Is", "Null", "Boolean", "Add", "Sub", "Mul", "Neg", "Mod", "Length", "Trim", "Coalesce", "Abs",
    "Nullif", "DPipe", "Concat", "CurrentTimestamp", "CurrentDate", "Case", "If", "Tuple", "Uuid",
)  # fmt: skip
"""What every engine understands, and understands alike. Not among it: division, rounding, casts, LIKE, lower(), dates, and
texts of bits and bytes."""
_CONSTANT: Final = (
    "Literal", "National", "HexString", "BitString", "ByteString", "RawString", "Introducer", "Paren", "Neg", "Add", "Sub", "Mul",
    "DPipe", "Cast", "DataType", "DataTypeParam", "Boolean", "Null", "Identifier", "Var", "CharacterSet",
)  # fmt: skip
"""What a value is made of that is the same whenever it is asked for."""
EXACT_DIGITS: Final = 15  # of a number that SQLite reads as it is
_TEXTS: Final = ("TEXT", "VARCHAR", "CHAR", "NCHAR", "NVARCHAR", "BPCHAR")
_WHOLE: Final = ("smallint", "integer", "bigint")
_NUMBERS: Final = ("DECIMAL", "BIGINT", "INT", "SMALLINT", "DOUBLE", "FLOAT")


@dataclass(frozen=True, slots=True)
class Spoken:
    """An expression in the target's dialect, or why it is not in it."""

    sql: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Tongues:
    """Where an expression comes from and where it goes, and the columns that it may name.

    `types` are those of the target's columns, by their names in the source; `names` their names in the target. `folded`
    are the columns, by their names in the target, in which the source takes different texts for one.
    """

    source: str
    target: str
    names: Mapping[str, str]
    types: Mapping[str, str]
    folded: frozenset[str] = frozenset()

    def spoken(self, sql: str, *, column: str | None = None) -> Spoken:
        """`sql` as the target says it. `column` is the one whose default or generation it is."""
        import sqlglot
        from sqlglot.errors import ErrorLevel, SqlglotError

        if self.source == "mysql" and "?" in sql:
            return Spoken(None, "the server tells a ? for every character of four bytes")
        try:
            tree = sqlglot.parse_one(sql, read=_DIALECTS[self.source])
            tree = self._adapted(tree, self.types.get(column or "", ""))
            if odd := self._odd(tree):
                return Spoken(None, odd)
            said = tree.sql(dialect=_DIALECTS[self.target], identify=True, unsupported_level=ErrorLevel.RAISE)
        except SqlglotError as error:
            return Spoken(None, " ".join(str(error).split("\n")[0].split()) or "it cannot be read")
        return Spoken(said)

    def constant(self, sql: str) -> bool:
        """Whether a default is a value, the same for every row."""
        import sqlglot
        from sqlglot.errors import SqlglotError

        try:
            tree = sqlglot.parse_one(sql, read=_DIALECTS[self.source])
        except SqlglotError:
            return False
        return all(type(node).__name__ in _CONSTANT for node in tree.walk())

    def clock(self, sql: str) -> str:
        """`timestamp` or `date` where a default is that of now, else nothing."""
        import sqlglot
        from sqlglot import exp
        from sqlglot.errors import SqlglotError

        try:
            tree = sqlglot.parse_one(sql, read=_DIALECTS[self.source]).unnest()
        except SqlglotError:
            return ""
        return (
            "timestamp"
            if isinstance(tree, exp.CurrentTimestamp)
            else "date"
            if isinstance(tree, exp.CurrentDate)
            else ""
        )

    def _adapted(self, tree: exp.Expr, type_: str) -> exp.Expr:
        from sqlglot import exp

        for step in (_without_any, _without_charset, self._named, self._without_casts, self._with_flags):
            tree = tree.transform(step)
        bare = tree.unnest()
        if isinstance(bare, exp.Cast) and type_:  # the column has its type
            bare = bare.this.unnest()
        value = _number_of(bare)
        if type_ == "boolean" and value in (0, 1):
            return exp.Boolean(this=bool(value))
        if value is not None and (isinstance(bare, exp.BitString) or (type_ in _WHOLE and not bare.is_string)):
            return exp.Literal.number(value)  # also of 007
        return bare

    def _named(self, node: exp.Expr) -> exp.Expr:
        """A column by its name in the target, quoted; names are found whatever their case."""
        from sqlglot import exp

        if isinstance(node, exp.Column):
            known = {name.lower(): new for name, new in self.names.items()}
            name = self.names.get(node.name) or known.get(node.name.lower())
            return exp.column(exp.to_identifier(name, quoted=True)) if name else node
        return node

    def _with_flags(self, node: exp.Expr) -> exp.Expr:
        """0 and 1 that are compared with a boolean, as what they stand for."""
        from sqlglot import exp

        if not isinstance(node, exp.EQ | exp.NEQ | exp.In):
            return node
        many = isinstance(node, exp.In)
        sides = [node.this, *(node.expressions if many else [node.expression])]
        flags = [side for side in sides if isinstance(side, exp.Column) and self._type_of(side) == "boolean"]
        values = [_number_of(side) for side in sides if side not in flags]
        if flags and values and all(value in (0, 1) for value in values):
            told = [side if side in flags else exp.Boolean(this=bool(_number_of(side))) for side in sides]
            node.set("this", told[0])
            node.set("expressions" if many else "expression", told[1:] if many else told[1])
        return node

    def _folding(self, column: exp.Column, tree: exp.Expr) -> bool:
        """Whether a text is compared that has a collation in the source, and none in the target."""
        from sqlglot import exp

        compares = (
            exp.EQ,
            exp.NEQ,
            exp.GT,
            exp.GTE,
            exp.LT,
            exp.LTE,
            exp.In,
            exp.Between,
            exp.Case,
            exp.If,
            exp.Nullif,
        )
        return column.name in self.folded and tree.find(*compares) is not None

    def _type_of(self, column: exp.Column) -> str:
        """The type of a column of the target."""
        back = {new: old for old, new in self.names.items()}
        return self.types.get(back.get(column.name, ""), "")

    def _without_casts(self, node: exp.Expr) -> exp.Expr:
        """Casts of literals, and of columns to what they are: engines write them, and nobody needs them."""
        from sqlglot import exp

        if not isinstance(node, exp.Cast) or isinstance(node, exp.TryCast):
            return node
        kind = str(getattr(node.to.this, "name", node.to.this))
        inner = node.this.unnest()
        if isinstance(inner, exp.Literal):
            return inner
        if isinstance(inner, exp.Column):
            type_ = self._type_of(inner)
            texts = type_.startswith(("text", "varchar", "char")) and (kind in _TEXTS or kind == "USERDEFINED")
            exact = type_.startswith(("numeric", "bigint", "int", "small"))
            numbers = exact and (
                (self.target == "sqlite" and kind in _NUMBERS) or (kind == "DECIMAL" and not node.to.expressions)
            )
            return inner if texts or numbers else node
        return node

    def _odd(self, tree: exp.Expr) -> str:
        """What of the expression does not mean the same in the target; empty where all does."""
        from sqlglot import exp

        for node in tree.walk():
            if isinstance(node, exp.Column) and node.name not in self.names.values():
                return f"it names {node.name}, which is not among the columns"
            if isinstance(node, exp.Block | exp.Command):
                return "it is no expression"
            long = (
                isinstance(node, exp.Literal) and not node.is_string and len(node.name.replace(".", "")) > EXACT_DIGITS
            )
            if long and "sqlite" in (self.source, self.target) and self.source != self.target:
                return f"SQLite keeps {EXACT_DIGITS} digits of {node.name}"
            if isinstance(node, exp.Column) and self._folding(node, tree):
                return f"upper and lower case of {node.name}, or blanks at its end, are one there"
            same = type(node).__name__ in _SAME and not (isinstance(node, exp.Length) and node.args.get("binary"))
            if self.source != self.target and not same:
                name = node.name if isinstance(node, exp.Anonymous) else node.key
                return f"{name.upper()} may mean another thing in {self.target}"
        return ""


def _without_any(node: exp.Expr) -> exp.Expr:
    """PostgreSQL writes `a IN (1, 2)` as `a = ANY (ARRAY[1, 2])`."""
    from sqlglot import exp

    pairs: tuple[tuple[Any, Any], ...] = ((exp.EQ, exp.Any), (exp.NEQ, exp.All))
    for compared, many in pairs:
        if isinstance(node, compared) and isinstance(node.expression, many):
            array = node.expression.this.unnest()
            while isinstance(array, exp.Cast):
                array = array.this.unnest()
            if isinstance(array, exp.Array):
                listed = exp.In(this=node.this, expressions=array.expressions)
                return exp.Not(this=listed) if many is exp.All else listed
    return node


def _without_charset(node: exp.Expr) -> exp.Expr:
    """MySQL writes `_utf8mb4'a'` for 'a', and `convert(a using utf8mb4)` for a where character sets meet."""
    from sqlglot import exp

    if isinstance(node, exp.Introducer) and isinstance(node.expression, exp.Expr):
        return node.expression
    if isinstance(node, exp.Cast) and getattr(node.to.this, "name", "") == "CHARACTER_SET" and not node.to.expressions:
        return node.this if str(node.to.args.get("kind")).lower() == "utf8mb4" else node
    return node


def _number_of(node: exp.Expr) -> int | None:
    """The value of a whole number, of b'01' and of true."""
    from sqlglot import exp

    if isinstance(node, exp.Boolean):
        return int(bool(node.this))
    if isinstance(node, exp.BitString):
        return int(node.name, 2)
    digits = isinstance(node, exp.Literal) and node.name.isascii() and node.name.isdigit()
    return int(node.name) if digits else None
