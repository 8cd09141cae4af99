"""`pipeline models`: the models whose prices are known."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import app
from pipeline.errors import UsageError
from pipeline.showing import say


@app.command()
def models(
    search: Annotated[str, typer.Argument(help="Only the models with this in their name.")] = "",
    provider: Annotated[str, typer.Option(help="Whose models.")] = "openai",
) -> None:
    """List known models: prices (USD per million tokens), windows."""
    from pipeline import costs

    known = [
        model
        for model in costs.known_models(provider)
        if search.lower() in model.name.lower() and model.price is not None
    ]
    if not known:
        raise UsageError(f"no model of {provider} with {search!r} in its name has a known price")
    width = max(len(model.name) for model in known)
    say(f"{'model':{width}}  {'input':>8}  {'cached':>8}  {'output':>8}  {'context':>10}")
    for model in known:
        assert model.price is not None
        rates = model.price.tiers[0]
        window = f"{model.context_window:,}" if model.context_window else ""
        default = "  (default)" if model.name == costs.DEFAULT_MODEL else ""
        prices = (rates.input, rates.cached, rates.output)
        cells = "  ".join(f"{price.normalize():>8f}" for price in prices)
        say(f"{model.name:{width}}  {cells}  {window:>10}{default}")
    say(f"prices: {known[0].price.source if known[0].price else ''}", err=True)
