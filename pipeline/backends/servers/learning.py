"""What a server's refusals tell of how a model wants to be asked, learned once for all of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pipeline.backends.apis.base import SAMPLING, Manner, Rung
from pipeline.backends.servers.manners import (
    efforts_of,
    thinking_least,
    with_other_effort,
    without_thinking,
)
from pipeline.backends.servers.refusals import Refusal

NO_LOGPROBS = (
    "gives no log-probabilities: confidence stays empty; "
    "--votes 5 asks five times and takes the share that agrees"
)
FEW_LOGPROBS = 5  # what servers tell that don't tell 20
# What only steers how an answer is made. A model that doesn't take it is asked without.
_OPTIONAL = {
    *("reasoning_effort", "temperature", "top_p", "top_k", "min_p", "seed", "verbosity"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty", "enable_thinking"),
    *("chat_template_kwargs", "parallel_tool_calls", "stream", "stream_options", "store"),
    *("metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "logit_bias", "stop"),
}
_BOUNDS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


class Learner:
    """Learns from refusals; `manner` is what is known. `notice` tells the user of a loss."""

    def __init__(self, manner: Manner, base_url: str, notice: Callable[[str], None]) -> None:
        self.manner = manner
        self._base_url = base_url
        self._notice = notice
        self._bound_changed = False

    def asked_by(self, rung: Rung) -> Manner:
        """Return the manner with this way to ask for an answer of a schema."""
        if rung != self.manner.rung:
            self.manner = replace(self.manner, rung=rung)
        return self.manner

    def meet(self, model: str) -> None:
        """Learn what model answers: behind a name of the user's own there may be a known one."""
        if not self.manner.efforts and (efforts := efforts_of(model)):
            self.manner = thinking_least(self.manner, efforts)

    def learn(self, refusal: Refusal, body: Mapping[str, object]) -> bool:
        """Learn from a refusal how this model wants to be asked; False if it tells nothing."""
        named = refusal.named(body)
        if "top_logprobs" in named and body["top_logprobs"] != FEW_LOGPROBS:
            lowered = {**self.manner.lowered, "top_logprobs": FEW_LOGPROBS}
            self.manner = replace(self.manner, lowered=lowered)
            return True
        if self._rethink(refusal, named, body):
            return True
        if "logprobs" in body and "logprobs" in f"{named} {refusal.words}".lower():
            self._refuse("logprobs", "top_logprobs")
            self._notice(NO_LOGPROBS)
            return True
        if self.manner.bound in named and self._rename_bound(refusal):
            return True
        for name in named:
            if name in _OPTIONAL and name not in self.manner.refused:
                self._leave_out(name, body)
                return True
        return False

    def _rethink(self, refusal: Refusal, named: Sequence[str], body: Mapping[str, object]) -> bool:
        """Learn how hard the model can be told to think; False if the refusal isn't about that."""
        manner = None
        if "reasoning_effort" in named:
            manner = with_other_effort(self.manner, refusal, body["reasoning_effort"])
        elif SAMPLING & set(named):
            manner = without_thinking(self.manner, body, self._base_url)
        if manner is None:
            return False
        self.manner = manner
        return True

    def _rename_bound(self, refusal: Refusal) -> bool:
        """Use the bound's other name, once, unless it is its number that is refused."""
        if self._bound_changed or refusal.of_a_number or self.manner.bound not in _BOUNDS:
            return False
        self._bound_changed = True
        self.manner = replace(self.manner, bound=_BOUNDS[self.manner.bound])
        return True

    def _leave_out(self, name: str, body: Mapping[str, object]) -> None:
        self._refuse(name)
        if name not in self.manner.defaults and body[name] is not False:
            without = "answers are cut there" if name == "stop" else "it is asked without"
            self._notice(f"does not take `{name}`: {without}")

    def _refuse(self, *names: str) -> None:
        self.manner = replace(self.manner, refused=self.manner.refused | set(names))
