"""Documents as sources and targets of whole commands: what is written, shown, undone and refused."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import answer, syncline

from flows.cli.main import main

YAML = "# head\nserver:\n  port: 8080  # which\n  host: 'web'\nflags: [a, b]\nsince: 2020-01-01\n"
SPEC = """\
version: 1
name: config
source: {{url: "{source}"}}
target: {{url: "{target}"}}
state: {{url: "sqlite:///state/ledger.db", store: state/store}}
defaults: {{delete: {{policy: hard, max_ratio: 1}}}}
tables:
  {target_table}:
    from: {source_table}
    key: [path]
    columns: {columns}
"""
ALL = "{path: path, value: value, kind: kind}"


def spec(
    folder: Path, source: str, target: str, source_table: str = "centre", target_table: str = "web", columns: str = ALL
) -> Path:
    path = folder / "spec.yaml"
    path.write_text(
        SPEC.format(source=source, target=target, source_table=source_table, target_table=target_table, columns=columns)
    )
    return path


def test_a_document_becomes_another_with_its_comments_and_is_undone_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "centre.yaml").write_text(YAML)
    web = tmp_path / "web.toml"
    before = "# mine\nsince = 1999-01-01 # when\nflags = ['a', \"c\"]\n\n[server]\nport = 0x50 # which\nhost = 'x'\n"
    web.write_text(before)
    web.chmod(0o640)
    path = spec(tmp_path, "yaml:///centre.yaml", "toml:///web.toml")
    syncline("run", path, "--direct", "--yes")
    assert web.read_text() == (
        '# mine\nsince = 2020-01-01 # when\nflags = [\'a\', "b"]\n\n[server]\nport = 8080 # which\nhost = "web"\n'
    )
    assert web.stat().st_mode & 0o777 == 0o640
    syncline("plan", path)
    syncline("verify", path)
    syncline("undo", path, 1, "--direct", "--yes")
    assert web.read_text() == before


def test_a_database_and_a_document_tell_each_other_the_exact_type_of_every_value(tmp_path: Path) -> None:
    rows = [
        ("a.int", "1", "int"), ("a.float", "1.0", "float"), ("a.text", "1", "text"), ("a.bool", "true", "bool"),
        ("a.big", str(2**70), "int"), ("a.none", None, "null"), ("a.day", "2020-01-31", "date"), ("b[0]", "x", "text"),
        ('"x.y".""', "2020-01-31T10:00:00Z", "datetime"), ("empty", None, "map"),
    ]  # fmt: skip
    with sqlite3.connect(tmp_path / "centre.db") as there:
        there.execute("CREATE TABLE centre (path TEXT PRIMARY KEY, value TEXT, kind TEXT)")
        there.executemany(
            "INSERT INTO centre VALUES (?, ?, ?)", [*rows, ("bad..path", "1", "int"), ("a.wrong", "x", "int")]
        )
    path = spec(tmp_path, "sqlite:///centre.db", "yaml:///web.yaml")
    report = answer("run", path, "--direct", "--yes")["tables"]["web"]
    assert (report["insert"], report["quarantined"]) == (len(rows), 2)
    assert (tmp_path / "web.yaml").read_text() == (
        'x.y:\n  "": 2020-01-31T10:00:00Z\na:\n  big: 1180591620717411303424\n  bool: true\n  day: 2020-01-31\n  float: 1.0\n'
        '  int: 1\n  none: null\n  text: "1"\nb:\n  - x\nempty: {}\n'
    )
    syncline("verify", path)


def test_a_part_goes_out_with_its_defaults_under_other_names(tmp_path: Path) -> None:
    (tmp_path / "centre.yaml").write_text("common: {port: 80, host: h}\nparts:\n  web:\n    port: 8080\n")
    (tmp_path / "web.env").write_text("# mine\nWEB_PORT=1 # which\n")
    columns = "{path: {from: path, map: {port: WEB_PORT, host: WEB_HOST}}, value: value}"
    path = spec(tmp_path, "yaml:///centre.yaml?at=parts.web&defaults=common", "env:///web.env", columns=columns)
    syncline("run", path, "--direct", "--yes")
    assert (tmp_path / "web.env").read_text() == "# mine\nWEB_PORT=8080 # which\nWEB_HOST=h\n"


def test_an_edit_between_plan_and_apply_is_a_conflict_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "centre.json").write_text('{"a": 2, "b": 2}\n')
    web = tmp_path / "web.ini"
    web.write_text("; mine\na = 1\nb = 1\n")
    path = spec(tmp_path, "json:///centre.json", "ini:///web.ini", columns="{path: path, value: value}")
    syncline("plan", path, "-o", tmp_path / "plan", status=2)
    web.write_text("; mine, and edited\na = 7\nb = 1\n")
    syncline("apply", "--direct", "--yes", tmp_path / "plan", status=5)
    assert web.read_text() == "; mine, and edited\na = 7\nb = 2\n"


BAD = {
    "a: &x {b: 1}\nA:\n  <<: *x\n  <<: *x\n": ("yaml", 4, "twice"),
    "a: &x 1\nA: {<<: *x}\n": ("yaml", 2, "takes in what is no mapping"),
    "a: 1\nA: *x\n": ("yaml", 2, "undefined alias"),
    "a: 1\nb: 2\na: 3\n": ("yaml", 3, "twice"),
    "a: 1\n---\nb: 1\n": ("yaml", 2, "document"),
    "a:\n\tb: 1\n": ("yaml", 2, "no YAML"),
    "a: !own 1\n": ("yaml", 1, "tag"),
    '{"a": 1,\n "a": 2}': ("json", 2, "twice"),
    '{"a": 1,\n}': ("json", 2, "name in double quotes"),
    " ": ("json", 1, "empty"),
    "a = 1\nb = \n": ("toml", 2, "no TOML"),
    "a = 1\na = 2\n": ("toml", 2, "no TOML"),
    "[s]\na = 1\na = 2\n": ("ini", 3, "twice"),
    "A=1\nnot an entry\n": ("env", 2, "behind"),
    "A=1\nB='x\n": ("env", 2, "quote"),
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_document_is_an_error_with_its_file_and_line_and_nothing_is_written(
    tmp_path: Path, text: str
) -> None:
    scheme, line, word = BAD[text]
    web = tmp_path / f"web.{scheme}"
    web.write_text(text)
    (tmp_path / "centre.yaml").write_text("A: q\n")
    columns = ALL if scheme in ("yaml", "json", "toml") else "{path: path, value: value}"
    path = spec(tmp_path, "yaml:///centre.yaml", f"{scheme}:///web.{scheme}", columns=columns)
    said = syncline("run", path, "--direct", "--yes", status=1).output
    assert f"web.{scheme}:{line}:" in said.replace("\n", "")
    assert word in said
    assert "Fix:" in said
    assert web.read_text() == text


def test_bytes_that_say_how_a_file_is_encoded_stay_and_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "centre.yaml").write_text("a: ü\nb: 2\n")
    real = tmp_path / "elsewhere" / "real.yaml"
    real.parent.mkdir()
    real.write_bytes(b"\xef\xbb\xbf# head\r\na: 1\r\n")
    (tmp_path / "web.yaml").symlink_to(real)
    path = spec(tmp_path, "yaml:///centre.yaml", "yaml:///web.yaml")
    syncline("run", path, "--direct", "--yes")
    assert real.read_bytes() == "\ufeff# head\r\na: ü\r\nb: 2\r\n".encode()
    assert (tmp_path / "web.yaml").is_symlink()
    real.write_bytes("# head\na: ü\n".encode("latin-1"))
    assert "web.yaml:2: this is no UTF-8" in syncline("plan", path, status=1).output
    (tmp_path / "centre.yaml").unlink()
    assert "There is no file" in syncline("plan", path, status=1).output
    assert os.listdir(real.parent) in (["real.yaml", ".real.yaml.syncline"], [".real.yaml.syncline", "real.yaml"])  # noqa: PTH208


def test_secrets_go_from_document_to_document_and_are_shown_nowhere(tmp_path: Path) -> None:
    centre, web = tmp_path / "centre.yaml", tmp_path / "web.toml"
    centre.write_text("db:\n  password: hunter-one\n  host: h\n")
    web.write_text('[db]\npassword = """hunter-old"""\nhost = "h"\n')
    path = spec(tmp_path, "yaml:///centre.yaml", "toml:///web.toml")
    path.write_text(path.read_text() + 'documents: {secret: ["*.password"]}\n')
    said = [syncline("plan", path, status=2).output, syncline("plan", path, "--json", status=2).output]
    said.append(syncline("run", path, "--direct", "--yes").output)
    assert web.read_text() == '[db]\npassword = "hunter-one"\nhost = "h"\n'
    said += [syncline("plan", path).output, syncline("history", path).output, syncline("verify", path).output]
    centre.write_text("db:\n  password: [hunter-one]\n  host: h\n")
    said.append(CliRunner().invoke(main, ["plan", str(path)]).output)
    said.append(syncline("undo", path, 1, "--direct", "--yes").output)
    assert "hunter-old" in web.read_text()
    assert not any("hunter" in each for each in said)
    kept = {each for each in tmp_path.rglob("*") if each.is_file()} - {centre, web}
    knowing = {each.name for each in kept if b"hunter" in each.read_bytes()}
    assert knowing == {"secrets.jsonl"}
    (vault,) = tmp_path.rglob("secrets.jsonl")
    assert vault.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text().replace("toml:///web.toml", "sqlite:///web.db"))
    assert "no document" in syncline("plan", path, status=1).output


def test_items_of_a_list_go_by_their_key_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "centre.yaml").write_text("items:\n- {name: b, port: 2}\n- {name: a, port: 1}\n")
    (tmp_path / "web.yaml").write_text("items:\n# the first\n- name: a\n  port: 9 # a's\n- name: c\n  port: 3\n")
    path = spec(tmp_path, "yaml:///centre.yaml", "yaml:///web.yaml")
    path.write_text(path.read_text() + "documents: {lists: {items: {by: name}}}\n")
    syncline("run", path, "--direct", "--yes")
    assert (
        tmp_path / "web.yaml"
    ).read_text() == "items:\n# the first\n- name: a\n  port: 1 # a's\n- name: b\n  port: 2\n"
    syncline("plan", path)


def test_documents_go_both_ways_and_what_both_changed_is_a_conflict(tmp_path: Path) -> None:
    centre, web = tmp_path / "centre.yaml", tmp_path / "web.toml"
    centre.write_text("common:\n  host: h # all\nparts:\n  web:\n    port: 80 # web\n    mode: a\n")
    web.write_text('# mine\nport = 80\nhost = "h"\nmode = "a"\n')
    path = spec(tmp_path, "yaml:///centre.yaml?at=parts.web&defaults=common", "toml:///web.toml")
    path.write_text(path.read_text() + "direction: two_way\nconflict: {resolve: manual}\n")
    syncline("run", path, "--direct", "--yes")
    web.write_text('# mine\nport = 80\nhost = "own"\nmode = "t"\n')
    centre.write_text(centre.read_text().replace("port: 80", "port: 90").replace("mode: a", "mode: c"))
    syncline("run", path, "--direct", "--yes", status=5)
    assert web.read_text() == '# mine\nport = 90\nhost = "own"\nmode = "t"\n'
    assert centre.read_text() == (
        "common:\n  host: h # all\nparts:\n  web:\n    port: 90 # web\n    mode: c\n    host: own\n"
    )
    syncline("conflicts", path, "resolve", "--take", "target", "--all")
    syncline("run", path, "--direct", "--yes")
    assert "mode: t" in centre.read_text()
    syncline("verify", path)
