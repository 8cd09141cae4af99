"""How hard a model thinks is told by its name, at any address, or learned from what it refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipeline.backends.apis.base import Manner
from pipeline.backends.apis.complaints import read_complaint
from pipeline.backends.lanes.live import Live
from pipeline.backends.opening import open_lane
from pipeline.backends.servers.manners import efforts_of, find_manner, with_other_effort
from pipeline.backends.servers.refusals import Refusal
from pipeline.costs import find_price, fixed_price
from pipeline.types import Usage
from pipeline.vendors import OPENAI_URL
from tests.backends.asking import complete, request
from tests.server import Server

AZURE = "https://me.openai.azure.com/openai/v1"
SAMPLED = {"temperature": 0, "top_p": 0.5, "logprobs": True, "top_logprobs": 5}
FROM_LOW = ("low", "medium", "high", "xhigh", "max")


@pytest.fixture
def efforts() -> tuple[str, ...]:
    return FROM_LOW


def bodies(server: Server) -> list[dict[str, Any]]:
    return [dict(record.json) for record in server.tally.records]


def deployment(server: Server) -> Live:
    """Connect to a deployment of Azure's whose name says nothing."""
    server.change(require_key="k")
    root = server.base_url.removesuffix("/v1")
    url = f"{root}/openai/deployments/sorting?api-version=2025-04-01"
    return open_lane("sorting", base_url=url, api_key="k")


@pytest.mark.parametrize(
    "url",
    [
        *(OPENAI_URL, "https://eu.api.openai.com/v1", AZURE, "https://openrouter.ai/api/v1"),
        *("http://127.0.0.1:9/v1", "https://litellm.my.company/openai/deployments/x"),
    ],
)
@pytest.mark.parametrize(
    ("model", "effort"),
    [
        ("gpt-6-luna", "none"),
        ("openai/gpt-6-luna", "none"),
        ("gpt-6-luna-2026-09-01", "none"),
        ("gpt-6.1-terra", "none"),
        ("gpt-5.6-sol", "none"),
        ("gpt-6.1-sol", "low"),
        ("openai/gpt-6-astra", "low"),
        ("azure/GPT-6.1-Sol", "low"),
        ("gpt-5-mini", "minimal"),
        ("gpt-oss-120b", None),
        ("gpt-4.1", None),
        ("llama-3.3-70b", None),
    ],
)
def test_the_effort_is_the_models_at_any_address(url: str, model: str, effort: str | None) -> None:
    assert find_manner(model, url).taken({}).get("reasoning_effort") == effort


@pytest.mark.parametrize("effort", ["none", "minimal", "low"])
def test_an_effort_below_the_models_least_is_raised_to_it(effort: str) -> None:
    manner = find_manner("gpt-6.1-sol", OPENAI_URL)
    assert manner.taken({"reasoning_effort": effort})["reasoning_effort"] == "low"


def test_while_a_model_thinks_nothing_steers_its_sampling() -> None:
    for model, effort in (("gpt-6.1-sol", "none"), ("gpt-6-luna", "high")):
        taken = find_manner(model, AZURE).taken({"reasoning_effort": effort, "seed": 1, **SAMPLED})
        assert taken.keys() == {"stream", "reasoning_effort", "seed"}
    taken = find_manner("gpt-6-luna", AZURE).taken(SAMPLED)
    assert taken.keys() == {"stream", "reasoning_effort", *SAMPLED}
    assert find_manner("deepseek-r1", AZURE).taken(SAMPLED) == {"stream": False, **SAMPLED}


def test_thoughts_have_room_beside_the_answer() -> None:
    def room(model: str, **wanted: object) -> int:
        return find_manner(model, OPENAI_URL).thinking_tokens(wanted)

    assert room("gpt-6-luna") == room("llama-3") == room("llama-3", reasoning_effort="high") == 0
    assert 0 < room("gpt-6.1-sol") < room("gpt-6.1-sol", reasoning_effort="high")
    assert room("gpt-6-luna", reasoning_effort="high") == room(
        "gpt-6-astra", reasoning_effort="high"
    )


def test_of_the_efforts_that_a_refusal_names_the_least_is_taken(
    server: Server, efforts: tuple[str, ...]
) -> None:
    server.change(efforts=efforts)
    lane = open_lane("gpt-6-luna", base_url=server.base_url)
    complete(lane, request("a", parameters=SAMPLED), request("b", parameters=SAMPLED))
    assert [body["reasoning_effort"] for body in bodies(server)] == ["none", "low", "low"]
    assert not SAMPLED.keys() & bodies(server)[-1].keys()


