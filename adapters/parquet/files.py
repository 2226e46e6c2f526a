"""Where tables of Parquet files lie, and how one state of a table takes the place of another at once.

<folder>/<table>                              a link to the state that holds: what readers open
<folder>/.syncline/tables/<table>/<number>/   a state: its parts, those that did not change as hard links, and its manifest
<folder>/.syncline/reading                    held shared by whoever reads, so that no state goes away under them
<folder>/.syncline/locks/                     held by whoever writes a table, and for each migration

The commit is the rename of a new link over the old one: before it nothing of a state is seen, after it all of it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from adapters.parquet import manifest as manifests
from adapters.parquet.manifest import Manifest, Marked, Part
from adapters.plain_files import sync_folder
from transforms.vocabulary import BusyError, ConnectionFailed, Marker, SpecError, SynclineError, TransientError

OWN: Final = ".syncline"
WAIT_SECONDS: Final = 60.0  # for another process that writes the same table: a window takes seconds
PAUSE_SECONDS: Final = 0.02
_SAFE: Final = " !#$&'()+,;=@[]{}~^-_."  # what names of files may have on every system, besides letters and digits
_LONGEST: Final = 240  # bytes of a file's name


@dataclass(frozen=True, slots=True)
class State:
    """A table in one state. `own`: its folder is a link that Syncline set, so that it can be replaced."""

    folder: Path
    manifest: Manifest
    own: bool

    @property
    def number(self) -> int:
        return int(self.folder.name) if self.own else 0

    def markers(self) -> Iterator[Marked]:
        return manifests.markers_of(self.folder, self.manifest)

    def has(self, marker: Marker) -> bool:
        return any(each.has(marker) for each in self.markers())

    def paths(self) -> list[Path]:
        return [self.folder / each.file for each in self.manifest.parts]


def file_name(table: str) -> str:
    """What a table's folder is called: its name, with % and two digits for what a file cannot be called."""
    named = "".join(each if ord(each) > 127 or each.isalnum() else quote(each, safe=_SAFE) for each in table)
    if named[:1] in (".", "_"):  # readers pass over such folders
        named = f"%{ord(named[0]):02X}{named[1:]}"
    if not named or len(named.encode()) > _LONGEST:
        raise SpecError(
            f"{table!r} cannot be the name of a folder.", fix=f"choose one of 1 to {_LONGEST} bytes as a file's name."
        )
    return named


