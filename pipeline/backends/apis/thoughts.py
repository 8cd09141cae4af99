"""Tells an answer from what open models say besides: thoughts aloud, channels, end tokens.

Servers should leave these out, and often don't. An answer may also speak of such marks. That is
likely only if its prompt has some, too: then less is cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

_NAME = (
    r"(?:(?:ant|antml|seed|mm|longcat)[:_])?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection"
    r"|scratchpad|inner_(?:thoughts?|monologue)|chain_of_thought|cot)"
)
_OPEN = (
    rf"<{_NAME}(?:\s[^<>\n]{{0,100}})?>|\[(?:THINK|REASONING)\]|◁{_NAME}▷"
    rf"|<\|(?:begin_of_|start_|begin_)?{_NAME}(?:_start|:start)?\|>|<\|inner_prefix\|>"
    r"|<\|channel>\s*thought|<unused94>\s*thought"
)
_CLOSE = (
    rf"</{_NAME}\s*>|\[/(?:THINK|REASONING)\]|◁/{_NAME}▷"
    rf"|<\|(?:/|end_of_|end_){_NAME}\|>|<\|{_NAME}(?:_end|:end)\|>|<\|inner_suffix\|>"
    r"|<channel\|>|<unused95>"
)
_MARK = re.compile(rf"(?P<close>{_CLOSE})|{_OPEN}", re.I)
_BEGUN = re.compile(rf"\s*(?:{_OPEN})", re.I)
_TOLD = re.compile(
    r"\s*here(?:'s| is) my thought process:.*here(?:'s| is) my response:", re.I | re.S
)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(?P<name>\w*)(?:(?!<\|message\|>).){0,200}<\|message\|>"
    r"(?P<said>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.S,
)
# The same from servers that leave the tokens out, but not the names between them.
_BARE_CHANNEL = re.compile(
    r"\s*analysis(?=[A-Z\"'{]).*assistant\s*final(?:\s*json(?=\s*\{))?", re.S
)
_START = re.compile(
    r"(?:\s*(?:<s>(?!.*</s>\s*\S)|<bos>|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>"
    r"|<\|(?:im_start|start|start_header_id)\|>\s*assistant(?:<\|end_header_id\|>)?"
    r"|<start_of_turn>\s*model\b|<\|assistant\|>))+\s*",
    re.I | re.S,
)
_END = re.compile(
    r"<\|(?:im_end|im_start|eot_id|eom_id|end_of_text|endoftext|end|eos|eot|eos_token|return"
    r"|call|end_of_turn|end_of_turn_token|turn_end|endofprompt|user|observation|assistant_end"
    r"|end_of_sentence|end_of_role)\|>"
    r"|<｜(?:end▁of▁sentence|User|Assistant)｜>|</?im_end/?>|<(?:end_of_turn|eos|EOT|turn\|)>"
    r"|\[(?:EOS|/INST)\]",
    re.I,
)
_STRUCK = re.compile(r"</s>\s*\Z", re.I)  # ends a struck-out text, too
# What some templates put around the answer that follows thoughts.
_WRAPPED = re.compile(
    r"\s*(?:<(answer|response|output|solution)>(?P<tagged>.*?)(?:</\1>\s*)?"
    r"|<\|(?:begin_of_solution|start_response|begin_of_box)\|>(?P<token>.*?)"
    r"(?:<\|(?:end_of_solution|end_response|end_of_box)\|>\s*)?)\Z",
    re.I | re.S,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.S)
_HINTS = ("<", "◁", "[/", "[THINK", "[REASON", "[EOS")
_QUOTES = "`\"'*\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"


def spoken(text: str, prompt: Iterable[str] = ()) -> str:
    """Return an answer without thoughts and end tokens. `prompt` are the texts that it answers."""
    if not _marked(text):
        return text
    whole = _ended(text)
    if _is_object(whole):
        return whole
    about = any(map(_marked, prompt))
    started = _START.match(whole)
    said = _final(whole[started.end() :] if started else whole)
    said = _ended(_without_thoughts(said, about=about))
    if not about:  # what comes behind an end, nobody asked for
        code = _code(said)
        end = next((end for end in _END.finditer(said) if not _inside(end, code)), None)
        said = said[: end.start()].rstrip() if end else said
    wrapped = _WRAPPED.match(said) if said != whole else None
    return (wrapped["tagged"] or wrapped["token"] or "").strip() if wrapped else said


def _marked(text: str) -> bool:
    for hint in _HINTS:  # nearly no answer has one: so look quickly
        if hint in text:
            anywhere = _MARK.search(text) or _END.search(text) or _CHANNEL.search(text)
            if anywhere or _START.match(text) or _STRUCK.search(text):
                return True
            break
    return _BARE_CHANNEL.match(text) is not None or _TOLD.match(text) is not None


def _ended(text: str) -> str:
    """Leave out the tokens of the end."""
    while True:
        rest = text.rstrip()
        last = max(_END.finditer(rest, max(len(rest) - 100, 0)), key=re.Match.end, default=None)
        if last is not None and last.end() == len(rest):
            text = rest[: last.start()].rstrip()
        elif (struck := _STRUCK.search(text)) and "<s>" not in text.lower():
            text = text[: struck.start()].rstrip()
        else:
            return text


def _is_object(text: str) -> bool:
    if not text.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _final(text: str) -> str:
    """Take the last channel that isn't thoughts; one without channels is the answer."""
    channels = list(_CHANNEL.finditer(text))
    if not channels:
        bare = _BARE_CHANNEL.match(text)
        return text[bare.end() :] if bare else text
    said = [match for match in channels if match["name"] != "analysis"]
    final = [match for match in said if match["name"] == "final"]
    return (final or said)[-1]["said"] if said else ""


