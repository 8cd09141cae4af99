"""The JSON Schema of a pydantic model, as servers take it for strict answers.

All of its fields are required: an answer that fits the schema is one that the model validates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from pipeline.errors import UsageError
from pipeline.prompting.references import resolve
from pipeline.prompting.strictness import change_parts

# What says nothing to a model, or is only for those who read pydantic's schemas.
_UNUSED = ("title", "default", "examples", "deprecated", "discriminator", "readOnly", "writeOnly")
_SAYING = ("type", "enum", "anyOf", "$ref")


class _Generator(GenerateJsonSchema):
    """Takes a `Decimal` for a number: pydantic would take a text for one, too."""

    ignored_warning_kinds = {"non-serializable-default"}  # noqa: RUF012  # its base's own type

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        result: JsonSchemaValue = {"type": "number"}
        self.update_with_validations(result, schema, self.ValidationsMapping.numeric)
        return result


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a model. Raises UsageError naming a field that can't be asked for."""
    try:
        given = model.model_json_schema(schema_generator=_Generator)
    except PydanticUserError as error:  # such as a field that is a function
        reason = error.message.partition("\n")[0]
        raise UsageError(f"outputs: {model.__name__} has no JSON Schema: {reason}") from error
    if "$ref" in given:  # of a model that is in itself
        given = {**resolve(given, given["$ref"]), "$defs": given["$defs"]}
    if given.get("type") != "object":
        raise UsageError(f"outputs: {model.__name__} isn't a model with fields")
    models = given.pop("$defs", {})
    fitted = _fit(given, model.__name__)
    if models:
        fitted["$defs"] = {name: _fit(part, name) for name, part in models.items()}
    return fitted


def _fit(schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Write a schema with no more than strict answers need."""
    kept = {word: value for word, value in schema.items() if word not in _UNUSED}
    if "oneOf" in kept:
        kept["anyOf"] = kept.pop("oneOf")
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    if "prefixItems" in kept:
        kept["items"] = _item(kept.pop("prefixItems"), where)
    _check(kept, where)
    if "properties" in kept:
        kept["required"] = list(kept["properties"])
        kept.pop("additionalProperties", None)
    return change_parts(kept, lambda part, name: _fit(part, f"{where}.{name}" if name else where))


def _item(items: Sequence[Mapping[str, Any]], where: str) -> dict[str, Any]:
    """Return what each item of a tuple is."""
    first, *others = (_fit(item, where) for item in items)
    if any(other != first for other in others):
        raise UsageError(f"outputs: {where} is a tuple of several types: make it a model")
    return first


def _check(schema: Mapping[str, Any], where: str) -> None:
    """Raise UsageError for what leaves open what an answer has."""
    if schema.get("type") == "object" and not schema.get("properties"):
        raise UsageError(f"outputs: {where} doesn't name its fields: make it a model that does")
    if not any(word in schema for word in _SAYING):
        raise UsageError(f"outputs: {where} may be anything: give it a type")
