"""Which tables an address holds, which files each is made of, and whether these are still as they were."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

from adapters.files.address import SUFFIXES, Address
from transforms.vocabulary import ConnectionFailed, DataError, SnapshotLost, SpecError

NULL_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"
_PARTITION: Final = re.compile(r"^([^=]+)=(.*)$")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another: size, time, and the inode or what a server calls the state."""

    size: int
    changed: str
    identity: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of a table. `partitions` are those of its path, `key=value`; a null has None."""

    path: str
    stamp: Stamp
    partitions: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Files:
    """A table: its name, and its files in the order of their paths."""

    name: str
    files: tuple[File, ...]
    address: Address

    @property
    def paths(self) -> list[str]:
        """As DuckDB takes them."""
        return [self.address.as_read(each.path) for each in self.files]

    @property
    def state(self) -> str:
        """A text that names the state of all files."""
        digest = hashlib.sha256(repr([(each.path, each.stamp) for each in self.files]).encode())
        return digest.hexdigest()[:16]

    def unchanged(self) -> None:
        """SnapshotLost where a file is no more as it was when the table was listed."""
        for each in self.files:
            try:
                now = stamp(self.address, each.path)
            except FileNotFoundError:
                now = None
            if now != each.stamp:
                what = "was removed" if now is None else "was changed"
                raise SnapshotLost(
                    f"{each.path} {what} while it was read. Nothing was written.",
                    fix="run it again once nobody writes to the file; write new files beside it and rename them into place.",
                )


def stamp(address: Address, path: str) -> Stamp:
    """The state of a file. FileNotFoundError where it is gone."""
    if not address.remote:
        found = os.stat(path)  # noqa: PTH116
        return Stamp(found.st_size, str(found.st_mtime_ns), f"{found.st_dev}:{found.st_ino}")
    info = address.system.info(path)
    changed = next(
        (info[each] for each in ("mtime", "LastModified", "updated", "last_modified", "created") if info.get(each)), ""
    )
    identity = next(
        (info[each] for each in ("ETag", "etag", "md5Hash", "generation", "VersionId") if info.get(each)), ""
    )
    return Stamp(int(info["size"] or 0), str(changed), str(identity))


def tables(address: Address) -> dict[str, Files]:
    """The tables at an address, by name, sorted.

    A file or a glob is one table: of the file's name without its ending, or of what the glob's last part begins with, else of its
    folder. In a folder each file is a table, and each folder that holds files, however deep; a folder that is cut into
    `key=value` is one table itself. What begins with . or _ is passed over.
    Errors: ConnectionFailed for what is not there or may not be read, SpecError for two tables of one name.
    """
    system, root = address.system, address.root
    if address.is_glob:
        found = sorted(each for each in system.glob(root) if system.isfile(each))
        if not found:
            raise ConnectionFailed(f"No file matches {address.url}.", fix="correct the pattern in the URL.")
        return {name: _table(address, name, found, _base(root)) for name in [_of_glob(root)]}
    if not system.exists(root):
        raise ConnectionFailed(f"There is no file or folder {root}.", fix="correct the path in the URL.")
    _readable(address, root)
    if system.isfile(root):
        return {name: _table(address, name, [root], str(PurePosixPath(root).parent)) for name in [stem(root)]}
    return _in_folder(address, root)


def _in_folder(address: Address, root: str) -> dict[str, Files]:
    entries = sorted((each for each in address.system.ls(root, detail=True)), key=lambda each: str(each["name"]))
    seen = [each for each in entries if not PurePosixPath(each["name"]).name.startswith((".", "_"))]
    folders = [each["name"].rstrip("/") for each in seen if _is_folder(address, each)]
    if any(_PARTITION.match(PurePosixPath(each).name) for each in folders):
        name = PurePosixPath(root).name
        return {name: _table(address, name, _below(address, root), root)}
    made: dict[str, Files] = {}
    for name, paths, base in (
        *(
            (stem(each["name"]), [each["name"]], root)
            for each in seen
            if _fits(address, each["name"]) and not _is_folder(address, each)
        ),
        *((PurePosixPath(each).name, _below(address, each), each) for each in folders),
    ):
        if not paths:
            continue
        if twin := next((each for each in made.values() if each.name.lower() == name.lower()), None):
            raise SpecError(
                f"{twin.files[0].path} and {paths[0]} would both be the table {name}.",
                fix="name one of them in the URL, or give them names that differ before the ending.",
            )
        made[name] = _table(address, name, paths, base)
    return dict(sorted(made.items()))


def _is_folder(address: Address, entry: Any) -> bool:
    """Links to folders are folders."""
    return bool(entry["type"] == "directory" or (entry["type"] != "file" and address.system.isdir(entry["name"])))


def _below(address: Address, folder: str) -> list[str]:
    """The files of a folder, however deep."""
    _readable(address, folder)
    real = folder if address.remote else os.path.realpath(folder)
    found = []
    for path in address.system.find(real):
        inside = str(path)[len(real.rstrip("/")) + 1 :]
        if _fits(address, path) and not any(part.startswith((".", "_")) for part in PurePosixPath(inside).parts):
            found.append(str(path))
    return sorted(found)


def _table(address: Address, name: str, paths: Sequence[str], base: str) -> Files:
    files = []
    for path in paths:
        _readable(address, path)
        try:
            files.append(File(path, stamp(address, path), _partitions(path, base)))
        except FileNotFoundError as error:
            raise ConnectionFailed(f"There is no file {path} any more.", fix="run it again.") from error
    if len({tuple(key for key, _ in each.partitions) for each in files}) > 1:
        odd = next(each for each in files if [k for k, _ in each.partitions] != [k for k, _ in files[0].partitions])
        raise DataError(
            f"{odd.path} lies in other partitions than {files[0].path}.",
            fix="bring the folders of all files of a table to the same key=value parts.",
        )
    return Files(name, tuple(files), address)


def _partitions(path: str, base: str) -> tuple[tuple[str, str | None], ...]:
    real = os.path.realpath(base)
    start = next((each for each in (base, real) if path.startswith(each.rstrip("/") + "/")), "")
    found = (_PARTITION.match(each) for each in PurePosixPath(path[len(start) :]).parts[:-1])
    return tuple((unquote(each[1]), None if each[2] == NULL_PARTITION else unquote(each[2])) for each in found if each)


def _readable(address: Address, path: str) -> None:
    if not address.remote and not os.access(path, os.R_OK):
        raise ConnectionFailed(
            f"{path} may not be read by this user.", fix="give the right to read it (chmod, or the group of the file)."
        )


def _fits(address: Address, path: str) -> bool:
    return str(path).lower().endswith(SUFFIXES[address.kind])


def stem(path: str) -> str:
    """The name of a file without its endings, such as .csv.gz."""
    name = PurePosixPath(path).name
    ending = next((each for each in _endings() if name.lower().endswith(each)), PurePosixPath(name).suffix)
    return name[: len(name) - len(ending)] or name


def _endings() -> Iterable[str]:
    return sorted((each for some in SUFFIXES.values() for each in some), key=len, reverse=True)


def _of_glob(pattern: str) -> str:
    last = PurePosixPath(pattern).name
    begins = re.split(r"[*?\[]", last)[0].rstrip("-_. ")
    return begins or PurePosixPath(_base(pattern)).name or "files"


def _base(pattern: str) -> str:
    """The last folder of a glob before its first wildcard."""
    return re.split(r"[*?\[]", pattern)[0].rpartition("/")[0] or "/"
