"""Files that live elsewhere: s3://, gs://, az://, https:// and the rest that fsspec reaches.

Nothing outside of this module knows fsspec. What it gives and takes are files of this machine. Its
errors are UsageError: what is asked of a place is asked before anything is sent, but for the files
of a folder and the output at the end, where the callers say what it means then.
"""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from glob import has_magic
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path, PurePosixPath
from secrets import token_hex
from shutil import copyfileobj
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pipeline.errors import PipelineError, UsageError, needs
from pipeline.hosts import is_local
from pipeline.showing import keep_address, without_login

# A chain, such as simplecache::s3://bucket, is one, too.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+::)*[a-z][a-z0-9+.-]+://", re.I)
_LOCAL = ("file", "local")
_WEB = ("http", "https")
# What tells one version of a file from the next; each kind of place has some of these.
_MARKS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")
_SILENT_SECONDS = 60
# Where a file that is begun can be given up, so that nobody ever sees it; elsewhere fsspec's
# `autocommit` is without effect. And where any file is put whole or not at all.
_UNDOING = ("s3", "s3a", "gs", "gcs", "memory")
_WHOLE = ("az", "abfs", "abfss", "adl")
_LOGGERS = ("fsspec", "s3fs", "aiobotocore", "botocore", "gcsfs", "google", "adlfs", "azure")
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
    "for a public bucket FSSPEC_S3_ANON=true",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


class Stored(NamedTuple):
    """A file of a folder elsewhere: its path in the folder, its size and what tells its version."""

    path: str
    size: int
    mark: str


def is_address(text: str) -> bool:
    """Return whether this is an address and no path."""
    return bool(_ADDRESS.match(text))


def local_path(text: str) -> Path | None:
    """Return the path that a file:// address, or no address at all, stands for."""
    scheme, colon, rest = text.partition("://")
    if not is_address(text):
        return Path(text)
    return Path(url2pathname(rest)) if colon and scheme.lower() in _LOCAL else None