@pytest.mark.parametrize(
    ("message", "sent", "effort"),
    [
        ("Unsupported value: 'none'. Supported values are: 'medium' and 'high'.", "none", "medium"),
        ("reasoning_effort: 'none' is not supported by this model", "none", "low"),
        ("reasoning_effort `max` is not one of `none`, `low`, `high`", "max", "high"),
        ("Unrecognized request argument supplied: reasoning_effort", "none", None),
        ("reasoning_effort: none of the providers takes it", "none", None),
    ],
)
def test_a_refused_effort_is_told_from_a_refused_parameter(
    message: str, sent: str, effort: str | None
) -> None:
    told = read_complaint(f'{{"error": {{"message": "{message}"}}}}'.encode())
    manner = with_other_effort(Manner(), Refusal(400, told, {}), sent)
    wanted = {"reasoning_effort": sent}
    assert (manner and manner.taken(wanted)["reasoning_effort"]) == effort


def test_a_deployment_of_any_name_is_told_not_to_think(server: Server) -> None:
    server.change(efforts=("none", "low", "medium"), reasoning_tokens=50)
    complete(deployment(server), request("a", parameters=SAMPLED, max_tokens=9))
    first, second = bodies(server)
    assert "reasoning_effort" not in first
    assert second["reasoning_effort"] == "none"
    assert second.items() >= SAMPLED.items()


def test_the_model_that_a_reply_names_is_asked_its_way_from_then_on(server: Server) -> None:
    server.change(efforts=("none", "low", "medium"), reasoning_tokens=50, known_models_only=False)
    server.change(model_suffix="/gpt-6-luna-2026-09-01")
    lane = open_lane("my-alias", base_url=server.base_url)
    first, second = complete(lane, request("a"), request("b"))
    assert first.usage is not None and first.usage.reasoning_tokens == 50
    assert second.usage is not None and second.usage.reasoning_tokens == 0


def test_the_table_has_no_effort_for_what_it_does_not_know() -> None:
    assert efforts_of("gpt-6-cyber") == efforts_of("o1-pro") == efforts_of("") == ()


@pytest.mark.parametrize(
    ("model", "url", "explicit"),
    [
        ("gpt-6-luna", OPENAI_URL, True),
        ("gpt-5.6-terra", "https://us.api.openai.com/v1", True),
        ("gpt-7", OPENAI_URL, True),
        ("gpt-5.5", OPENAI_URL, False),
        ("gpt-4.1", OPENAI_URL, False),
        ("gpt-6-luna", AZURE, False),
        ("openai/gpt-6-luna", "https://openrouter.ai/api/v1", False),
    ],
)
def test_openai_writes_no_prompt_to_a_cache_that_nobody_reads(
    model: str, url: str, explicit: bool
) -> None:
    options = {"mode": "explicit"} if explicit else None
    assert find_manner(model, url).taken({}).get("prompt_cache_options") == options


@pytest.mark.parametrize("named", ["gpt-6.1-terra", "gpt-6.1-terra-2026-10-26"])
def test_a_deployment_costs_what_the_model_costs_that_its_replies_name(named: str) -> None:
    for deployment_name in ("sorting", "gpt-6-luna"):
        server = open_lane(deployment_name, base_url=AZURE, api_key="k").server
        assert server.cost_usd(Usage(1_000_000, 100), None, named) is not None
        assert server.cost_usd(Usage(100_000, 0), "default", named) == Decimal("0.1")
        own = open_lane(deployment_name, base_url=AZURE, price=fixed_price(Decimal(7), Decimal(7)))
        assert own.server.cost_usd(Usage(1_000_000, 0), None, named) == 7
    unnamed = open_lane("sorting", base_url=AZURE, api_key="k").server
    assert unnamed.cost_usd(Usage(1, 1), None, "sorting") is None


def test_azure_is_sent_its_own_header_and_path(server: Server) -> None:
    complete(deployment(server), request("a"))
    (record,) = server.tally.records
    assert record.head.startswith(
        "POST /openai/deployments/sorting/chat/completions?api-version=2025-04-01 "
    )
    assert (record.header("api-key"), record.header("authorization")) == ("k", None)


@pytest.mark.parametrize(("explicit", "written"), [(False, 2000), (True, 0)])
def test_a_prompt_that_was_written_to_a_cache_is_billed_as_that(
    server: Server, explicit: bool, written: int
) -> None:
    server.change(writes_cache=True, prompt_tokens=2000, completion_tokens=10)
    options = {"prompt_cache_options": {"mode": "explicit"}} if explicit else {}
    lane = open_lane("small", base_url=server.base_url)
    (answer,) = complete(lane, request("a", parameters=options))
    assert answer.usage == Usage(2000, 10, 0, written)
    price = find_price("gpt-6-luna", OPENAI_URL)
    assert price is not None
    assert price.cost_usd(answer.usage) == server.tally.billed.cost_usd(
        prompt="0.1", completion="0.5"
    )


def test_answers_stand_whatever_the_version_of_azures_api() -> None:
    address = "https://me.openai.azure.com/openai/deployments/sorting"
    lanes = [
        open_lane("sorting", base_url=f"{address}?api-version={version}", api_key="k")
        for version in ("2024-10-21", "2025-04-01-preview")
    ]
    assert {lane.server.identity for lane in lanes} == {f"chat {address}"}
    plain = open_lane("gpt-6-luna", base_url=OPENAI_URL, api_key="k").server
    assert plain.identity == f"chat {OPENAI_URL}"
