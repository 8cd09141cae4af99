"""From a model's name to the lane that leads to who answers for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.access import Auth
from pipeline.backends.apis.base import Api
from pipeline.backends.base import Lane
from pipeline.backends.lanes.live import Live
from pipeline.costs import Price, counter, find_price, find_window
from pipeline.errors import UsageError
from pipeline.limits.budget import Budget
from pipeline.limits.ceilings import Ceilings
from pipeline.limits.circuit import PATIENCE_SECONDS, Circuit
from pipeline.limits.gate import Gate
from pipeline.limits.window import Window
from pipeline.vendors import OPENAI_URL, full_address


@dataclass(frozen=True, slots=True)
class Limits:
    """What the user allows; None is no limit."""

    rpm: float | None = None
    tpm: float | None = None
    max_concurrency: int | None = None
    max_cost_usd: Decimal | None = None
    patience_seconds: float = PATIENCE_SECONDS
    hedge: bool = True


def is_offline(model: str) -> bool:
    """Return True if a model answers on this machine, without a key."""
    return model.lower() in ("echo", "local") or model.startswith("local:")


def open_lane(
    model: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    api: Api | None = None,
    limits: Limits | None = None,
    price: Price | None = None,
    service_tier: str | None = None,
    price_option: str = "--price",
    account: bool = True,
    auth: Auth = Auth.KEY,
) -> Lane:
    """Make the way to a model: `local`, `local:FILE`, `echo`, or one that a server knows.

    Without `account` the server isn't told the organization, the project and the headers that the
    environment has for the user's own. Raises UsageError when a key, a file or a price is missing
    that the run can't do without.
    """
    limits = limits or Limits()
    if model == "echo":
        from pipeline.backends.servers.echo import Echo

        return Live(Echo(counter=counter(model)), _gate(limits))
    if model == "local" or model.startswith("local:"):
        from pipeline.backends.servers.local import SLOTS, Local, model_file

        gate = _gate(replace(limits, max_concurrency=SLOTS))
        return Live(Local(file=model_file(model), counter=counter("local")), gate)
    if model.lower() in ("local", "echo"):
        raise UsageError(f"--model {model}: did you mean {model.lower()}?")
    if base_url is None and not api_key and auth is Auth.KEY:
        raise UsageError(
            "no API key: put OPENAI_API_KEY=... in the environment or in a .env file here, "
            "or try it free on this machine with --model local"
        )
    base_url = full_address(base_url or OPENAI_URL, model)
    price = price or find_price(model, base_url, service_tier)
    if limits.max_cost_usd is not None and price is None:
        raise UsageError(
            f"--max-cost needs the price of {model}, which isn't published for {base_url}: "
            f"give it with {price_option} INPUT,OUTPUT (USD per million tokens)"
        )
    from pipeline.backends.servers.entra import open_entra
    from pipeline.backends.servers.online import Online

    server = Online(
        model=model,
        base_url=base_url,
        api_key=api_key or "none",
        api=api,
        counter=counter(model),
        price=price,
        window_tokens=find_window(model, base_url),
        account=account,
        entra=open_entra() if auth is Auth.ENTRA else None,
    )
    return Live(server, _gate(limits, price), hedge=limits.hedge)


def _gate(limits: Limits, price: Price | None = None) -> Gate:
    return Gate(
        ceilings=Ceilings(rpm=limits.rpm, tpm=limits.tpm),
        budget=Budget(price, limits.max_cost_usd),
        window=Window(limits.max_concurrency),
        circuit=Circuit(limits.patience_seconds),
    )
