from __future__ import annotations

import pytest

from pipeline.prompting.loading import from_instruction
from pipeline.types import Document, Result, Usage
from pipeline.watching import Bar, JsonLines, Lines


@pytest.mark.parametrize(
    ("progress", "line"),
    [(Lines(), "1 of 3, 0 failed"), (JsonLines(), '"answered": 1, "requests": 3, "failed": 0')],
)
def test_what_is_escalated_is_counted_towards(
    progress: Lines, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = from_instruction("Sum up.")
    requests = [prompt.render(Document(place, "a.csv", {}, str(place))) for place in range(2)]
    progress.start(1)
    progress.add(Result(request=requests[0], status="ok", content="yes", usage=Usage(10, 1)))
    assert list(progress.expect(requests)) == requests
    progress.line()
    assert line in capsys.readouterr().err


def test_more_answers_than_were_planned_are_counted_by_themselves(
    capfd: pytest.CaptureFixture[str],
) -> None:
    prompt = from_instruction("Sum up.")
    request = prompt.render(Document(0, "a.csv", {}, "one"))
    for progress, told in ((Lines(), "1 answered, 0 failed"), (Bar(), "1/? [")):
        progress.start(0)
        progress.add(Result(request=request, status="ok", content="yes", usage=Usage(10, 1)))
        if isinstance(progress, Lines):
            progress.line()
        progress.close()
        assert told in capfd.readouterr().err
