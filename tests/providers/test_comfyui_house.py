"""What a ComfyUI server tells of itself and forgets on demand: logs, user files, results of nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.comfyui_server import GRAPH, Server, heard, kinds, saving


def test_freed_memory_forgets_results_when_the_running_graph_has_ended(server: Server) -> None:
    server.done(saving(1))
    running = server.submit({**GRAPH, "1": saving(1)["1"], "2": saving(1)["2"]})
    server.turn(0.5)
    server.json("/free", {"unload_models": True, "free_memory": True})
    waiting = server.submit(saving(1))
    server.turn(3600)

    # The whole graph saves a picture too, so that two were written before.
    cached = [cached_of(server, id) for id in (running, waiting)]
    assert cached == [["1", "2"], []]
    assert server.json(f"/history/{waiting}")[waiting]["outputs"]["2"]["images"][0]["filename"] == "ComfyUI_00003_.png"


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        pytest.param({"free_memory": True}, [], id="memory"),
        pytest.param({"unload_models": True}, ["1", "2"], id="models alone"),
        pytest.param({"free_memory": False}, ["1", "2"], id="nothing"),
        pytest.param({}, ["1", "2"], id="empty"),
    ],
)
def test_only_freed_memory_forgets_results(server: Server, asked: Any, kept: list[str]) -> None:
    server.done(saving(1))

    assert server.call("/free", asked)[::2] == (200, b"")

    again = server.submit(saving(1))
    server.turn(60)
    assert cached_of(server, again) == kept


def cached_of(server: Server, id: str) -> list[str]:
    messages = dict(server.json(f"/history/{id}")[id]["status"]["messages"])
    nodes: list[str] = messages["execution_cached"]["nodes"]
    return nodes


def test_who_asks_for_logs_hears_each_line_when_it_is_written(server: Server) -> None:
    with server.socket() as feed, server.socket("other") as other:
        server.call("/internal/logs/subscribe", {"clientId": server.client, "enabled": True}, method="PATCH")
        id = server.submit(saving())
        server.turn(60)
        frames = [*heard(feed, id), json.loads(feed.recv())]
        server.call("/internal/logs/subscribe", {"clientId": server.client, "enabled": False}, method="PATCH")
        again = server.submit(saving(1), client_id="other")
        server.turn(60)
        others = heard(other, again)

    logs = [frame["data"] for frame in frames if frame["type"] == "logs"]
    assert [frame["entries"][0]["m"] for frame in logs] == ["got prompt\n", "Prompt executed in 0.08 seconds\n"]
    assert logs[0] == {"entries": [{"t": "2026-11-20T23:32:00.000000", "m": "got prompt\n"}], "size": None}
    assert kinds(frames)[:3] == ["status", "logs", "status"]
    assert "logs" not in kinds(others)


def test_the_log_can_be_read_as_text_and_line_by_line(server: Server) -> None:
    server.call("/prompt", {"prompt": saving(), "client_id": server.client}, X_Mock_Fail="out-of-memory")
    server.turn(60)

    lines = server.json("/internal/logs/raw")

    assert lines["size"] == {"cols": 80, "rows": 24}
    assert [line["m"].split(" ")[0] for line in lines["entries"]] == ["got", "!!!", "Prompt"]
    assert server.json("/internal/logs") == "".join(f"{line['t']} - {line['m']}" for line in lines["entries"])


def test_who_goes_must_ask_for_logs_again_once_a_line_was_missed(server: Server) -> None:
    with server.socket():
        server.call("/internal/logs/subscribe", {"clientId": server.client, "enabled": True}, method="PATCH")
    settle(server)
    server.done(saving())
    with server.socket() as feed:
        id = server.submit(saving(1))
        server.turn(60)

        assert "logs" not in kinds(heard(feed, id))


def settle(server: Server) -> None:
    """Let the server notice that sockets have gone: they are closed before these answers come."""
    for _ in range(3):
        server.json("/prompt")


def test_a_folder_of_the_user_lists_folders_and_files(server: Server) -> None:
    for name in ("workflows%2Fsub%2Fb.json", "workflows%2FA.json", "z.json", "a.json"):
        server.call(f"/userdata/{name}", raw=b"{}")

    whole = server.json("/v2/userdata")
    assert [(one["type"], one["path"]) for one in whole] == [
        ("directory", "workflows/sub"),
        ("directory", "workflows"),
        ("file", "a.json"),
        ("file", "workflows/A.json"),
        ("file", "workflows/sub/b.json"),
        ("file", "z.json"),
    ]
    assert whole[0] == {"name": "sub", "path": "workflows/sub", "type": "directory"}
    assert whole[2] == {"name": "a.json", "path": "a.json", "type": "file", "size": 2, "modified": 1795217520}
    assert [one["path"] for one in server.json("/v2/userdata?path=workflows/sub")] == ["workflows/sub/b.json"]


def test_the_scripts_of_the_web_interface_are_those_of_the_release(server: Server) -> None:
    scripts = server.json("/extensions")

    assert len(set(scripts)) == 36
    assert scripts[:2] == ["/extensions/core/groupNode.js", "/extensions/core/editAttention.js"]
