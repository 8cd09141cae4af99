"""The words of a server are found wherever they stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backends.apis.complaints import complaint, read_complaint

SAID = "No such thing."


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": SAID, "code": 400}},
        {"error": SAID},
        [{"error": {"message": SAID, "status": "INVALID_ARGUMENT", "details": []}}],
        {"errors": [{"message": SAID}]},
        {"errors": [SAID]},
        {"detail": SAID},
        {"status": 404, "title": "Not Found", "detail": SAID},
        {"message": SAID, "object": "error", "code": 400},
        {"Message": SAID},
        {"msg": SAID},
        {"error": "Bad Request", "message": SAID, "status": 400},
        {"type": "error", "error": {"type": "invalid_request_error", "message": SAID}},
        {"error": {"message": json.dumps({"error": {"message": SAID}})}},
        {
            "error": {
                "message": "Provider returned error",
                "metadata": {"raw": json.dumps({"error": {"message": SAID}})},
            }
        },
        {"error": {"message": "Provider returned error", "metadata": {"raw": SAID}}},
        {"fault": {"faultstring": SAID}},
        SAID,
    ],
)
def test_words_are_found(body: object) -> None:
    assert read_complaint(json.dumps(body).encode()).text == SAID


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"just text", "just text"),
        (b"404 page not found", "404 page not found"),
        (b"<html><head><title>Bad\nGateway</title></head><body>x</body></html>", "Bad Gateway"),
        (b"<html><style>a{}</style><body><h1>Gone</h1> away</body></html>", "Gone away"),
        (b'{"odd": {"shape": 1}}', '{"odd": {"shape": 1}}'),
        (b"", ""),
        (b"{}", ""),
        ("\x1b[31mred\x9b1m \u202eback".encode(), r"\u001b[31mred\u009b1m \u202eback"),
        (
            b'{"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}',
            "body.seed: Extra inputs are not permitted",
        ),
    ],
)
def test_any_body_has_a_line(body: bytes, words: str) -> None:
    assert read_complaint(body).text == words


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 402}, 402),
        ({"code": "402"}, 402),
        ({"code": "ERR_429"}, 429),
        ({"code": "Too Many Requests"}, 429),
        ({"status": "RESOURCE_EXHAUSTED"}, 429),
        ({"type": "overloaded_error"}, 529),
        ({"type": "invalid_request_error"}, 400),
        ({"type": "authentication_error"}, 401),
        ({"code": "insufficient_quota"}, 402),
        ({"code": 1302}, 0),
        ({"message": "Error code: 429 - slow down"}, 429),
        ({"message": "503 Service Unavailable"}, 503),
        ({"message": "a text of 429 words"}, 0),
        ({"code": True}, 0),
        ({"error": {"statusCode": 503}}, 503),
    ],
)
def test_a_code_is_a_status_in_any_spelling(error: dict[str, object], status: int) -> None:
    assert complaint({"error": error}).status == status


def test_parameters_and_codes_are_found() -> None:
    told = complaint({"error": {"param": "body.seed", "code": "Unknown_Parameter", "type": "x"}})
    assert told.params == ("seed",)
    assert (told.name, told.codes) == ("Unknown_Parameter", {"unknown_parameter", "x"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(("error", "code", "loc", "param", "metadata", "raw", "message")), inner
        )
    ),
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_error_is_a_short_line(body: bytes) -> None:
    told = read_complaint(body)
    assert len(told.text) <= 300 and "\n" not in told.text
