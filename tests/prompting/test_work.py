"""A template from a stranger takes no more than its share of time and memory, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import DocumentError, UsageError
from pipeline.prompting.loading import parse
from pipeline.types import Document
from tests.bounded import run

NESTED = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}"
SUM = "{% for w in [1, 2] %}{% set n.c = n.c + w %}{% endfor %}{{ n.c }}"
COUNTING = "{% set n = namespace(c=0) %}" + SUM
GROWING = (
    "{% set ns = namespace(s='aaaa') %}{% for i in range(99) %}{% set ns.s = {} %}{% endfor %}"
)
ATTACKS = [
    NESTED,
    "{{ 'a' * 10**9 }}",
    "{{ [1] * 10**9 }}",
    "{{ 9**999999 }}",
    "{% if 9**999999 %}x{% endif %}",
    GROWING.replace("{}", "ns.s ~ ns.s"),
    GROWING.replace("{}", "ns.s + ns.s"),
    GROWING.replace("{}", "[ns.s, ns.s]") + "{{ ns.s }}",
    GROWING.replace("{}", "{'a': ns.s, 'b': ns.s}") + "{{ ns.s | tojson }}",
    "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(x) %}{% if x %}{{ f(x-1) }}{{ f(x-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ text.replace('', text).replace('', text) }}",
    "{{ text | indent(10**9) }}",
    "{{ range(10**9) | list }}",
    "{% for i in range(100000) %}{{ range(100000) | sum }}{% endfor %}",
    "{% for i in range(100000) %}{{ 'x' in text }}{% endfor %}",
    "{% for i in range(100000) %}{{ text }}{% endfor %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{% if 1 %}" * 500 + "{% endif %}" * 500,
    "{{ 1 }}" * 50_000,
    "{% include 'other' %}",
    "{% extends 'other' %}",
    "{{ text.__class__.__mro__ }}",
    "{{ text.encode('utf-32') }}",
]
PLAY = """
import json
from pipeline.errors import DocumentError, UsageError
from pipeline.prompting.loading import parse
from pipeline.types import Document
text, ends = "abc def. " * 1000, []
for template in json.load(open(sys.argv[1], encoding="utf-8")):
    try:
        request = parse("user:\\n" + template).render(Document(0, "a", {"text": text}, text))
        ends.append(len(request.messages[0].text))
    except (DocumentError, UsageError) as error:
        ends.append(str(error))
print(json.dumps(ends))
"""


def test_what_is_made_to_harm_ends_in_a_line_and_soon(tmp_path: Path) -> None:
    (tmp_path / "attacks.json").write_text(json.dumps(ATTACKS), encoding="utf-8")
    done = run(PLAY, tmp_path / "attacks.json", seconds=60)
    assert done.stderr == ""
    ends = json.loads(done.stdout)
    assert len(ends) == len(ATTACKS)
    assert [
        (one, end) for one, end in zip(ATTACKS, ends, strict=True) if isinstance(end, int)
    ] == []
    assert all("\n" not in end for end in ends)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for word in text.split() %}{{ word | upper }} {% endfor %}", "A B A B "),
        ("{{ text | trim | length }} {{ text.split() | join('-') }}", "7 a-b-a-b"),
        (COUNTING, "3"),
        ("{{ '%s and %s' % ('x', 1) }} {{ 'a' * 3 }} {{ text[:3] }}", "x and 1 aaa a b"),
        ("{{ row | tojson }}", '{"text": "a b a b"}'),
        ("{% macro bold(x) %}*{{ x }}*{% endmacro %}{{ bold(text) }}", "*a b a b*"),
    ],
)
def test_ordinary_templates_say_what_they_said(template: str, message: str) -> None:
    prompt = parse(f"user:\n{template}\n")
    document = Document(0, "a", {"text": "a b a b"}, "a b a b")
    assert prompt.render(document).messages[0].text == message


def test_a_long_document_may_be_looped_over() -> None:
    text = "word " * 200_000
    prompt = parse("user:\n{% for word in text.split() %}{{ word }},{% endfor %}\n")
    assert len(prompt.render(Document(0, "a", {}, text)).messages[0].text) == 1_000_000


def test_a_template_that_stands_alone_is_asked_for() -> None:
    with pytest.raises(UsageError) as caught:
        parse("user:\n{% include 'other' %}\n", origin="mine.prompty")
    assert str(caught.value) == (
        "mine.prompty: in a message, line 1: a prompt has no {% include %}: it stands alone"
    )


def test_too_much_work_is_a_row_that_fails() -> None:
    prompt = parse(f"---\nname: ask\n---\nuser:\n{{{{ text }}}}{NESTED}\n")
    with pytest.raises(DocumentError) as caught:
        prompt.render(Document(0, "a", {}, "a"))
    assert str(caught.value).startswith("user message of prompt ask: it takes too long")
