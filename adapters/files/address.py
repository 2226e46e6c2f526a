"""What a URL of files names: a file, a glob or a folder, on this machine or elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow import fs as arrow_filesystems

from adapters.secrets import masked
from transforms.vocabulary import ConnectionFailed, SpecError

SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "parquet": (".parquet", ".pq", ".parq"),
    "csv": tuple(f"{kind}{packed}" for kind in (".csv", ".tsv", ".txt") for packed in ("", ".gz", ".zst", ".bz2")),
    "jsonl": tuple(f"{kind}{packed}" for kind in (".jsonl", ".ndjson") for packed in ("", ".gz", ".zst", ".bz2")),
    "arrow": (".arrow", ".feather", ".ipc"),
}
"""By the scheme of a URL, how the names of files end that a folder is searched for."""

_GLOB: Final = re.compile(r"[*?\[]")
_REMOTE: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
BRIDGE: Final = "syncline"
"""The scheme under which DuckDB reads file systems that pyarrow opens and fsspec does not."""


class Bridge(ArrowFSWrapper):  # type: ignore[misc]
    """A file system of pyarrow's, for DuckDB."""

    protocol = BRIDGE


@dataclass(frozen=True)
class Address:
    """`kind` is the format, `path` what is behind the scheme, `options` what stands behind the question mark."""

    url: str
    kind: str
    path: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def remote(self) -> bool:
        return bool(_REMOTE.match(self.path))

    @property
    def is_glob(self) -> bool:
        return bool(_GLOB.search(self.path.partition("://")[2] if self.remote else self.path))

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system, and the path in it. ConnectionFailed where nothing opens the address."""
        if not self.remote:
            return fsspec.filesystem("file"), os.path.abspath(self.path)  # noqa: PTH100 - a glob is no path
        try:
            return fsspec.core.url_to_fs(self.path)  # type: ignore[no-any-return]
        except (ImportError, ValueError) as error:
            try:
                system, path = arrow_filesystems.FileSystem.from_uri(self.path)
            except (OSError, ValueError, NotImplementedError):
                raise ConnectionFailed(
                    f"{masked(self.path)} cannot be opened: {error}.",
                    fix="install the package of fsspec for it, such as s3fs, gcsfs or adlfs, or correct the address.",
                ) from error
            return Bridge(system), path

    @property
    def system(self) -> Any:
        return self._opened[0]

    @property
    def root(self) -> str:
        return self._opened[1]

    def as_read(self, path: str) -> str:
        """A path of the file system as DuckDB takes it, without anything that it would take for a glob."""
        plain = _GLOB.sub(lambda found: f"[{found[0]}]", path)
        if not self.remote:
            return plain
        protocol = self.system.protocol
        scheme = protocol if isinstance(protocol, str) else protocol[0]
        return f"{scheme}://{plain.removeprefix('/') if scheme == 'memory' else plain}"


def address_of(url: str) -> Address:
    """Take a URL apart: `csv:///relative`, `csv:////absolute`, `csv://s3://bucket/path`, each with options behind a question mark.

    Errors: SpecError for a URL that names nothing.
    """
    scheme, _, rest = url.partition("://")
    kind = scheme.lower()
    path, options = _parted(rest)
    if not _REMOTE.match(path):
        if not path.startswith("/") or path == "/":
            raise SpecError(
                f"{masked(url)} does not name a file or a folder.",
                fix=f"write {kind}:///relative/path, {kind}:////absolute/path or {kind}://s3://bucket/path.",
            )
        path = path[1:]
    return Address(masked(f"{scheme}://{_parted(rest)[0]}"), kind, path, options)


def _parted(rest: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The path and its options. A question mark in a glob has no `name=` behind it."""
    found = re.search(r"\?(?=[a-z_]+=)", rest)
    if found is None:
        return rest, ()
    return rest[: found.start()], tuple(parse_qsl(rest[found.end() :], keep_blank_values=True))
