"""The OpenAPI document, made from the table of endpoints and the types that check the requests."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec

from gpu_saliency._version import __version__
from gpu_saliency.serve.endpoints import ENDPOINTS, JOB_BODY, Endpoint
from gpu_saliency.serve.shapes import MOST_NUMBER, JobShapes, Refusal

_REFERENCE = "#/components/schemas/{name}"
Document = dict[str, Any]


def openapi_document(shapes: JobShapes) -> Document:
    """The document for submissions of these ``shapes``."""
    types = [shapes.body, Refusal]
    for one in ENDPOINTS:
        types += [kind for kind in (one.body, *one.answers.values()) if kind is not None and not isinstance(kind, str)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: Document = {}
    for one in ENDPOINTS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, by_type, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gpu-saliency serve",
            "version": __version__,
            "description": "Jobs of a queue of saliency-aware encodes.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Endpoint, by_type: dict[int, Document], shapes: JobShapes) -> Document:
    operation: Document = {"summary": one.summary, "operationId": one.handle.__name__}
    parameters = list(_parameters(one))
    if parameters:
        operation["parameters"] = parameters
    if one.body is not None:
        schema = by_type[id(shapes.body if one.body == JOB_BODY else one.body)]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    responses = {str(status): _response(status, by_type.get(id(kind)), kind) for status, kind in one.answers.items()}
    errors = {*one.errors, 403, *([401] if one.needs_token else [])} - set(one.answers)
    refused = by_type[id(Refusal)]
    responses |= {str(status): _response(status, refused, Refusal) for status in sorted(errors)}
    operation["responses"] = responses
    if not one.needs_token:
        operation["security"] = []
    return operation


def _parameters(one: Endpoint) -> list[Document]:
    number = {"type": "integer", "minimum": 1, "maximum": MOST_NUMBER}
    found: list[Document] = [
        {"name": name, "in": "path", "required": True, "schema": number} for name in re.findall(r"{(\w+)}", one.path)
    ]
    if one.query is not None:
        _, components = msgspec.json.schema_components([one.query], ref_template=_REFERENCE)
        for name, schema in components[one.query.__name__]["properties"].items():
            found.append({"name": name, "in": "query", "required": False, "schema": schema})
    for name, text in one.headers.items():
        found.append({"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}})
    return found


def _response(status: int, schema: Document | None, kind: Any) -> Document:
    media = kind.partition(";")[0] if isinstance(kind, str) else "application/json"
    if schema is None:
        schema = {"type": "string", "format": "binary"} if media == "application/octet-stream" else {"type": "string"}
    return {"description": HTTPStatus(status).phrase, "content": {media: {"schema": schema}}}
