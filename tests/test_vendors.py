"""Whose server an address is, and where Azure's addresses lead."""

from __future__ import annotations

import pytest

from pipeline.vendors import Vendor, full_address, vendor_of, without_version

AZURE = "https://me.openai.azure.com"


@pytest.mark.parametrize(
    ("url", "vendor"),
    [
        ("https://api.openai.com/v1", Vendor.OPENAI),
        ("https://API.OpenAI.com/v1/", Vendor.OPENAI),
        ("https://eu.api.openai.com/v1", Vendor.OPENAI),
        (f"{AZURE}/openai/v1", Vendor.AZURE),
        ("https://me.cognitiveservices.azure.com/openai/v1", Vendor.AZURE),
        ("https://me.services.ai.azure.com/openai/v1", Vendor.AZURE),
        ("https://me.openai.azure.us/openai/v1", Vendor.AZURE),
        ("https://gateway.my.company/llm/openai/deployments/x?api-version=1", Vendor.AZURE),
        ("https://api.groq.com/openai/v1", Vendor.OTHER),
        ("https://notapi.openai.com.evil.org/v1", Vendor.OTHER),
        ("http://127.0.0.1:8000/v1", Vendor.OTHER),
    ],
)
def test_a_vendor_is_known_by_its_address(url: str, vendor: Vendor) -> None:
    assert vendor_of(url) is vendor


@pytest.mark.parametrize(
    ("given", "full"),
    [
        (AZURE, f"{AZURE}/openai/v1"),
        (f"{AZURE}/", f"{AZURE}/openai/v1"),
        (f"{AZURE}/openai/", f"{AZURE}/openai/v1"),
        (
            f"{AZURE}/openai?api-version=2024-10-21",
            f"{AZURE}/openai/deployments/sorting?api-version=2024-10-21",
        ),
        (f"{AZURE}/openai?api-version=preview", f"{AZURE}/openai/v1?api-version=preview"),
        (f"{AZURE}/openai/v1", f"{AZURE}/openai/v1"),
        (
            f"{AZURE}/openai/deployments/x?api-version=1",
            f"{AZURE}/openai/deployments/x?api-version=1",
        ),
        ("https://api.openai.com", "https://api.openai.com"),
    ],
)
def test_an_address_of_azure_gets_its_end(given: str, full: str) -> None:
    assert full_address(given, "sorting") == full


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (f"{AZURE}/openai/deployments/x?api-version=2025-04-01", f"{AZURE}/openai/deployments/x"),
        ("https://gateway.test/v1?a=1&api-version=2&b=3", "https://gateway.test/v1?a=1&b=3"),
        ("https://gateway.test/v1?a=1&version=2", "https://gateway.test/v1?a=1&version=2"),
        ("https://gateway.test/v1?a=%20&b", "https://gateway.test/v1?a=%20&b"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
    ],
)
def test_an_answer_stands_whatever_the_version_of_azures_api(given: str, known: str) -> None:
    assert without_version(given) == known
