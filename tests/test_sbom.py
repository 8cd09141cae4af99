"""The bill of materials and the licences are those of what the locks hold."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, files

from tests.conftest import ROOT
from tools import sbom

# Of these, whoever passes a wheel on has to pass on the terms, too.
COPYLEFT = re.compile(r"lib(heif|de265|x26[45]|gomp|gfortran|quadmath|fribidi|av[cfu]\w+)\b")


def test_the_bill_of_materials_is_up_to_date() -> None:
    """Compare; if this fails, `make sbom` writes it anew."""
    assert json.loads(sbom.BOM.read_text(encoding="utf-8")) == sbom.bom()


def test_the_table_of_licences_is_up_to_date() -> None:
    """Compare; if this fails, `make sbom` writes it anew."""
    page = sbom.PAGE.read_text(encoding="utf-8")
    assert page == sbom.page(page)


def test_it_names_each_package_of_the_locks_once() -> None:
    text = "".join((ROOT / lock).read_text(encoding="utf-8") for lock in sbom.LOCKS)
    locked = re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.M)
    components = json.loads(sbom.BOM.read_text(encoding="utf-8"))["components"]
    assert [(one["name"], one["version"]) for one in components] == sorted(locked)


def test_each_package_but_the_program_is_needed_by_another() -> None:
    needs = json.loads(sbom.BOM.read_text(encoding="utf-8"))["dependencies"]
    program, *packages = [need["ref"] for need in needs]
    assert program == "document-pipeline"
    assert {ref for need in needs for ref in need["dependsOn"]} == set(packages)


def test_it_names_no_host_and_no_folder() -> None:
    text = sbom.BOM.read_text(encoding="utf-8")
    assert "://" not in text
    assert str(ROOT) not in text


def test_copyleft_libraries_inside_of_wheels_are_listed() -> None:
    for name in {pin.name for pin in sbom.pins()} - sbom.BUNDLED.keys():
        try:
            inside = [str(file) for file in files(name) or []]
        except PackageNotFoundError:  # another platform's
            continue
        assert [file for file in inside if COPYLEFT.match(file.rpartition("/")[2])] == [], name