def follow(path: Path) -> Path:
    """Return the file that a link leads to; of anything else the path itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def path_here(text: str) -> Path:
    """Return the path of what has to be a file of this machine; raise UsageError for an address."""
    path = local_path(text)
    if path is None:
        raise UsageError(f"{text} is an address: name a file of this machine")
    return path


class Place:
    """A file or a folder elsewhere. `address` is without what gives access to it."""

    def __init__(self, address: str) -> None:
        keep_address(address)
        self.address = without_login(address)
        self.scheme = re.split("://|::", address, maxsplit=1)[0].lower()
        self.is_web = self.scheme in _WEB
        self._wanted = address
        with self._failing():
            self._fs, self._path = _connect(address, self.scheme)
        if self.is_web:
            self.name = PurePosixPath(unquote(urlsplit(address).path)).name or "index"
        else:
            self._path = self._path.rstrip("/")
            self.name = PurePosixPath(self._path).name or self.address

    def __eq__(self, other: object) -> bool:
        """Return whether two addresses lead to the same."""
        return isinstance(other, Place) and self._whole == other._whole

    def __hash__(self) -> int:
        return hash(self._whole)

    @property
    def _whole(self) -> str:
        return str(self._fs.unstrip_protocol(self._path))

    def path_in(self, folder: Place) -> str | None:
        """Return the path in a folder; None if this is outside of it."""
        root = f"{folder._whole.rstrip('/')}/"
        return self._whole.removeprefix(root) if self._whole.startswith(root) else None

    def split(self) -> tuple[Place, str]:
        """Split a pattern into the folder that it starts from and the rest."""
        start, sign, rest = re.split("(://|::)", self._wanted, maxsplit=1)
        parts = rest.split("/")
        plain = list(takewhile(lambda part: not has_magic(part), parts))
        return Place(f"{start}{sign}{'/'.join(plain)}"), "/".join(parts[len(plain) :])

    def kind(self) -> Literal["file", "folder"] | None:
        """Ask what is there; None for nothing."""
        if self._wanted.endswith("/") and not self.is_web:
            return "folder"
        with self._failing():
            info = self._info()
        if info and self.is_web and not PurePosixPath(self.name).suffix:
            self.name += mimetypes.guess_extension(str(info.get("mimetype"))) or ""
        return ("folder" if info["type"] == "directory" else "file") if info else None

    def mark(self) -> str | None:
        """Ask which version of the file is there; None for none."""
        with self._failing():
            info = self._info()
        return _mark(info) if info else None

    def fetch(self, target: Path, path: str = "") -> None:
        """Copy the file, or the file of this path in the folder, to `target`."""
        with self._failing(path=path):
            self._fs.get_file(f"{self._path}/{path}" if path else self._path, str(target))

    def files(self, *, deep: bool = True) -> Iterator[Stored]:
        """List the files of the folder by their paths, as far as they are asked for.

        S3 gives its listing a page of 1,000 names at a time, other places a folder at a time.
        `deep` goes into the folders in it.
        """
        pages: Callable[[Any, str, bool], Iterator[dict[str, Any]]]
        pages = _s3_files if self.scheme in ("s3", "s3a") else _walk
        with self._failing():
            root = f"{self._path}/"
            for info in pages(self._fs, self._path, deep):
                yield Stored(str(info["name"]).removeprefix(root), info["size"] or 0, _mark(info))

    def check(self) -> None:
        """Raise UsageError if no file can be written here; leave nothing behind."""
        if self.is_web:
            raise UsageError(
                f"{self.address} can't be written: choose a place for files, or a path"
            )
        with self._failing("written"):
            if self.scheme in _UNDOING:
                file = self._fs.open(self._path, "wb", autocommit=False)
                file.write(b"\n")
                file.close()
                with suppress(Exception):  # what was never finished is forgotten anyway
                    file.discard()
            else:
                probe = self._draft()
                self._fs.pipe_file(probe, b"\n")
                self._fs.rm_file(probe)

    def put(self, source: Path) -> None:
        """Write a file here, whole or not at all."""
        with self._failing("written"):
            if self.scheme in _UNDOING:
                self._put_all(source)
            elif self.scheme in _WHOLE:
                self._fs.put_file(str(source), self._path)
            else:
                draft = self._draft()
                try:
                    self._fs.put_file(str(source), draft)
                    self._fs.mv(draft, self._path)
                except BaseException:
                    with suppress(Exception):  # the first error is the one to tell
                        self._fs.rm_file(draft)
                    raise

    def _put_all(self, source: Path) -> None:
        file = self._fs.open(self._path, "wb", autocommit=False)
        try:
            with source.open("rb") as ours:
                copyfileobj(ours, file, 1 << 20)
            file.close()
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell
                file.discard()
            raise
        file.commit()

    def _draft(self) -> str:
        folder = self._path.rpartition("/")[0]
        return f"{folder}/.pipeline-{token_hex(8)}{PurePosixPath(self.name).suffix}"

    def _info(self) -> dict[str, Any] | None:
        self._fs.invalidate_cache()
        try:
            info: dict[str, Any] = self._fs.info(self._path)
        except FileNotFoundError as error:
            # The web's file system says so of whatever went wrong.
            if error.__cause__ is None or _status(error.__cause__) == 404 or not self.is_web:
                return None
            raise error.__cause__ from None
        return info

    @contextmanager
    def _failing(self, act: str = "read", path: str = "") -> Iterator[None]:
        """Make one line of what went wrong. What a file system may raise has no common kind."""
        try:
            yield
        except (PipelineError, GeneratorExit):
            raise
        except Exception as error:
            where = f"{self.address.rstrip('/')}/{path}" if path else self.address
            raise UsageError(f"{where} can't be {act}: {_explain(error, self.scheme)}") from error


def _connect(address: str, scheme: str) -> tuple[Any, str]:
    import fsspec

    for name in _LOGGERS:  # they would print the errors that they raise
        logging.getLogger(name).addHandler(logging.NullHandler())
    if scheme not in _WEB:
        fs, path = fsspec.url_to_fs(address)
        return fs, path
    import aiohttp

    # Its own limit is five minutes for a file, however large; a proxy or a .netrc is left out.
    timeout = aiohttp.ClientTimeout(total=None, connect=30, sock_read=_SILENT_SECONDS)
    client = {"timeout": timeout, "trust_env": True, "trace_configs": [_tracing()]}
    fs, path = fsspec.url_to_fs(address, client_kwargs=client, encoded="%" in address)
    return fs, path


@cache  # file systems of the same options are one
def _tracing() -> Any:
    import aiohttp

    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(_check_redirect)
    return config


async def _check_redirect(session: Any, context: Any, redirect: Any) -> None:
    """Raise UsageError where a server out there sends us to this machine or its network."""
    source, headers = redirect.url, redirect.response.headers
    target = source.join(type(source)(headers.get("Location") or headers.get("URI", "")))
    if await _leads_here(target.host) and not await _leads_here(source.host):
        raise UsageError(
            f"{source} redirects to {target}, which is of this machine or "
            "its network: name that address itself if you trust it"
        )


async def _leads_here(host: str | None) -> bool:
    if host is None or is_local(host):
        return host is not None
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except OSError:  # a proxy may know the name
        return False
    return any(is_local(str(address[0])) for *_, address in found)


def _walk(fs: Any, folder: str, deep: bool) -> Iterator[dict[str, Any]]:
    """List a folder, then the folders in it, in the order of whole paths."""
    infos = [info for info in fs.ls(folder, detail=True) if info["name"].rstrip("/") != folder]
    fs.invalidate_cache()  # it would keep all that was ever listed
    for info in sorted(infos, key=_sorted_as):
        if info["type"] != "directory":
            yield info
        elif deep:
            yield from _walk(fs, info["name"].rstrip("/"), deep)


def _sorted_as(info: dict[str, Any]) -> str:
    name = str(info["name"]).rstrip("/")
    return f"{name}/" if info["type"] == "directory" else name


def _s3_files(fs: Any, folder: str, deep: bool) -> Iterator[dict[str, Any]]:
    """List a bucket's objects, which S3 does in the order of their keys.

    fsspec's own listing would hold them all (1.5 kB each).
    """
    bucket, key, _ = fs.split_path(folder)
    wanted = {"Bucket": bucket, "Prefix": f"{key}/" if key else ""}
    wanted |= {} if deep else {"Delimiter": "/"}
    page: dict[str, Any] = {}
    while not page or page.get("IsTruncated"):
        if page:
            wanted["ContinuationToken"] = page["NextContinuationToken"]
        page = fs.call_s3("list_objects_v2", **wanted)
        for item in page.get("Contents", []):
            if not item["Key"].endswith("/"):  # what stands for a folder
                yield {**item, "name": f"{bucket}/{item['Key']}", "size": item["Size"]}


def _mark(info: dict[str, Any]) -> str:
    return " ".join(str(info[name]) for name in (*_MARKS, "size") if info.get(name) is not None)


def _explain(error: Exception, scheme: str) -> str:
    """Say what to do about an error. Its kinds are told by their names: each place has its own."""
    name, status = type(error).__name__, _status(error)
    said = str(error)
    if status and getattr(error, "message", None):
        said = f"{status} {error.message}"  # type: ignore[attr-defined]
    said = said.strip().partition("\n")[0].rstrip(". \r") or name
    if isinstance(error, ImportError):
        ours = scheme in (*_UNDOING, *_WHOLE, *_WEB) or not find_spec("fsspec")
        return (
            needs(f"{scheme}://", "remote")
            if ours
            else f"{scheme}:// needs more to be installed: {said}"
        )
    if isinstance(error, NotImplementedError):
        return f"that can't be done at {scheme}://; choose another place"
    if isinstance(error, FileNotFoundError) or status == 404 or "NotFound" in name:
        return f"{said if ' ' in said else 'there is nothing there'}; check the address"
    if isinstance(error, PermissionError) or status in (401, 403) or _is_denial(name, said):
        hint = _CREDENTIALS.get(scheme, "check the credentials")
        return f"no permission ({said}); {hint}"
    if isinstance(error, ValueError) and "Protocol not known" in said:
        return f"{scheme}:// is no kind of address that is known"
    return f"{said}; check the address and the network"


def _is_denial(name: str, said: str) -> bool:
    return any(sign in name for sign in ("Authentication", "Refresh")) or "redential" in name + said


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error that has one."""
    for name in ("status", "status_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int):
            return value
    return None
