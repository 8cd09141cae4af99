"""Which columns are compared: what `--expected` says, parsed once and asked of each table."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.evaluation.pairs import Expected, Pair, find_pairs

RUN = ["status", "error", "model", "cost_usd", "latency_seconds"]


@pytest.mark.parametrize(
    ("names", "expected", "predicted", "pairs"),
    [
        (["gold", "label", *RUN], ["gold"], None, [("label", "gold")]),
        (["gold", "output", *RUN], ["gold"], None, [("output", "gold")]),
        (["gold", "text"], ["gold"], "text", [("text", "gold")]),
        (
            ["label", "ai_label", "ai_status", "ai_error", "ai_cost_usd"],
            ["label"],
            None,
            [("ai_label", "label")],
        ),
        (["label", "urgency", *RUN], ["label"], "urgency", [("urgency", "label")]),
        (["gold_urgency", "urgency", *RUN], ["gold_urgency"], None, [("urgency", "gold_urgency")]),
        (["a", "b", "c", "d"], ["a=b", "c=d"], None, [("a", "b"), ("c", "d")]),
        (["a", "b", "c", "d"], ["a=b, c=d"], None, [("a", "b"), ("c", "d")]),
        (["right, or not", "label"], ["right, or not"], None, [("label", "right, or not")]),
        (["a=b", "label"], ["a=b"], None, [("label", "a=b")]),
        (
            ["gold_a", "gold_b", "a", "b"],
            ["gold_a,gold_b"],
            None,
            [("a", "gold_a"), ("b", "gold_b")],
        ),
    ],
)
def test_the_answer_of_a_column_is_found(
    names: list[str], expected: list[str], predicted: str | None, pairs: list[tuple[str, str]]
) -> None:
    assert find_pairs(names, Expected.parse(*expected), predicted, "t") == [
        Pair(*pair) for pair in pairs
    ]


@pytest.mark.parametrize(
    ("expected", "predicted", "message"),
    [
        (["gould"], None, 't.csv has no column "gould"; did you mean "gold"?'),
        (["zzz"], None, 't.csv has no column "zzz"; its columns are: id, gold, answer'),
        (["gold"], "anser", 't.csv has no column "anser"; did you mean "answer"?'),
        (["anser=gold"], None, 't.csv has no column "anser"; did you mean "answer"?'),
        (["gold"], None, "which column of t.csv is the answer? name it with --predicted"),
        (["gold"], "gold", 'the column "gold" can\'t be compared with itself'),
        (["answer=gold,id=id"], "answer", "--predicted names one column"),
    ],
)
def test_a_column_that_is_not_there_is_an_error(
    expected: list[str], predicted: str | None, message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        find_pairs(["id", "gold", "answer"], Expected.parse(*expected), predicted, "t.csv")
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("gold", {"gold"}),
        ("a=gold_a, b=gold_b", {"gold_a", "gold_b", "a=gold_a", "b=gold_b", "a=gold_a, b=gold_b"}),
        ("a=b=c", {"a=b=c", "b=c"}),
        ("right, or not", {"right, or not", "right", "or not"}),
    ],
)
def test_the_columns_that_may_be_meant_are_known_before_the_table_is(
    text: str, columns: set[str]
) -> None:
    assert Expected.parse(text).columns == columns
