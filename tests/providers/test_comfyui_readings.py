"""Every reading of every open question of ComfyUI, seen from outside: what changes on the wire, and from what."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from mockserver import data
from mockserver.provider import load
from tests.providers.comfyui_server import GRAPH, Serve, Server, heard, saving

ID = str(uuid.UUID(int=9, version=4))


def own_id(server: Server) -> Any:
    status, _, body = server.call("/prompt", {"prompt": saving(), "prompt_id": "mine"})
    return status, json.loads(body).get("prompt_id")


def missing_class(server: Server) -> Any:
    error = json.loads(server.call("/prompt", {"prompt": {"1": {"class_type": "Nothing", "inputs": {}}}})[2])["error"]
    return error["type"], error["message"], error["details"], bool(error["extra_info"])


def other_site(server: Server) -> Any:
    status, headers, _ = server.call("/prompt", Origin="http://evil.example")
    cross, _, _ = server.call("/prompt", Sec_Fetch_Site="cross-site")
    methods = headers.get("access-control-allow-methods")
    return status, cross, None if methods is None else "PATCH" in methods


def names_of_four_runs(server: Server) -> Any:
    graphs = (saving(1), saving(1), saving(2), saving(1))
    return [server.done(graph)["outputs"]["2"]["images"][0]["filename"][8:13] for graph in graphs]


def previews(server: Server) -> Any:
    with server.socket() as feed:
        id = server.submit(GRAPH)
        server.turn(3600)
        return len([frame for frame in heard(feed, id) if isinstance(frame, bytes)])


def listed(server: Server) -> Any:
    server.call("/userdata/a%2Fb%2Fc.json", raw=b"{}")
    return [one["path"] for one in server.json("/v2/userdata?path=a")]


def when_changed(server: Server) -> Any:
    server.call("/userdata/a.json", raw=b"{}")
    return server.json("/v2/userdata")[0]["modified"]


def first_line(server: Server) -> Any:
    with server.socket() as feed:
        server.call("/internal/logs/subscribe", {"clientId": server.client, "enabled": True}, method="PATCH")
        id = server.submit(saving())
        server.turn(60)
        frames = heard(feed, id)
    return next(frame["data"]["size"] for frame in frames if frame["type"] == "logs")


def job_routes(server: Server) -> Any:
    id = server.submit(saving())
    routes = ("/api/jobs", f"/api/jobs/{id}")
    cancels = (server.call(f"/api/jobs/{id}/cancel", method="POST"), server.call("/api/jobs/cancel", {"job_ids": []}))
    return [server.call(path)[0] for path in routes] + [status for status, _, _ in cancels]


def running_job(server: Server) -> Any:
    job = server.json(f"/api/jobs/{server.submit(GRAPH)}")
    return "workflow" in job, job.get("previewable_outputs_count")


def stamped(server: Server) -> Any:
    return server.done(saving())["prompt"][3].get("create_time")


def keys(server: Server) -> Any:
    given = {"api_key_comfy_org": "secret", "auth_token_comfy_org": "token", "mine": 1}
    return sorted(name for name in server.done(saving(), extra_data=given)["prompt"][3] if name in given)


def saved_pictures(server: Server) -> Any:
    return server.json("/object_info/SaveImage")["SaveImage"]["output"]


def features(server: Server) -> Any:
    return server.json("/features").get("supports_model_type_tags")


def assets(server: Server) -> Any:
    asset = server.upload("a.png", b"bytes").get("asset")
    entry = server.done(saving())["outputs"]["2"]["images"][0]
    told = None if asset is None else (sorted(asset), asset["size"], asset["mime_type"], len(asset["asset_hash"]))
    return server.json("/features")["assets"], len(entry.get("id", "")), told


def pages(server: Server) -> Any:
    found = []
    for name in ("a.html", "a.svg"):
        server.upload(name, b"<x/>")
        _, headers, _ = server.call(f"/view?filename={name}&type=input")
        found.append((headers["content-type"], headers["content-disposition"], headers.get("x-content-type-options")))
    return found


def circle(server: Server) -> Any:
    graph = {
        "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    status, _, body = server.call("/prompt", {"prompt": graph})
    if status != 200:
        return sorted(json.loads(body)["node_errors"])
    server.turn(60)
    id = json.loads(body)["prompt_id"]
    error = dict(server.json(f"/history/{id}")[id]["status"]["messages"])["execution_error"]
    return error["exception_type"], error["exception_message"], error["node_id"]


LISTED = ["a.html", "a.svg"]
OCTETS = "application/octet-stream"

LOOKS: dict[str, tuple[Callable[[Server], Any], dict[str, Any]]] = {
    "prompt-ids": (own_id, {"uuid": (400, None), "any": (200, "mine")}),
    "unknown-class": (
        missing_class,
        {
            "missing-node-type": (
                "missing_node_type",
                "Node 'Nothing' not found. The custom node may not be installed.",
                "Node ID '#1'",
                True,
            ),
            "invalid-prompt": (
                "invalid_prompt",
                "Cannot execute because node Nothing does not exist.",
                "Node ID '#1'",
                False,
            ),
        },
    ),
    "other-sites": (
        other_site,
        {
            "refused": (403, 403, None),
            "refused-by-origin": (403, 200, None),
            "let-in": (200, 200, True),
            "let-in-without-patch": (200, 200, False),
        },
    ),
    "caching": (
        names_of_four_runs,
        {
            "kept": ["00001", "00001", "00002", "00001"],
            "latest": ["00001", "00001", "00002", "00003"],
            "none": ["00001", "00002", "00003", "00004"],
        },
    ),
    "previews": (previews, {"asked-for": 0, "always": 20}),
    "user-folders": (listed, {"deep": ["a/b", "a/b/c.json"], "flat": ["a/b"]}),
    "user-file-times": (when_changed, {"seconds": 1795217520, "milliseconds": 1795217520000}),
    "log-size": (first_line, {"unchanged": None, "told": {"cols": 80, "rows": 24}}),
    "jobs-routes": (
        job_routes,
        {"all": [200, 200, 200, 200], "no-cancel": [200, 200, 405, 405], "none": [404, 404, 405, 405]},
    ),
    "job-members": (running_job, {"usual": (False, None), "more": (True, 0)}),
    "create-time": (stamped, {"stamped": 1795217520000, "absent": None}),
    "secrets": (keys, {"stripped": ["mine"], "shown": ["api_key_comfy_org", "auth_token_comfy_org", "mine"]}),
    "image-outputs": (saved_pictures, {"image": ["IMAGE"], "none": []}),
    "features": (features, {"usual": None, "model-type-tags": True}),
    "assets": (
        assets,
        {
            "off": (False, 0, None),
            "on": (True, 36, (["asset_hash", "id", "mime_type", "name", "size", "tags"], 5, "image/png", 71)),
        },
    ),
    "active-files": (
        pages,
        {
            "as-bytes": [(OCTETS, 'filename="a.html"', None), ("image/svg+xml", 'filename="a.svg"', None)],
            "attached": [(OCTETS, f'attachment; filename="{name}"', "nosniff") for name in LISTED],
        },
    ),
    "cycles": (
        circle,
        {"refused": ["1", "2"], "run": ("graph.DependencyCycleError", "Dependency cycle detected", "3")},
    ),
}
"""Variant -> how to look, and what is seen by reading."""


def test_every_reading_of_every_variant_is_seen() -> None:
    variants = load(data.schemas() / "comfyui").variants

    assert {name: set(seen) for name, (_, seen) in LOOKS.items()} == {
        name: set(variant.readings) for name, variant in variants.items()
    }


@pytest.mark.parametrize(
    ("variant", "reading"),
    [pytest.param(name, reading, id=f"{name}={reading}") for name, (_, seen) in LOOKS.items() for reading in seen],
)
def test_a_reading_changes_what_is_seen(serve: Serve, variant: str, reading: str) -> None:
    look, seen = LOOKS[variant]

    server = serve(readings={variant: reading})

    assert look(server) == seen[reading]
    problems = server.json("/_mock/problems")["problems"]
    assert not [one for one in problems if one["rule"] in ("answer-schema", "emulator-fault")]


def test_a_latest_graph_finds_what_it_shares_with_the_one_before(serve: Serve) -> None:
    server = serve(readings={"caching": "latest"})
    server.done(saving(1))

    again = server.done(saving(1, filename_prefix="other"))

    assert dict(again["status"]["messages"])["execution_cached"]["nodes"] == ["1"]
