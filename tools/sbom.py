"""Write docs/sbom.json and the licences in docs/security.md: what the locks hold, by whose licence.

Names, versions and who needs whom come from the locks, licences from the installed packages.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from packaging.licenses import canonicalize_license_expression
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
BOM = ROOT / "docs" / "sbom.json"
PAGE = ROOT / "docs" / "security.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("requirements.lock", "requirements-remote.lock")
START, END = "<!-- licences -->\n", "<!-- end of licences -->"

# Packages whose metadata names no licence by its SPDX name: read from their licence files.
READ = {
    "adlfs": "BSD-3-Clause",
    "colorama": "BSD-3-Clause",
    "httpx2-jsfetch": "BSD-3-Clause",
    "isodate": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "pyasn1-modules": "BSD-2-Clause",
    "pypdfium2": "BSD-3-Clause AND Apache-2.0",
    "python-dateutil": "Apache-2.0 AND BSD-3-Clause",
    "s3fs": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "tzdata": "Apache-2.0",
}
# Names that packages use for a licence instead of the SPDX name.
SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
# Libraries of other licences inside of wheels, by their files and bundled licence texts.
GCC = {"GCC runtime library": "GPL-3.0-or-later WITH GCC-exception-3.1"}
FORTRAN = {"OpenBLAS": "BSD-3-Clause", **GCC, "libquadmath": "LGPL-2.1-or-later"}
BUNDLED = {
    "numpy": FORTRAN,
    "pi-heif": {"libheif": "LGPL-3.0-or-later", "libde265": "LGPL-3.0-or-later"},
    "pypdfium2": {"PDFium": "BSD-3-Clause AND Apache-2.0"},
    "scikit-learn": GCC,
    "scipy": FORTRAN,
    "xberg": {
        "libheif": "LGPL-3.0-or-later",
        "libaom": "BSD-2-Clause",
        "ONNX Runtime": "MIT",
    },
    "xllamacpp": {"llama.cpp": "MIT"},
}


@dataclass(frozen=True, slots=True)
class Pin:
    """A package in a lock."""

    name: str
    version: str
    marker: str
    via: tuple[str, ...]

    @property
    def ref(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def pins() -> list[Pin]:
    """Return what the locks hold, sorted."""
    text = "".join((ROOT / lock).read_text(encoding="utf-8") for lock in LOCKS)
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.M)
    return sorted((_pin(block) for block in blocks if block), key=lambda pin: (pin.name, pin.ref))


def _pin(block: str) -> Pin:
    need = Requirement(block.partition(" \\")[0])
    via = re.findall(r"^    #(?: via)? +([a-z0-9-]+)$", block, re.M)
    version = str(need.specifier).removeprefix("==")
    # uv names no group here: what a group of the program asks for has nothing in `via`.
    return Pin(need.name, version, str(need.marker or ""), tuple(via) or (PROJECT["name"],))


def licence(name: str) -> str:
    """Return the SPDX expression of a package's licence; raise ValueError if nothing tells it."""
    if name in READ:
        return READ[name]
    about = metadata(name)
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier", [])]
    stated = about.get_all("License-Expression") or about.get_all("License")
    for text in stated or classifiers:
        if stated or text in SPDX:
            return canonicalize_license_expression(SPDX.get(text, text))
    raise ValueError(f"{name} names no licence: read its files and add it to READ")


def bom() -> dict[str, Any]:
    """Return what is installed as a CycloneDX document."""
    every = pins()
    # Without a `purl`: no index has the program, and a package of its name isn't it.
    program = {"type": "application", "bom-ref": PROJECT["name"], "name": PROJECT["name"]}
    program |= {"version": PROJECT["version"], "licenses": [{"expression": PROJECT["license"]}]}
    refs = {PROJECT["name"]: PROJECT["name"], **{pin.ref: pin.name for pin in every}}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": program},
        "components": [_component(pin) for pin in every],
        "dependencies": [
            {"ref": ref, "dependsOn": [pin.ref for pin in every if name in pin.via]}
            for ref, name in refs.items()
        ],
    }


def _component(pin: Pin) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": pin.ref,
        "name": pin.name,
        "version": pin.version,
        "licenses": [{"expression": licence(pin.name)}],
        "purl": pin.ref,
    }
    if pin.name in BUNDLED:
        component["components"] = [
            {"type": "library", "name": name, "licenses": [{"expression": expression}]}
            for name, expression in BUNDLED[pin.name].items()
        ]
    if pin.marker:
        component["properties"] = [{"name": "marker", "value": pin.marker}]
    return component


def table() -> str:
    """Return the licences as they stand in docs/security.md."""
    by_licence: dict[str, list[str]] = {}
    for pin in pins():
        by_licence.setdefault(licence(pin.name), []).append(f"{pin.name} {pin.version}")
    packages = [f"| {key} | {', '.join(names)} |" for key, names in sorted(by_licence.items())]
    inside = [
        f"| {name} | {', '.join(f'{library} ({key})' for library, key in libraries.items())} |"
        for name, libraries in sorted(BUNDLED.items())
    ]
    head = ["| licence | packages |", "|---|---|", *packages, ""]
    return "\n".join([*head, "| wheel of | brings along |", "|---|---|", *inside, ""])


def page(text: str) -> str:
    """Return the page with its table of licences renewed."""
    before, _, rest = text.partition(START)
    return before + START + table() + END + rest.partition(END)[2]


def main() -> None:
    """Write both files."""
    BOM.write_text(json.dumps(bom(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
