from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.prompting import yamls
from tests import bounded

LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
)
MERGED = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)
)
STAIRS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 300))


def read(text: str, *, words: bool = False) -> object:
    return yamls.read(text, origin="l.yaml", what="the labels are", words=words)


def refusal(text: str, *, words: bool = False) -> str:
    with pytest.raises(UsageError) as raised:
        read(text, words=words)
    return str(raised.value)


def test_values_are_what_they_look_like() -> None:
    text = "a: 1\nb: [1.5, yes, null, text, 0x10, -3]\nc: &c {d: '007'}\ne: {<<: *c, f: *c}\n"
    assert read(text) == {
        "a": 1,
        "b": [1.5, True, None, "text", 16, -3],
        "c": {"d": "007"},
        "e": {"d": "007", "f": {"d": "007"}},
    }
    assert read("") is None


def test_with_words_all_is_text() -> None:
    assert read("[yes, 007, 12:30, .inf, 2026-13-45]", words=True) == [
        *("yes", "007", "12:30", ".inf", "2026-13-45")
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LAUGHS, "line 9: the labels are not YAML: aliases (`*name`) unfold to too much"),
        (MERGED, "line 16: the labels are not YAML: aliases (`*name`) unfold to too much"),
        (STAIRS, "line 219: the labels are not YAML: it goes over 220 levels deep"),
        ("\n" + "[" * 240, "line 2: the labels are not YAML: it goes over 220 levels deep"),
        ("\n" + "- " * 240, "line 2: the labels are not YAML: it goes over 220 levels deep"),
        (
            "a: &a [*a]",
            "line 1: the labels are not YAML: an alias (`*name`) stands in what it names",
        ),
        ("a: 1\nb: 2\na: 3", "line 3: the labels are not YAML: `a` is there twice"),
        ("a: 1\n---\nb: 2", "line 2: the labels are not YAML: but found another document"),
        ("a\0b", "line 1: the labels are not YAML: special characters are not allowed"),
        ("a: *b", "line 1: the labels are not YAML: found undefined alias 'b'"),
        ("a" * 200_001, "the labels are too long: over 200,000 characters of YAML"),
    ],
    ids=lambda text: text[:12],
)
@pytest.mark.parametrize("words", [False, True])
def test_what_is_too_much_or_ambiguous_is_refused(text: str, problem: str, words: bool) -> None:
    if words and text is MERGED:
        pytest.skip("there `<<` is a key as any other")
    assert refusal(text, words=words) in (f"l.yaml, {problem}", f"l.yaml: {problem}")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("9" * 30, f"{'9' * 30} is too large for a whole number"),
        ("0x" + "f" * 100_000, f"0x{'f' * 57}… is too large for a whole number"),
        (".nan", ".nan is not a finite number"),
        ("-.inf", "-.inf is not a finite number"),
        ("1.0e+999", "1.0e+999 is not a finite number"),
        ("12:30", "12:30 would be 750 in YAML: put it in quotes"),
        ("1:30.5", "1:30.5 would be 90.5 in YAML: put it in quotes"),
        ("007", "007 would be 7 in YAML: put it in quotes"),
        ("2026-13-45", "2026-13-45 can't be read: month must be in 1..12"),
        ("!!int many", "many can't be read: invalid literal for int() with base 10: 'many'"),
        ("!!int ''", "can't be read: string index out of range"),
        ("!!bool perhaps", "perhaps can't be read: 'perhaps'"),
        (
            "!!binary aGk=",
            "could not determine a constructor for the tag 'tag:yaml.org,2002:binary'",
        ),
        (
            "!!python/object/apply:os.system [id]",
            "could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("{[a]: b}", "found unhashable key"),
    ],
    ids=lambda text: text[:12],
)
def test_a_value_that_cannot_be_is_a_line(value: str, problem: str) -> None:
    message = refusal(f"a: 1\nb: {value}\n")
    assert message == f"l.yaml, line 2: the labels are not YAML: {problem}"


def test_a_number_of_more_digits_than_python_reads_is_a_line() -> None:
    message = refusal(f"a: {'9' * 5000}")
    assert message.startswith("l.yaml, line 1: the labels are not YAML: 99999")
    assert "\n" not in message
    assert len(message) < 300


HOSTILE = [
    "[",
    "[{a: ",
    "- ",
    "? ",
    "a: b\n",
    "a,",
    "\\x41",
    "&a x ",
    "!!str x\n",
    "#\n",
    ">\n a\n",
]
READ = """
from pipeline.prompting import yamls
from pipeline.errors import UsageError
for piece in sys.argv[1:]:
    for before in ("", "[", '"'):
        try:
            yamls.read(before + piece * (20_000 // len(piece)), origin="", what="")
        except UsageError:
            pass
print("read")
"""


def test_no_text_holds_up_or_ends_the_program() -> None:
    done = bounded.run(READ, *HOSTILE, seconds=60, megabytes=500)
    assert done.stdout == "read\n", done.stderr
