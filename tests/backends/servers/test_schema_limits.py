"""A schema that OpenAI or Azure would refuse stops the run before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.backends.servers.schema_limits import check_limits
from pipeline.errors import UsageError
from tests.running import pipeline, write_rows
from tests.server import Server

REGION = "https://eu.api.openai.com/v1"
AZURE = "https://me.openai.azure.com/openai/v1"


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = of(a=schema)
    return schema


def values(count: int, characters: int = 4) -> dict[str, Any]:
    return {"enum": [f"{number:0{characters}}" for number in range(count)]}


@pytest.mark.parametrize(
    ("fits", "more", "said"),
    [
        (of(a=values(1000)), of(a=values(1001)), "1,001 labels"),
        (of(a=values(500), b=values(500)), of(a=values(500), b=values(501)), "1,001 labels"),
        (
            of(a={"items": {"anyOf": [values(1000)]}}),
            {**of(a={"$ref": "#/$defs/x"}), "$defs": {"x": values(1001)}},
            "1,001 labels",
        ),
        (of(a=values(250, 100)), of(a=values(251, 100)), "25,100 characters of more than 250"),
        (of(a=values(300, 50)), of(a=values(300, 51)), "15,300 characters of more than 250"),
        (nested(10), nested(11), "11 levels"),
        (
            of(**{str(number): {} for number in range(5000)}),
            of(**{str(number): {} for number in range(5001)}),
            "5,001 properties",
        ),
        (of(**{"a" * 120_000: {}}), of(**{"a" * 119_999: {"const": "bb"}}), "120,001 characters"),
    ],
)
def test_each_limit_is_taken_at_its_number(
    fits: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    check_limits(fits, "it")
    with pytest.raises(UsageError, match=f"outputs: {said}.* that it takes: .*--base-url"):
        check_limits(more, "it")


@pytest.mark.parametrize("url", [None, REGION, AZURE])
def test_too_many_labels_are_told_with_the_way_on_before_anything_is_sent(
    tmp_path: Path, url: str | None
) -> None:
    write_rows(tmp_path / "in.csv", [{"text": "a"}])
    write_rows(tmp_path / "labels.csv", [{"name": f"label {n}"} for n in range(1001)])
    server = ("--base-url", url) if url else ()
    ended = pipeline(
        *("classify", "in.csv", "--labels", "labels.csv", "-o", "out.csv", "--yes", *server),
        folder=tmp_path,
        OPENAI_API_KEY="sk-test",
    )
    assert ended.code == 2
    assert "1,001 labels (values to choose from) are more than the 1,000" in ended.errors[0]
    assert "ask twice: first for a group of labels" in ended.errors[0]


def test_a_server_without_such_limits_takes_more(tmp_path: Path, server: Server) -> None:
    write_rows(tmp_path / "in.csv", [{"text": "a"}])
    write_rows(tmp_path / "labels.csv", [{"name": f"label {n}"} for n in range(1001)])
    ended = pipeline(
        *("classify", "in.csv", "--labels", "labels.csv", "-o", "out.csv"),
        *("--base-url", server.base_url, "--model", "small"),
        folder=tmp_path,
    )
    assert ended.code == 0
