"""JSON Schema of the messages, from the protos themselves, for the OpenAPI document."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0},
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64", "description": "a number is read too"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64", "description": "a number is read too"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}


def schemas(*kinds: type[Message]) -> dict[str, dict[str, Any]]:
    """Gives the schemas of messages and of all messages in them, by name."""
    found: dict[str, dict[str, Any]] = {}
    waiting: list[Any] = [kind.DESCRIPTOR for kind in kinds]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.name not in found:
            found[descriptor.name] = _schema(descriptor)
            waiting += [field.message_type for field in descriptor.fields if _refers(field)]
    return found


def reference(kind: type[Message]) -> dict[str, str]:
    """Gives the reference to a message's schema in an OpenAPI document."""
    return {"$ref": f"#/components/schemas/{kind.DESCRIPTOR.name}"}


def body(kind: type[Message]) -> dict[str, Any]:
    """Gives the OpenAPI of a request body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference(kind)}}}}


def response(kind: type[Message], description: str) -> dict[int | str, dict[str, Any]]:
    """Gives the OpenAPI of an answer."""
    return {200: {"description": description, "content": {"application/json": {"schema": reference(kind)}}}}


def _schema(descriptor: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {field.name: _field(field) for field in descriptor.fields}}


def _field(field: Any) -> dict[str, Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _one(field.message_type.fields_by_name["value"])}
    return {"type": "array", "items": _one(field)} if field.is_repeated else _one(field)


def _one(field: Any) -> dict[str, Any]:
    if field.message_type is not None:
        return {"$ref": f"#/components/schemas/{field.message_type.name}"}
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    return dict(_SCALARS[field.cpp_type])


def _refers(field: Any) -> bool:
    return field.message_type is not None and not field.message_type.GetOptions().map_entry
