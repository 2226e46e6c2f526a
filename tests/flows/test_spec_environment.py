"""What a spec takes from around it: variables, secrets that never show, and files beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from specs import ROOT, SMALL, load, problems

from flows.spec.model import SecretRef, resolve_url


def test_the_environment_is_read_whole_and_inside_and_can_be_escaped(tmp_path: Path) -> None:
    text = SMALL.replace(
        "key: [id]", "where: \"a = '${YEAR}' and b = '$${YEAR}' and c = '$source'\", window: '${ROWS}'"
    )
    spec = load(tmp_path, text, YEAR="2013", ROWS="7")
    assert spec.tables["t"].where == "a = '2013' and b = '${YEAR}' and c = '$source'"
    assert spec.window_rows("t") == 7


def test_every_unset_variable_is_named_with_its_line(tmp_path: Path) -> None:
    text = SMALL.replace("sqlite:///a.db", "postgresql://${USER_A}:${PW}@h/d").replace("sqlite:///b.db", "${1}")
    assert problems(tmp_path, text) == [
        "spec.yaml:3: source.url needs the environment variable USER_A, which is not set. Fix: export USER_A=….",
        "spec.yaml:3: source.url needs the environment variable PW, which is not set. Fix: export PW=….",
        "spec.yaml:4: target.url has '${1}', which names no variable. Fix: write $${ for a plain ${.",
    ]


def test_secrets_never_show(tmp_path: Path) -> None:
    text = SMALL.replace("sqlite:///a.db", "postgresql://me:${PW}@h/d").replace(
        "sqlite:///b.db", "mysql://u:hun/t2@h/d"
    )
    text = text.replace("[id]", "[id], where: \"token = '${PW}'\"")
    spec = load(tmp_path, text, PW="s3cr3t-pw")
    shown = repr(spec) + str(spec) + repr(spec.source) + str(spec.target.url) + json.dumps(spec.document)
    shown += spec.source.model_dump_json() + spec.target.model_dump_json()
    assert "s3cr3t" not in shown and "hun" not in shown and "t2@" not in shown
    assert spec.document["source"]["url"] == "postgresql://me:***@h/d"
    assert spec.document["tables"]["t"]["where"] == "token = '${PW}'"
    assert spec.hidden("bad token s3cr3t-pw") == "bad token ${PW}"
    assert resolve_url(spec.source.url) == "postgresql://me:s3cr3t-pw@h/d"


def test_secrets_are_not_in_messages(tmp_path: Path) -> None:
    text = SMALL.replace("sqlite:///a.db", "${URL}").replace(
        "[id]", "[id], on_invalid: '${POLICY}', target: '${POLICY}.b.c'"
    )
    lines = problems(tmp_path, text, URL="s3cr3t-host", POLICY="secret-policy")
    assert len(lines) == 2 and "secret" not in "".join(lines) and "s3cr3t" not in "".join(lines)
    assert "not '${POLICY}'" in lines[1]
    text = SMALL.replace("key: [id]", "target: '${NAME}.b.c'")
    assert "'${NAME}.b.c' is not table" in problems(tmp_path, text, NAME="very-secret")[0]


# Places


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite:///a.db", "sqlite:///{folder}/a.db"),
        ("sqlite+pysqlite:///sub/a.db?mode=ro", "sqlite+pysqlite:///{folder}/sub/a.db?mode=ro"),
        ("duckdb:///../a.db", "duckdb:///{folder}/../a.db"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
        ("duckdb:///:memory:", "duckdb:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///file:a.db?uri=true", "sqlite:///file:a.db?uri=true"),
        ("postgresql://u@h/a.db", "postgresql://u@h/a.db"),
    ],
)
def test_relative_files_lie_beside_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, resolved: str
) -> None:
    monkeypatch.chdir("/")
    spec = load(tmp_path, SMALL.replace("sqlite:///a.db", url))
    assert resolve_url(spec.source.url) == resolved.format(folder=tmp_path)
    assert spec.state.store == tmp_path / ".syncline/store"
    assert resolve_url(spec.state.url) == f"sqlite:///{tmp_path}/.syncline/ledger.db"
    assert spec.folder == tmp_path


def test_a_url_may_be_a_secret_block(tmp_path: Path) -> None:
    spec = load(tmp_path, SMALL.replace('"sqlite:///a.db"', "{secret: legacy-url}"))
    assert isinstance(spec.source.url, SecretRef)
    assert spec.source.url.block == "legacy-url"


def test_a_prefect_server_that_is_away_is_a_clear_error(tmp_path: Path) -> None:
    program = (
        "from flows.spec.model import SecretRef, resolve_url\n"
        "try: resolve_url(SecretRef('legacy-url'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environ = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:1/api", "PREFECT_HOME": str(tmp_path)}
    environ |= {"DO_NOT_TRACK": "1", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.stdout.startswith(
        "ConnectionFailed The Prefect server that keeps the Secret block 'legacy-url' does not"
    )
