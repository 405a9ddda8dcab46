"""The provider folders as documents: valid by their standards, sourced, and true to the pages they come from.

What a folder *does* is tested where it is loaded; here it is data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from mockserver import data
from mockserver.provider import load
from mockserver.provider.documents import merge_patch
from mockserver.provider.vocabulary import EVENTS, TRIGGERS, VERBS

SCHEMAS = data.schemas()
META = SCHEMAS / "_meta"
PAGES = data.fixtures() / "genstudio"
FOLDERS = sorted(path.parent for path in [*SCHEMAS.glob("[!_]*/openapi.json"), *SCHEMAS.glob("_stores/*/openapi.json")])
WITH_FEED = [folder for folder in FOLDERS if (folder / "asyncapi.json").exists()]
WITH_VARIANTS = [folder for folder in FOLDERS if (folder / "variants.json").exists()]
GENSTUDIO = SCHEMAS / "genstudio"

each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
each_folder_with_feed = pytest.mark.parametrize("folder", WITH_FEED, ids=lambda folder: folder.name)
each_folder_with_variants = pytest.mark.parametrize("folder", WITH_VARIANTS, ids=lambda folder: folder.name)
each_meta = pytest.mark.parametrize("meta", sorted(META.glob("*.schema.json")), ids=lambda path: path.name)


@each_folder
def test_openapi_is_valid_openapi_3_1(folder: Path) -> None:
    document = read(folder / "openapi.json")

    errors = [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()]

    assert document["openapi"].startswith("3.1")
    assert errors == []


@each_folder_with_feed
def test_asyncapi_is_valid_as_far_as_we_use_it(folder: Path) -> None:
    assert_fits(read(folder / "asyncapi.json"), read(META / "asyncapi.schema.json"))


@each_folder_with_feed
def test_asyncapi_operations_send_messages_of_their_own_channel(folder: Path) -> None:
    operations = read(folder / "asyncapi.json")["operations"]

    strays = [
        message["$ref"]
        for operation in operations.values()
        for message in operation["messages"]
        if not message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
    ]

    assert strays == []


@each_folder
@pytest.mark.parametrize("name", ["machine", "errors"])
def test_our_own_files_fit_their_schemas(folder: Path, name: str) -> None:
    assert_fits(read(folder / f"{name}.json"), read(META / f"{name}.schema.json"))


@each_folder_with_variants
def test_variants_fit_their_schema(folder: Path) -> None:
    assert_fits(read(folder / "variants.json"), read(META / "variants.schema.json"))


@each_folder
def test_our_keys_in_standard_documents_fit_their_schema(folder: Path) -> None:
    validator = Draft202012Validator(read(META / "keys.schema.json"))

    wrong = [
        f"{name}#{pointer}: {error.message}"
        for name, document in standard_documents(folder).items()
        for pointer, place in objects(document)
        if not pointer.endswith(("/properties", "/headers"))
        for error in validator.iter_errors(place)
    ]

    assert wrong == []


@each_folder
def test_every_reference_leads_somewhere(folder: Path) -> None:
    documents = standard_documents(folder)

    broken = [
        f"{name}#{pointer}: {place['$ref']}"
        for name, document in documents.items()
        for pointer, place in objects(document)
        if isinstance(place.get("$ref"), str) and not leads_somewhere(place["$ref"], name, documents)
    ]

    assert broken == []


@each_folder
def test_every_fact_says_where_it_comes_from(folder: Path) -> None:
    unsourced = [where for where, place in sourced(folder) if len(place.get("x-source", {})) != 1]

    assert unsourced == []


@each_folder
def test_documented_facts_name_a_source_of_the_list(folder: Path) -> None:
    listed = set(re.findall(r"^\| ([A-Z]+\d+)\b", (folder / "SOURCES.md").read_text("utf-8"), re.MULTILINE))

    unlisted = [
        f"{where}: {place['x-source']['documented']}"
        for where, place in sourced(folder)
        if "documented" in place.get("x-source", {})
        and not listed & set(re.findall(r"\b[A-Z]+\d+\b", place["x-source"]["documented"]))
    ]

    assert listed
    assert unlisted == []


@each_folder
def test_every_example_fits_its_schema(folder: Path) -> None:
    registry = registry_of(folder)

    unfit = [
        f"{pointer}/examples/{name}: {error.message}"
        for pointer, place in objects(read(folder / "openapi.json"))
        if "schema" in place and "examples" in place
        for name, example in place["examples"].items()
        for error in Draft202012Validator(
            {"$ref": f"openapi.json#{pointer}/schema"}, registry=registry
        ).iter_errors(example["value"])
    ]  # fmt: skip

    assert unfit == []


@each_folder_with_variants
def test_every_reading_leaves_valid_documents(folder: Path) -> None:
    wrong = [
        f"{variant}={reading}: {error}"
        for variant, reading, patch in readings(folder)
        for file, changes in patch.items()
        for error in errors_of(file, merge_patch(read(folder / file), changes))
    ]

    assert wrong == []


@each_folder_with_variants
@settings(max_examples=10)
@given(draw=st.data())
def test_readings_of_different_variants_load_together(folder: Path, draw: st.DataObject) -> None:
    variants = read(folder / "variants.json")
    choice = {name: draw.draw(st.sampled_from(sorted(variant["readings"])), name) for name, variant in variants.items()}

    provider = load(folder, readings=choice)

    assert dict(provider.readings) == choice


@each_meta
def test_meta_schemas_are_valid_and_describe_every_property(meta: Path) -> None:
    schema = read(meta)

    bare = [
        f"{pointer}/properties/{name}"
        for pointer, place in subschemas(schema)
        for name, member in place.get("properties", {}).items()
        if not described(member, schema)
    ]

    Draft202012Validator.check_schema(schema)
    assert bare == []


@each_meta
def test_meta_schemas_fit_their_own_examples(meta: Path) -> None:
    schema = read(meta)

    for example in schema.get("examples", []):
        assert_fits(example, schema)


def test_meta_schemas_agree_on_what_a_source_is() -> None:
    shapes = {
        json.dumps(schema["$defs"]["source"], sort_keys=True)
        for schema in map(read, META.glob("*.schema.json"))
        if "source" in schema.get("$defs", {})
    }

    assert len(shapes) == 1


def test_meta_schemas_know_the_words_that_the_code_knows() -> None:
    keys = read(META / "keys.schema.json")["$defs"]
    machine = read(META / "machine.schema.json")["$defs"]

    assert set(keys["verb"]["enum"]) == set(VERBS)
    assert set(keys["verbWithOptions"]["additionalProperties"]["properties"]) == set().union(*VERBS.values())
    assert set(machine["state"]["properties"]["on"]["propertyNames"]["enum"]) == set(TRIGGERS)


@each_folder_with_feed
def test_messages_show_events_that_exist(folder: Path) -> None:
    states = read(folder / "machine.json")["task"]["states"]
    known = EVENTS | {f"task.{state}" for state in states}

    shown = {
        event
        for channel in read(folder / "asyncapi.json")["channels"].values()
        for message in channel["messages"].values()
        for event in message.get("x-on", [])
    }

    assert shown <= known


@pytest.mark.parametrize(
    ("page", "schema"),
    [
        ("text-to-image.request", "Submit"),
        ("image-to-image.request", "Submit"),
        ("text-to-image.answer", "Submitted"),
        ("image-to-image.answer", "Submitted"),
        ("upload_image.answer", "Uploaded"),
        ("get_task_info.request", "TaskQuery"),
        ("get_task_info.url_expire_period.request", "TaskQuery"),
        ("get_task_info.image_post_process_cmd.request", "TaskQuery"),
        ("get_task_info.text-to-image.answer", "TaskInfos"),
        ("get_task_info.image-to-image.answer", "TaskInfos"),
        ("get_task_progress.message", "Feed"),
    ],
)
def test_what_the_page_prints_fits_the_schema(page: str, schema: str) -> None:
    printed = read(PAGES / f"{page}.json")

    assert_fits(printed, {"$ref": f"openapi.json#/components/schemas/{schema}"}, registry_of(GENSTUDIO))


@pytest.mark.parametrize(
    ("path", "place", "example", "page"),
    [
        ("prompt", "requestBody", "text-to-image", "text-to-image.request"),
        ("prompt", "requestBody", "image-to-image", "image-to-image.request"),
        ("prompt", "responses/200", "text-to-image", "text-to-image.answer"),
        ("get_task_info", "requestBody", "link-lifetime", "get_task_info.url_expire_period.request"),
        ("get_task_info", "requestBody", "post-process", "get_task_info.image_post_process_cmd.request"),
        ("get_task_info", "responses/200", "text-to-image", "get_task_info.text-to-image.answer"),
        ("upload/image", "responses/200", "kept", "upload_image.answer"),
    ],
)
def test_examples_of_the_page_are_what_the_page_prints(path: str, place: str, example: str, page: str) -> None:
    operation = read(GENSTUDIO / "openapi.json")["paths"][f"/api/maas/comfy_task_api/{path}"]["post"]

    shown = find(operation, [*place.split("/"), "content", "application/json", "examples", example, "value"])

    assert shown == read(PAGES / f"{page}.json")


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        pytest.param("Submit", {"workflow_id": "wf-a"}, id="submit without prompt"),
        pytest.param("Submit", {"prompt": {}}, id="submit without workflow_id"),
        pytest.param("Submit", {"workflow_id": "wf-a", "prompt": {"3": {}}}, id="node without inputs"),
        pytest.param("Submit", {"workflow_id": "wf-a", "prompt": {"3": {"inputs": []}}}, id="inputs is a list"),
        pytest.param("TaskQuery", {}, id="query without ids"),
        pytest.param("TaskQuery", {"comfy_task_ids": "cft-a"}, id="ids is a text"),
        pytest.param("TaskQuery", {"comfy_task_ids": ["cft-a"], "url_expire_period": "600"}, id="period is a text"),
        pytest.param("Cancel", {"id": "cft-a"}, id="cancel by a name nobody uses"),
        pytest.param("Refused", {"code": 0, "msg": "Success", "data": None}, id="a success is no refusal"),
        pytest.param("Submitted", {"code": 10001, "msg": "Invalid Field", "data": None}, id="a refusal is no success"),
    ],
)
def test_what_the_service_cannot_take_or_say_does_not_fit(schema: str, body: Any) -> None:
    judge = Draft202012Validator(
        {"$ref": f"openapi.json#/components/schemas/{schema}"}, registry=registry_of(GENSTUDIO)
    )

    assert not judge.is_valid(body)


# Reading and walking documents.


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def standard_documents(folder: Path) -> dict[str, Any]:
    names = ("openapi.json", "asyncapi.json")
    return {name: read(folder / name) for name in names if (folder / name).exists()}


def objects(value: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a document with its pointer; the content of examples is not ours to walk."""
    if isinstance(value, dict):
        yield pointer, value
        for key, member in value.items():
            if key not in ("value", "const", "default", "enum"):
                yield from objects(member, f"{pointer}/{escape(key)}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from objects(member, f"{pointer}/{index}")


def subschemas(schema: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema inside a JSON Schema with its pointer."""
    if isinstance(schema, list):
        for index, member in enumerate(schema):
            yield from subschemas(member, f"{pointer}/{index}")
    if isinstance(schema, dict):
        yield pointer, schema
        for key, member in schema.items():
            named = member if key in ("properties", "$defs", "patternProperties") else {"": member}
            for name, inner in named.items():
                yield from subschemas(inner, f"{pointer}/{key}/{name}".rstrip("/"))


def escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def find(document: Any, keys: list[str]) -> Any:
    for key in keys:
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def leads_somewhere(reference: str, file: str, documents: Mapping[str, Any]) -> bool:
    name, _, pointer = reference.partition("#")
    keys = [unquote(key).replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    return reaches(documents.get(name or file), keys)


def sourced(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what has to name its source, with where it stands."""
    api = read(folder / "openapi.json")
    for path, item in api["paths"].items():
        for method, operation in item.items():
            if method not in ("parameters", "servers"):
                yield f"{method} {path}", operation
    for section in ("schemas", "responses", "parameters", "securitySchemes"):
        for name, component in api.get("components", {}).get(section, {}).items():
            yield f"{section}/{name}", component
    if (folder / "asyncapi.json").exists():
        for name, channel in read(folder / "asyncapi.json")["channels"].items():
            yield f"channel {name}", channel
    for kind, entry in read(folder / "machine.json").items():
        for name, state in entry.get("states", {}).items():
            yield f"{kind} {name}", state
        for number, line in enumerate(entry.get("log", ())):
            yield f"{kind} log {number}", line
    errors = read(folder / "errors.json")
    for section in ("refusals", "failures", "problems"):
        for name, entry in errors.get(section, {}).items():
            yield f"{section}/{name}", entry
    if (folder / "variants.json").exists():
        for name, variant in read(folder / "variants.json").items():
            for reading, body in variant["readings"].items():
                yield f"{name}={reading}", body


def readings(folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, variant in read(folder / "variants.json").items():
        for reading, body in variant["readings"].items():
            yield name, reading, body.get("patch", {})


def errors_of(file: str, document: Any) -> list[str]:
    if file == "openapi.json":
        return [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()]
    meta = Draft202012Validator(read(META / file.replace(".json", ".schema.json")))
    return [error.message for error in meta.iter_errors(document)]


def described(member: dict[str, Any], schema: dict[str, Any]) -> bool:
    target = member.get("$ref", "").removeprefix("#/")
    return "description" in member or (bool(target) and "description" in find(schema, target.split("/")))


# Judging.


def registry_of(folder: Path) -> Registry[Any]:
    resources = [(name, DRAFT202012.create_resource(content)) for name, content in standard_documents(folder).items()]
    return Registry[Any]().with_resources(resources)


def assert_fits(value: Any, schema: Any, registry: Registry[Any] | None = None) -> None:
    error = best_match(Draft202012Validator(schema, registry=registry or Registry[Any]()).iter_errors(value))
    assert error is None, f"at {error.json_path}: {error.message}"


def reaches(document: Any, keys: list[str]) -> bool:
    try:
        find(document, keys)
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return True
