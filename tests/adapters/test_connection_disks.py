"""Disks that are full, of the source and of the target: told as such, not tried again, and a rerun goes on."""

from __future__ import annotations

import pwd
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from breakable import Postgres, done, engine_of, mariadb, only_whole_windows, plan_of
from connection_shop import EACH, ITEM, PAIRS, ROWS, everywhere, limited, refused, servers
from connection_shop import shop as shop
from connection_shop import short_pauses as short_pauses
from scenario import Scenario, pair_name


@dataclass(frozen=True)
class Disk:
    """A file system of its own, in a folder that servers can reach."""

    place: Path

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.place)], check=True)


@contextmanager
def mounted(place: Path, size: str, user: str | None = None) -> Iterator[Disk]:
    owner = f",uid={pwd.getpwnam(user).pw_uid},mode=0700" if user else ""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}{owner}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def folder_of_all() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="syncline-cramped-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def wide(shop: Scenario) -> list[tuple[Any, ...]]:
    """Some 450 kB of texts that do not compress."""
    chance = random.Random(1)
    rows = [(n, chance.randbytes(750).hex(), n % 7) for n in range(ROWS)]
    shop.source.execute("DROP TABLE things", "CREATE TABLE things (k bigint NOT NULL, v varchar(1600), n integer)")
    shop.source.insert("things", rows)
    return rows


NEW: str = "CREATE TABLE item (k bigint PRIMARY KEY, v varchar(1600), n integer)"


@pytest.mark.parametrize("shop", [PAIRS[1]], indirect=True, ids=pair_name)
def test_a_full_disk_of_the_target(shop: Scenario, request: pytest.FixtureRequest, folder_of_all: Path) -> None:
    target = engine_of("postgresql", request)
    rows = wide(shop)
    with mounted(folder_of_all, "256k", target.user) as disk:
        target.ask(f"CREATE TABLESPACE cramped LOCATION '{disk.place}'")
        shop.target.execute("DROP TABLE item", f"{NEW} TABLESPACE cramped")
        try:
            said = refused(shop)
            assert "No space left on device" in said
            assert "Fix: free space" in said
            assert "Tried" not in said
            assert only_whole_windows(shop) < len(plan_of(shop).windows())
            disk.resize("8m")
            done(shop, shop.run(), rows)
        finally:
            shop.target.execute("DROP TABLE item")
            target.ask("DROP TABLESPACE cramped")


@pytest.mark.parametrize("shop", [PAIRS[0]], indirect=True, ids=pair_name)
def test_a_full_tablespace_of_the_target(shop: Scenario) -> None:
    """InnoDB's own, which may not grow: on a file system that is full, MariaDB 10.11 dies."""
    rows = wide(shop)
    with mariadb("--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:16M") as small:
        shop.target = small.side("core")
        shop.target.execute(NEW)
        shop.target.execute("CREATE TABLE filler (v varchar(3000))")
        with pytest.raises(pymysql.OperationalError, match="is full"):
            while True:
                shop.target.execute("INSERT INTO filler SELECT repeat('x', 3000) FROM seq_1_to_30")
        shop.target.execute("DELETE FROM filler LIMIT 60")
        shop.write({"item": ITEM}, defaults={"window": {"rows": EACH}})
        said = refused(shop)
        assert "is full" in said
        assert "Fix: free space" in said
        assert "Tried" not in said
        assert only_whole_windows(shop) < len(plan_of(shop).windows())
        shop.target.execute("DROP TABLE filler")
        small.ask("SET GLOBAL innodb_max_purge_lag_wait = 0")  # returns when what was dropped has been freed
        done(shop, shop.run(), rows)


@everywhere
def test_a_full_disk_of_the_source(shop: Scenario, request: pytest.FixtureRequest, folder_of_all: Path) -> None:
    """Where it puts what does not fit into its memory while it sorts."""
    source, _ = servers(shop, request)
    rows = wide(shop)
    before = shop.target.content()
    with ExitStack() as stack:
        if isinstance(source, Postgres):
            disk = stack.enter_context(mounted(folder_of_all, "128k", source.user))
            source.ask(f"CREATE TABLESPACE cramped LOCATION '{disk.place}'")
            stack.callback(source.ask, "DROP TABLESPACE cramped")
            name = urlsplit(shop.source.place).path[1:]
            source.ask(f"ALTER DATABASE {name} SET temp_tablespaces = 'cramped'")
            source.ask(f"ALTER DATABASE {name} SET work_mem = '64kB'")
        else:
            disk = stack.enter_context(mounted(source.server.folder / "tmp", "128k"))
            stack.enter_context(limited(source, ["sort_buffer_size"], "200000"))
        name = f"{shop.source.schema}.things" if shop.source.schema else "things"
        item = {**ITEM, "from": {"query": f"SELECT k, v, n FROM {name} ORDER BY v LIMIT 1000"}}
        shop.write({"item": item}, defaults={"window": {"rows": 10_000}})
        said = refused(shop)
        assert "No space left on device" in said
        assert "Tried" not in said
        assert "Fix: free space" in said
        assert shop.target.content() == before
        disk.resize("8m")
        done(shop, shop.run(), rows)
