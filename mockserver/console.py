"""What a provider's console says of a workflow: the request of a trial run, and a schema of its body.

The workflow's part is `world.parameters`'; here it is put where the provider's submit operation wants it, which the
marks of its request schema say.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from mockserver.errors import UserError
from mockserver.provider import Provider
from mockserver.world import parameters
from mockserver.world.workflow import Workflow


def trial_curl(provider: Provider, workflow: Workflow) -> str:
    """Return a trial run as a curl command, with a placeholder for the key.

    Raises:
        UserError: *provider* takes no workflow by its id.
    """
    address, schema = _submit(provider)
    body = _filled(provider, schema, {"workflow.id": workflow.id, "task.overrides": parameters.trial_run(workflow)})
    lines = [
        f"curl --request POST --url {shlex.quote(address)}",
        "--header 'Accept: application/json'",
        '--header "Authorization: Bearer $API_KEY"',
        "--header 'Content-Type: application/json'",
        f"--data {shlex.quote(json.dumps(body, ensure_ascii=False, indent=2))}",
    ]
    return " \\\n  ".join(lines)


def body_schema(provider: Provider, workflow: Workflow) -> dict[str, Any]:
    """Return a JSON Schema (2020-12) of the bodies that run *workflow* without a finding.

    Raises:
        UserError: *provider* takes no workflow by its id.
    """
    _, schema = _submit(provider)
    overrides = parameters.json_schema(workflow)
    dialect = overrides.pop("$schema")
    members = _filled(provider, schema, {"workflow.id": {"const": workflow.id}, "task.overrides": overrides})
    return {"$schema": dialect, "type": "object", "required": list(members), "properties": members}


def runs_by_id(provider: Provider) -> bool:
    """Whether *provider* takes a hosted workflow by its id, and changes of its inputs by node."""
    return _submits(provider) is not None


def _submit(provider: Provider) -> tuple[str, Mapping[str, Any]]:
    found = _submits(provider)
    if found is None:
        raise UserError(f"{provider.name} runs no workflow by its id; name another provider with --provider")
    return found


def _submits(provider: Provider) -> tuple[str, Mapping[str, Any]] | None:
    """Find where workflows are submitted by their id: the address, and the schema of the body."""
    for operation in provider.operations:
        if operation.verb.name != "submit":
            continue
        document = provider.documents["openapi.json"]["paths"][operation.path][operation.method.lower()]
        schema = _resolved(provider, document["requestBody"]["content"]["application/json"]["schema"])
        marks = {_resolved(provider, member).get("x-value") for member in schema.get("properties", {}).values()}
        if {"workflow.id", "task.overrides"} <= marks:
            host = f"https://{provider.hosts[0]}" if provider.hosts else "http://127.0.0.1:8787"
            return f"{host}{provider.mounts[-1] if provider.mounts else ''}{operation.path}", schema
    return None


def _filled(provider: Provider, schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    marks = {name: _resolved(provider, member).get("x-value") for name, member in schema["properties"].items()}
    return {name: values[str(mark)] for name, mark in marks.items() if mark in values}


def _resolved(provider: Provider, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = provider.documents["openapi.json"]
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**_resolved(provider, found), **{key: value for key, value in schema.items() if key != "$ref"}}
