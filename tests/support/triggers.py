"""Triggers that change what is written, in the SQL of each engine that has them."""

from __future__ import annotations

from scenario import Engine

from flows.commands import Outcome

ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql", "mysql")


def making(engine: Engine, column: str, value: str, table: str = "t", when: str = "BEFORE") -> list[str]:
    """Triggers that set a column to an expression over `new` on each insert and update; `when` is PostgreSQL's: `BEFORE`, `AFTER`
    or `DEFERRED`."""
    name = f"{table}_{column}"
    if engine == "sqlite":
        return [
            f"CREATE TRIGGER {name}_{op} AFTER {op} ON {table} WHEN new.{column} IS NOT ({value}) "
            f"BEGIN UPDATE {table} SET {column} = {value} WHERE k = new.k; END"
            for op in ("insert", "update")
        ]
    if engine == "mysql":
        return [
            f"CREATE TRIGGER {name}_{op} BEFORE {op} ON {table} FOR EACH ROW SET new.{column} = {value}"
            for op in ("insert", "update")
        ]
    change, deferred = f"new.{column} := {value}; RETURN new;", ""
    if when != "BEFORE":
        change = (
            f"UPDATE {table} SET {column} = {value} WHERE k = new.k AND {column} IS DISTINCT FROM {value}; RETURN NULL;"
        )
    if when == "DEFERRED":
        when, deferred = "AFTER", "DEFERRABLE INITIALLY DEFERRED"
    kind = "CONSTRAINT TRIGGER" if deferred else "TRIGGER"
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN {change} END $$",
        f"CREATE {kind} {name} {when} INSERT OR UPDATE ON {table} {deferred} FOR EACH ROW EXECUTE FUNCTION {name}()",
    ]


def unstable(outcome: Outcome) -> dict[str, tuple[int, str]]:
    """Of each column that is named as unstable the rows and the key; every one is named once."""
    told = [w for w in outcome.report.warnings if w.code == "unstable_column"]
    found = {f"{w.table}.{w.facts['column']}": (w.facts["rows"], w.facts.get("key", "")) for w in told}
    assert len(found) == len(told)
    return found


def refusing(engine: Engine, condition: str, table: str = "t") -> list[str]:
    """Triggers that refuse rows on an update for which a condition over `new` holds."""
    name = f"{table}_refuses"
    if engine == "sqlite":
        return [
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        ]
    if engine == "mysql":
        refuse = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'"
        return [
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW BEGIN IF {condition} THEN {refuse}; END IF; END"
        ]
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {condition} THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END IF; RETURN new; END $$",
        f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
    ]