def _without_thoughts(text: str, *, about: bool) -> str:
    if told := _TOLD.match(text):
        text = text[told.end() :].lstrip()
    kept: list[str] = []
    at = depth = 0
    begun: re.Match[str] | None = None
    for mark in _marks(text, about):
        if mark["close"]:
            kept = kept if depth or begun else []  # thoughts that the template began
            depth = max(depth - 1, 0)
            at, begun = mark.end(), None
        else:
            if not depth:
                kept.append(text[at : mark.start()])
                begun = mark
            depth += 1
    if begun is not None and _alone(begun, about):  # thoughts that come to no end
        return "".join(kept).strip()
    before, rest = "".join(kept), text[begun.start() if begun is not None else at :]
    return before + rest if before.strip() or not at else rest.lstrip()


def _marks(text: str, about: bool) -> list[re.Match[str]]:
    """List the marks in a text that are meant, not spoken of."""
    marks, code = list(_MARK.finditer(text)), _code(text)
    meant = [mark for mark in marks if _is_meant(mark, code, about)]
    opened = _BEGUN.match(text) is not None
    if opened and not any(mark["close"] for mark in meant):
        return marks
    return [marks[0], *(mark for mark in meant if mark is not marks[0])] if opened else meant


def _is_meant(mark: re.Match[str], code: Sequence[range], about: bool) -> bool:
    before, after = mark.string[: mark.start()][-1:], mark.string[mark.end() :][:1]
    edge = before in ("", "\n") or after in ("", "\n")
    if about:
        return edge and not _inside(mark, code)
    quoted = before != "" and after != "" and before in _QUOTES and after in _QUOTES
    return edge or not (quoted or _inside(mark, code))


def _alone(mark: re.Match[str], about: bool) -> bool:
    """Return True if a mark that nothing closes begins thoughts, and isn't just spoken of."""
    before, after = mark.string[: mark.start()].strip(), mark.string[mark.end() :][:1]
    if not before and not about:
        return True
    return mark.string[: mark.start()][-1:] in ("", "\n") and after in ("", "\n")


def _code(text: str) -> list[range]:
    return [range(*match.span()) for match in _CODE.finditer(text)]


def _inside(mark: re.Match[str], code: Sequence[range]) -> bool:
    return any(mark.start() in part for part in code)