class Folder:
    """The folder of a database's tables. `create`: the first write makes it."""

    def __init__(self, root: Path, *, create: bool) -> None:
        self.root = root
        self._create = create

    @property
    def _own(self) -> Path:
        return self.root / OWN

    def tables(self) -> list[str]:
        """The tables that have a manifest, sorted."""
        self.must_exist()
        if not self.root.is_dir():
            return []
        found = [each.name for each in self.root.iterdir() if (each / manifests.NAME).is_file()]
        return sorted(map(unquote, found))

    def must_exist(self) -> None:
        """ConnectionFailed where there is no folder, and none may be made."""
        if self.root.is_dir():
            return
        if self.root.exists():
            raise ConnectionFailed(f"{self.root} is no folder.", fix="name a folder in the URL: it holds the tables.")
        if not self._create or not self.root.parent.is_dir():
            missing = self.root if self.root.parent.is_dir() else self.root.parent
            raise ConnectionFailed(
                f"There is no folder {missing} for {self.root.name}.", fix="create it or correct the URL."
            )

    def state(self, table: str) -> State | None:
        """A table as it is now, None where there is none. To be asked while `reading`, or for a look at the manifest alone."""
        self.must_exist()
        link = self.root / file_name(table)
        while True:
            folder = link.resolve()
            try:
                return State(folder, manifests.read(folder), link.is_symlink() and self._made(table) == folder.parent)
            except (FileNotFoundError, NotADirectoryError):
                if link.resolve() == folder:  # else it was replaced just now
                    return None

    def _made(self, table: str) -> Path:
        return self._own.resolve() / "tables" / file_name(table)

    def taken(self, table: str) -> bool:
        """Whether something is there under the name of a table, of which nothing is known."""
        return os.path.lexists(self.root / file_name(table)) and self.state(table) is None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """No state that is seen inside goes away before the end. A folder that nobody wrote to needs no lock."""
        try:
            handle = os.open(self._own / "reading", os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def writing(self, table: str) -> Iterator[None]:
        """Nobody else writes a table inside. TransientError where another process does so for long."""
        handle = self._lock_file(f"table {file_name(table)}")
        try:
            deadline = time.monotonic() + WAIT_SECONDS
            while not _locked(handle):
                if time.monotonic() > deadline:
                    raise TransientError(f"Another process has been writing {self.root / file_name(table)} for long.")
                time.sleep(PAUSE_SECONDS)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """The lock of a migration. BusyError where another process has it."""
        handle = self._lock_file(f"migration {file_name(name)}")
        try:
            if not _locked(handle):
                raise BusyError(f"Another run of {name} writes to {self.root}.", fix="wait until it has ended.")
            yield
        finally:
            os.close(handle)

    def _lock_file(self, name: str) -> int:
        self.must_exist()
        with self.refusing():
            (self._own / "locks").mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._own / "reading", os.O_RDWR | os.O_CREAT, 0o666))
            return os.open(self._own / "locks" / name, os.O_RDWR | os.O_CREAT, 0o666)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """What the system refuses inside becomes an error of ours."""
        try:
            yield
        except OSError as error:
            what = f"Cannot write to {self.root}: {error.strerror or error}. Nothing of it was changed."
            fix = "free space." if error.errno in (errno.ENOSPC, errno.EDQUOT) else "let this user write to the folder."
            raise ConnectionFailed(what, fix=fix) from error

    def begin(self, table: str, after: State | None) -> Path:
        """An empty folder for the state of a table that is to come; what a killed writer left is taken away. To be asked while
        `writing`."""
        made = self._made(table)
        with self.refusing():
            made.mkdir(parents=True, exist_ok=True)
            number = after.number if after is not None else max(map(int, _numbered(made)), default=0)
            for each in _numbered(made):
                if int(each) > number:
                    shutil.rmtree(made / each)
            folder = made / f"{number + 1:08}"
            folder.mkdir()
        return folder

    def keep(self, folder: Path, state: State, file: str) -> None:
        """Take a file over into the state that is to come."""
        try:
            os.link(state.folder / file, folder / file)
        except FileNotFoundError as error:
            raise changed(state, f"{file} is gone") from error
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP):
                raise
            raise ConnectionFailed(
                f"The file system of {self.root} has no hard links: {error.strerror}.",
                fix="put the folder on another file system.",
            ) from error

    def commit(self, table: str, folder: Path, manifest: Manifest) -> None:
        """Let a state hold that `begin` began, and whose parts are in place. Errors: OSError, and nothing has changed then."""
        manifests.write(folder, manifest)
        sync_folder(folder)
        sync_folder(folder.parent)
        fresh = self._own / "locks" / f"link {file_name(table)}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path(OWN) / "tables" / file_name(table) / folder.name)
        fresh.rename(self.root / file_name(table))
        sync_folder(self.root)

    def drop(self, table: str) -> None:
        """Take a table away. To be asked while `writing`."""
        with self.refusing():
            (self.root / file_name(table)).unlink()
            sync_folder(self.root)
        self.tidy(table)

    def tidy(self, table: str) -> None:
        """Take away the states of a table that are no more, but for the last of them, which somebody outside may still read. Where
        somebody reads, the next one does it."""
        made = self._made(table)
        with suppress(OSError):
            handle = os.open(self._own / "reading", os.O_RDONLY)
            try:
                if not _locked(handle):
                    return
                current = self.state(table)
                number = current.number if current is not None else 0
                for each in _numbered(made):
                    if current is None or int(each) < number - 1:
                        shutil.rmtree(made / each)
                if current is None:
                    made.rmdir()
            finally:
                os.close(handle)


def changed(state: State, why: str) -> SynclineError:
    """Somebody else touched the files of a table."""
    return SynclineError(
        f"{state.folder}: {why}, since Syncline wrote the table {state.manifest.table}. Nothing was written.",
        fix=(
            "put back what was there, from a backup or `.syncline/tables`; or take the table's link away, and the next run makes "
            "the table anew."
        ),
    )


def check(state: State) -> None:
    """Every file of the table is as it was written, as far as its size and time say; where the time is another, by its digest."""
    known = {each.file: each for each in state.manifest.parts}
    there = {each.name for each in state.folder.iterdir() if not each.name.startswith((".", "_"))}
    if odd := sorted(there ^ known.keys()):
        raise changed(state, f"{odd[0]} {'was added' if odd[0] in there else 'is gone'}")
    for part in known.values():
        found = (state.folder / part.file).stat()
        if found.st_size != part.nbytes or (found.st_mtime_ns != part.written and not _is(state, part)):
            raise changed(state, f"{part.file} was changed")


def check_whole(state: State, part: Part) -> None:
    """A part is as it was written, byte for byte."""
    if not _is(state, part):
        raise changed(state, f"{part.file} was changed")


def _is(state: State, part: Part) -> bool:
    try:
        return digest_of(state.folder / part.file) == part.digest
    except FileNotFoundError:
        return False


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finished(path: Path, rows: int) -> Part:
    """A file that was written just now, made to last."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        found = os.fstat(file.fileno())
    return Part(path.name, rows, found.st_size, digest_of(path), found.st_mtime_ns)


def _numbered(made: Path) -> list[str]:
    return [each.name for each in made.iterdir() if each.name.isdigit()]


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
