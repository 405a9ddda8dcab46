from dataclasses import replace
from re import fullmatch
from typing import Any

import pytest

from mockserver.errors import Refused, UserError
from mockserver.provider.model import Kind, Part, Present, Step
from mockserver.provider.values import text
from mockserver.world.setup import Order, Work
from mockserver.world.task import Fault, Outlook
from tests.world.hosted import EVEN, NAMES, START, Client, plan, provider


@pytest.fixture
def client() -> Client:
    return Client()


def outlooks(**outlook: Any) -> Any:
    return replace(EVEN, outlook=lambda task: Outlook(**outlook))


# --- a run ---


def test_a_task_runs_at_once_where_a_slot_is_free_and_ends_by_itself(client: Client) -> None:
    task = client.submit()
    assert (task.state, task.position, task.started) == ("running", 0, START)

    client.world.jump(40)

    assert task.state == "succeeded"
    assert task.reached == {"queued": START, "running": START, "succeeded": START + 40}
    assert (task.waited, task.ran, task.progress, task.eta) == (0, 40, 1.0, 0)


def test_a_run_shows_its_progress_node_and_steps_as_of_now(client: Client) -> None:
    task = client.submit()

    client.world.jump(25)

    assert (task.node.id, task.node.class_type, task.node.step, task.node.steps) == ("3", "KSampler", 5, 10)
    assert task.progress == 7 / 13
    assert task.eta == pytest.approx(25 * 6 / 7)
    assert [node.state for node in task.nodes] == ["finished", "finished", "running", "waiting"]
    assert [node.state for node in task.nodes_at(START + 5)] == ["running", "waiting", "waiting", "waiting"]


def test_waiting_tasks_know_their_place(client: Client) -> None:
    tasks = [client.submit() for _ in range(5)]

    assert [task.state for task in tasks] == ["running"] * 2 + ["queued"] * 3
    assert [(task.position, task.ahead, task.line) for task in tasks[2:]] == [(1, 0, 3), (2, 1, 3), (3, 2, 3)]
    assert client.service.queue() == (3, 5)
    client.world.jump(40)
    assert [task.position for task in tasks] == [0, 0, 0, 0, 1]
    assert tasks[4].waited == 40


def test_a_task_at_the_front_goes_first_and_priorities_are_kept() -> None:
    client = Client(of=provider(slots=1, order=("task.priority", "task.id")))
    first, second, urgent = client.submit(), client.submit(), client.submit(front=True)

    assert (first.priority, second.priority, urgent.priority) == (0, 1, -2)
    assert (urgent.position, second.position) == (1, 2)
    client.world.jump(40)
    assert (urgent.state, second.state) == ("running", "queued")


def test_slots_lost_stop_nobody_and_slots_regained_let_the_next_in(client: Client) -> None:
    tasks = [client.submit() for _ in range(3)]

    client.service.runs.set_slots(0)
    client.world.jump(40)
    assert [task.state for task in tasks] == ["succeeded", "succeeded", "queued"]

    client.service.runs.set_slots(1)
    assert tasks[2].state == "running"


# --- files ---


def test_files_exist_once_their_node_has_ended(client: Client) -> None:
    task = client.submit()

    client.world.jump(39)
    assert task.files == ()
    client.world.jump(1)

    assert [file.name for file in task.files] == ["ComfyUI_00001_.png", "ComfyUI_00002_.png"]
    file = task.files[1]
    assert (file.folder, file.root, file.node, file.index) == ("sub", "output", "9", 1)
    assert (file.media, file.width, file.height, file.bucket, file.lifetime) == ("image/png", 512, 768, "images", 600)
    assert [each.name for each in task.nodes[3].files] == [each.name for each in task.files]


def test_files_of_later_runs_are_numbered_on(client: Client) -> None:
    tasks = [client.submit() for _ in range(3)]

    client.world.jump(100)

    names = [file.name for task in tasks for file in task.files]
    assert names == [f"ComfyUI_{number:05}_.png" for number in range(1, 7)]


def test_a_result_can_be_downloaded_by_key_and_by_name_though_nobody_looked_before(client: Client) -> None:
    task = client.submit()
    client.world.jump(40)
    marks = {"file.name": ["ComfyUI_00002_.png"], "file.folder": ["sub"], "file.root": ["output"]}

    by_name = client.do("download", of="file", marks=marks).file
    by_key = client.do("download", of="file", marks={"file.key": [by_name.key]}).file

    assert by_name.task is task
    assert by_key.key == by_name.key


def test_a_result_is_gone_after_its_retention(client: Client) -> None:
    file_key = {"file.key": [done(client).files[0].key]}

    client.world.jump(259_100)
    assert client.do("download", of="file", marks=file_key).file.state == "kept"
    client.world.jump(200)

    with pytest.raises(Refused, match="file-unknown"):
        client.do("download", of="file", marks=file_key)


def done(client: Client) -> Any:
    task = client.submit()
    client.world.jump(40)
    return task


@pytest.mark.parametrize("name", ["../secret", "a/../../b", "..\\x"])
def test_names_that_lead_outside_are_refused(client: Client, name: str) -> None:
    with pytest.raises(Refused, match="file-outside"):
        client.do("download", of="file", marks={"file.name": [name]})


def upload(client: Client, content: bytes = b"x", *, overwrite: Any = None, **options: Any) -> Any:
    marks = {"file.bytes": [Part(content, "cat.png", "image/png")], "file.overwrite": [overwrite]}
    return client.do("upload", of="file", marks=marks, root="input", **options).file


def test_an_upload_gets_an_id_and_is_found_by_it(client: Client) -> None:
    file = upload(client, b"bytes")

    assert fullmatch(r"sui-[a-z2-7]{16}\.png", file.id)
    assert (file.size, file.bytes, file.media) == (5, b"bytes", "image/png")
    assert client.service.files.input(file.id) is file
    assert client.service.files.input("cat.png") is file


def test_an_upload_of_a_taken_name_is_numbered_replaced_or_refused(client: Client) -> None:
    first = upload(client, b"1")

    assert upload(client, b"2", again="number").name == "cat (1).png"
    assert upload(client, b"1", again="number") is first
    assert upload(client, b"3", overwrite=True, again="number").name == "cat.png"
    assert [file.content for file in client.do("list", of="file").files] == [b"2", b"3"]
    with pytest.raises(Refused, match="file-exists"):
        upload(client, b"4", again="refuse")


def test_the_oldest_uploads_go_when_they_outgrow_their_bytes() -> None:
    client = Client(replace(EVEN, max_upload_bytes=25))
    ids = [
        client.do("upload", of="file", marks={"file.bytes": [Part(b"x" * 10, f"{number}.png", "")]}).file.id
        for number in range(4)
    ]

    assert [client.service.files.input(id) is not None for id in ids] == [False, False, True, True]


def test_a_promised_place_holds_a_file_once_it_was_filled_and_can_be_adopted() -> None:
    client = Client(replace(EVEN, locate=lambda address: address.removeprefix("https://store/")))
    place = client.do("presign", of="file", marks={"file.name": ["in.png"]}, root="input").file
    address = {"file.link": [f"https://store/{place.key}"]}

    with pytest.raises(Refused, match="file-unknown"):
        client.do("adopt", of="file", marks=address)
    client.service.files.put(place.key, b"bytes", "image/png")

    assert client.do("adopt", of="file", marks=address).file is place
    assert place.size == 5


def test_a_place_promised_again_keeps_what_lies_there_until_new_bytes_come() -> None:
    file = Kind("file", {}, None, {}, options={"key": text("in/{file.name}", NAMES)})
    named = provider()
    machine = replace(named.machine, kinds={**named.machine.kinds, "file": file})
    client = Client(of=replace(named, machine=machine))
    place = client.do("presign", of="file", marks={"file.name": ["in.png"]}, root="input").file
    client.do("upload", of="file", marks={"file.key": [place.key], "file.bytes": [Part(b"old", "", "")]})

    again = client.do("presign", of="file", marks={"file.name": ["in.png"]}, root="input").file

    assert (again.key, again.content) == (place.key, b"old")


@pytest.mark.parametrize(
    ("taken", "own", "elsewhere"),
    [
        pytest.param("own", "itself", "file-unknown", id="own only"),
        pytest.param("anywhere", "itself", "a copy", id="own as they are, others copied"),
        pytest.param("outside", "a copy", "a copy", id="all copied"),
    ],
)
def test_which_addresses_are_adopted_is_the_folders_to_say(taken: str, own: str, elsewhere: str) -> None:
    client = Client(replace(EVEN, locate=_key))
    place = client.do("presign", of="file", marks={"file.name": ["in.png"]}, root="input").file
    client.service.files.put(place.key, b"bytes", "image/png")

    def adopted(address: str) -> str:
        try:
            file = client.do("adopt", of="file", marks={"file.link": [address]}, from_=taken).file
        except Refused as refused:
            return refused.condition
        return "itself" if file is place else "a copy"

    assert adopted(f"https://store/{place.key}") == own
    assert adopted("https://files.example.com/a.png?x=1") == elsewhere
    assert adopted("https://store/never.png") == adopted("a.png") == "file-unknown"


def _key(address: str) -> str | None:
    return address.removeprefix("https://store/") if address.startswith("https://store/") else None


# --- reading, listing, ownership ---


def test_an_unknown_task_is_refused_or_passed_over(client: Client) -> None:
    with pytest.raises(Refused) as refused:
        client.read("nope")
    stranger = client.read("nope", lenient=["unknown"])

    assert (refused.value.condition, refused.value.facts["task.id"]) == ("task-unknown", "nope")
    assert (stranger.id, stranger.state, stranger.position, list(stranger.files)) == ("nope", "unknown", 0, [])


def test_a_list_by_ids_keeps_their_order_and_flags_what_is_not_there(client: Client) -> None:
    mine, other = client.service.lives.owner("me"), client.service.lives.owner("you")
    task, theirs = client.submit(account=mine), client.submit(account=other)

    tasks = client.do("list", account=mine, marks={"task.id": ["nope", theirs.id, task.id]}).tasks

    assert [seen.state for seen in tasks] == ["unknown", "foreign", "running"]
    assert tasks[2] is task
    assert client.do("list", account=mine).tasks == [task]


def test_someone_elses_task_is_refused_as_unknown_where_the_provider_has_no_other_answer(client: Client) -> None:
    theirs = client.submit(account=client.service.lives.owner("you"))

    with pytest.raises(Refused, match="task-unknown"):
        client.read(theirs.id, account=client.service.lives.owner("me"))


def test_lists_are_cut_by_limit_offset_and_cursor(client: Client) -> None:
    tasks = [client.submit() for _ in range(5)]

    middle = client.do("list", order="-task.created", marks={"page.limit": [2], "page.offset": [1]})
    assert list(middle.tasks) == [tasks[3], tasks[2]]
    assert (middle.page.total, middle.page.more, middle.page.cursor) == (5, True, tasks[2].id)

    last = client.do("list", marks={"page.limit": [3], "page.cursor": [tasks[2].id]})
    assert list(last.tasks) == tasks[3:]
    assert (last.page.more, last.page.cursor) == (False, None)


def test_the_newest_so_many_still_come_oldest_first(client: Client) -> None:
    tasks = [client.submit() for _ in range(5)]
    client.world.jump(200)

    newest = client.do("list", marks={"page.limit": [2]}, order="task.finished", from_="end", in_=["succeeded"])

    assert list(newest.tasks) == tasks[3:]


def test_finished_tasks_are_forgotten_oldest_first() -> None:
    client = Client(replace(EVEN, max_finished=2))
    tasks = [client.submit() for _ in range(4)]

    client.world.jump(200)

    assert client.do("list").tasks == tasks[2:]


def test_so_many_finished_tasks_are_remembered_and_the_files_of_all() -> None:
    client = Client(of=provider(most=2))
    tasks = [client.submit() for _ in range(4)]

    client.world.jump(200)

    assert client.do("list").tasks == tasks[2:]
    assert all(client.service.files.find(key=file.key) is file for task in tasks for file in task.files)


def test_finished_tasks_are_forgotten_when_their_requests_take_too_much_room() -> None:
    client = Client(replace(EVEN, max_request_bytes=1000))
    tasks = []
    for size in (600, 300, 600, 5000):
        client.size = size
        tasks.append(client.submit())
        client.world.jump(200)

    assert client.do("list").tasks == tasks[3:]
    client.size = 10
    client.submit()
    client.world.jump(200)
    assert len(client.do("list").tasks) == 1


def test_a_finished_task_is_forgotten_after_its_keep() -> None:
    client = Client(of=provider(keep=60))
    task = done(client)

    client.world.jump(59)
    assert client.read(task.id) is task
    client.world.jump(1)

    with pytest.raises(Refused, match="task-unknown"):
        client.read(task.id)


# --- cancel, delete, again ---


def test_cancelling_a_waiting_task_moves_the_others_up(client: Client) -> None:
    tasks = [client.submit() for _ in range(4)]

    outcome = client.do("cancel", marks={"task.id": [tasks[2].id]})

    assert outcome.changed
    assert (tasks[2].state, tasks[3].position) == ("cancelled", 1)
    assert (tasks[2].started, tasks[2].ran, tasks[2].progress) == (None, None, 0)


def test_cancelling_a_finished_task_is_refused_unless_lenient_and_changes_nothing(client: Client) -> None:
    task = done(client)
    before = client.journal()

    with pytest.raises(Refused, match="task-not-ready"):
        client.do("cancel", marks={"task.id": [task.id]})
    outcome = client.do("cancel", marks={"task.id": [task.id]}, lenient=["final"])

    assert (outcome.changed, task.state) == (False, "succeeded")
    assert client.journal() == before


def test_a_refused_cancel_of_several_cancels_none(client: Client) -> None:
    task = client.submit()

    with pytest.raises(Refused, match="task-unknown"):
        client.do("cancel", marks={"task.id": [task.id, "nope"]})

    assert task.state == "running"


def test_a_cancelled_run_stays_where_it_was(client: Client) -> None:
    task = client.submit()
    client.world.jump(25)

    client.do("cancel", marks={"task.id": [task.id]})
    client.world.jump(100)

    assert (task.state, task.ran, task.progress, task.node.id) == ("cancelled", 25, 7 / 13, "3")
    assert task.files == ()


def test_a_cancel_at_the_next_step_waits_for_it() -> None:
    client = Client(of=provider(cancel=Step("cancelled", "next-step")))
    task = client.submit()
    client.world.jump(24.5)

    client.do("cancel", marks={"task.id": [task.id]})
    assert task.state == "running"
    client.world.jump(10)

    assert (task.state, task.ran, task.node.step) == ("cancelled", 25, 5)


def test_a_cancel_at_the_next_step_comes_too_late_in_the_last_step() -> None:
    client = Client(of=provider(cancel=Step("cancelled", "next-step")))
    task = client.submit()
    client.world.jump(35)

    client.do("cancel", marks={"task.id": [task.id]})
    client.world.jump(10)

    assert task.state == "succeeded"


def test_no_id_may_mean_all(client: Client) -> None:
    tasks = [client.submit() for _ in range(3)]

    client.do("cancel", unnamed="all", in_=["running"])

    assert [task.state for task in tasks] == ["cancelled", "cancelled", "running"]


def test_no_id_is_refused_otherwise(client: Client) -> None:
    with pytest.raises(Refused, match="task-unnamed"):
        client.do("cancel")


def test_deleting_a_waiting_task_takes_it_out_of_the_line(client: Client) -> None:
    tasks = [client.submit() for _ in range(4)]

    client.do("delete", marks={"task.id": [tasks[2].id]}, in_=["queued"])
    client.world.jump(1000)

    assert client.do("list").tasks == [tasks[0], tasks[1], tasks[3]]
    assert b"task.running" not in b"".join(entry.line() for entry in client.world.journal if entry.task == tasks[2].id)


def test_deleting_a_running_task_hides_it_but_it_keeps_its_slot(client: Client) -> None:
    tasks = [client.submit() for _ in range(3)]

    client.do("delete", marks={"task.id": [tasks[0].id]})

    assert client.do("list").tasks == tasks[1:]
    assert tasks[2].state == "queued"


def test_a_given_id_is_taken_and_replaced_or_refused(client: Client) -> None:
    first = client.submit(id="mine")

    assert client.submit(id="mine") is not first
    with pytest.raises(Refused, match="task-exists"):
        client.do("submit", marks={"task.id": ["mine"]}, again="refuse")


# --- failures ---


def test_a_missing_input_fails_the_run_at_its_node() -> None:
    client = Client(replace(EVEN, resolve_input=lambda task, value: None))

    task = client.submit(inputs="cat.png")
    client.world.jump(0)

    assert (task.state, task.node.id) == ("failed", "4")
    assert task.failure.message == f"node 4: cat.png is missing, task {task.id}"


def test_a_fault_ends_the_run_at_its_node_and_step() -> None:
    client = Client(outlooks(fault=Fault("node-failed", node="3", done=0.55, cause="rule-1")))

    task = client.submit()
    client.world.jump(60)

    assert (task.state, task.ran) == ("failed", pytest.approx(25.5))
    assert (task.node.id, task.node.step, task.progress) == ("3", 5, 7 / 13)
    assert task.failure.message == "node 3 (KSampler) failed"
    assert list(client.world.journal)[-1].cause == "rule-1"


def test_a_fault_at_a_share_names_the_node_that_runs_then() -> None:
    client = Client(outlooks(fault=Fault("node-failed", share=0.3)))

    task = client.submit()
    client.world.jump(60)

    assert (task.ran, task.node.id) == (pytest.approx(12), "6")


def test_any_task_can_be_failed_from_outside(client: Client) -> None:
    tasks = [client.submit() for _ in range(3)]

    client.service.runs.fail(tasks[2], "node-failed")
    client.service.runs.fail(tasks[0], "node-failed")

    assert [task.state for task in tasks] == ["failed", "running", "failed"]
    with pytest.raises(UserError, match="has no failure 'nonsense'; it has: input-missing, node-failed"):
        client.service.runs.fail(tasks[1], "nonsense")
    with pytest.raises(UserError, match="which cannot fail"):
        client.service.runs.fail(tasks[0], "node-failed")


def test_a_task_that_never_starts_keeps_its_place_and_no_slot() -> None:
    client = Client(replace(EVEN, outlook=lambda task: Outlook(starts=task.number != 1)))

    tasks = [client.submit() for _ in range(4)]
    client.world.jump(1000)

    assert [task.state for task in tasks] == ["queued", "succeeded", "succeeded", "succeeded"]
    assert tasks[0].position == 1


def test_a_task_that_never_ends_stays_just_below_the_whole() -> None:
    client = Client(outlooks(ends=False))

    task = client.submit()
    client.world.jump(1e6)

    assert task.state == "running"
    assert task.progress < 1


def test_a_lost_task_is_unknown_after_a_while() -> None:
    client = Client(outlooks(lost_after=10))
    task = client.submit()

    assert client.read(task.id) is task
    client.world.jump(10)

    with pytest.raises(Refused, match="task-unknown"):
        client.read(task.id)
    assert client.do("list").tasks == []


def test_a_run_can_take_longer_than_usual() -> None:
    client = Client(outlooks(factor=3))
    task = client.submit()

    client.world.jump(100)

    assert (task.estimate, task.state) == (40, "running")


# --- things ---


def test_an_endpoint_is_made_and_becomes_ready_after_its_delay(client: Client) -> None:
    endpoint = client.do("create", of="endpoint", body={"name": "New", "count": 3}).things["endpoint"]
    assert (endpoint.id, endpoint.state) == ("ep-new", "Creating")

    client.world.jump(300)

    assert endpoint.state == "InService"
    assert 120 <= endpoint.reached["InService"] - endpoint.created <= 300
    with pytest.raises(Refused, match="endpoint-exists"):
        client.do("create", of="endpoint", body={"name": "New"})


def on(name: str) -> Any:
    return {"endpoint#/name": [name]}


def test_a_submit_chooses_its_endpoint_by_any_value_and_waits_in_its_line() -> None:
    client = Client(of=provider(line="endpoint", slots="endpoint#/count"))
    client.do("create", of="endpoint", body={"name": "New", "count": 2})

    with pytest.raises(Refused, match="endpoint-not-ready") as refused:
        client.do("submit", marks=on("New"))
    assert refused.value.facts == {"endpoint.id": "ep-new", "endpoint.state": "Creating"}
    client.world.jump(300)
    tasks = [client.do("submit", marks=on(name)).task for name in ("Demo", "Demo", "New", "New", "New")]

    assert [task.position for task in tasks] == [0, 1, 0, 0, 1]
    assert tasks[0].things["endpoint"].document["name"] == "Demo"


def test_a_submit_without_its_endpoint_is_refused() -> None:
    client = Client(of=provider(line="endpoint"))

    with pytest.raises(Refused, match="endpoint-unnamed"):
        client.do("submit")
    with pytest.raises(Refused, match="endpoint-unknown"):
        client.do("submit", marks=on("None"))


def test_an_updated_endpoint_has_new_slots_at_once_and_may_show_what_was_before() -> None:
    client = Client(of=provider(line="endpoint", slots="endpoint#/count"))
    tasks = [client.do("submit", marks=on("Demo")).task for _ in range(2)]

    marks = {"endpoint.id": ["ep-demo"]}
    shown = client.do("update", of="endpoint", marks=marks, body={"count": 2}, answer="before").things["endpoint"]

    assert shown.document == {"name": "Demo", "count": 1}
    assert client.do("read", of="endpoint", marks=marks).things["endpoint"].state == "Updating"
    assert [task.state for task in tasks] == ["running", "running"]


def test_a_workflow_that_is_not_hosted_is_unknown_unless_any_may_be_used() -> None:
    marks = {"workflow.id": ["wf-2"]}

    with pytest.raises(Refused, match="workflow-unknown"):
        Client().do("submit", marks=marks)
    more = replace(EVEN, present={"workflow": [Present("wf-2", None, {})]})
    assert Client(more).do("submit", marks=marks).task.things["workflow"].id == "wf-2"
    assert Client(replace(EVEN, open=frozenset({"workflow"}))).do("submit", marks=marks).task.state == "running"


def test_a_refused_graph_makes_no_task() -> None:
    def refuse(order: Order) -> Any:
        raise Refused("workflow-invalid")

    client = Client(replace(EVEN, plan=refuse))

    with pytest.raises(Refused, match="workflow-invalid"):
        client.submit()

    assert client.journal() == b""
    assert client.do("list").tasks == []


# --- events ---


def test_a_watched_run_tells_each_event_at_its_own_moment_with_the_values_of_that_moment(client: Client) -> None:
    heard = client.hear(all=True)

    client.submit()
    client.world.jump(3600)

    assert heard[:5] == [
        ("task.queued", 0, (1, 1)),
        ("queue.changed", 0, (1, 1)),
        ("queue.changed", 0, (0, 1)),
        ("task.running", 0, (0, 1)),
        ("task.cached", 0, (0, 1)),
    ]
    assert heard[5:9] == [
        ("node.started", 0, ("4", 0, 0.0)),
        ("node.finished", 10, ("4", 1, 0.077)),
        ("node.started", 10, ("6", 0, 0.077)),
        ("node.finished", 20, ("6", 1, 0.154)),
    ]
    steps = [told for told in heard if told[0] == "node.step"]
    assert [at for _, at, _ in steps] == [20.0 + step for step in range(1, 11)]
    assert [shown[1] for _, _, shown in steps] == list(range(1, 11))
    assert heard[-6:] == [
        ("node.started", 30, ("9", 0, 0.923)),
        ("node.output", 40, ("9", 1, 1.0)),
        ("node.finished", 40, ("9", 1, 1.0)),
        ("task.succeeded", 40, (0, 0)),
        ("queue.changed", 40, (0, 0)),
        ("task.released", 40, (0, 0)),
    ]


def test_the_end_of_one_run_is_told_before_the_start_of_the_next() -> None:
    client = Client(of=provider(slots=1))
    client.submit()
    client.submit()
    heard = client.hear()
    client.hear(all=True)

    client.world.jump(40)

    assert [shown for name, _, shown in heard] == [(1, 1), (0, 1)]


def test_a_file_is_there_when_its_output_is_told(client: Client) -> None:
    files: list[Any] = []

    def look(event: Any) -> None:
        files.extend([file.name for file in event.node.files] for _ in range(event.name == "node.output"))

    client.service.watch(look, all=True)

    client.submit()
    client.world.jump(60)

    assert files == [["ComfyUI_00001_.png", "ComfyUI_00002_.png"]]


def test_events_go_to_those_who_follow_the_task_or_its_client_and_without_client_to_all(client: Client) -> None:
    task = client.submit(client="a")
    to_task, to_a, to_b = client.hear(task=task.id), client.hear(client="a"), client.hear(client="b")
    client.submit()

    client.world.jump(40)

    def ends(heard: list[Any]) -> int:
        return [name for name, _, _ in heard].count("task.succeeded")

    assert (ends(to_task), ends(to_a), ends(to_b)) == (1, 2, 1)


def test_a_cancelled_watch_hears_nothing_more(client: Client) -> None:
    heard: list[Any] = []
    watch = client.service.watch(heard.append, all=True)
    client.submit()
    client.world.jump(5)
    count = len(heard)

    watch.cancel()
    client.world.jump(100)

    assert len(heard) == count


def test_who_joins_late_hears_the_rest_of_the_run(client: Client) -> None:
    client.submit()
    client.world.jump(25)

    heard = client.hear(all=True)
    client.world.jump(5)

    assert [shown[1] for name, _, shown in heard if name == "node.step"] == [6, 7, 8, 9, 10]


def test_a_failed_run_tells_nothing_of_its_node_past_the_fault() -> None:
    client = Client(outlooks(fault=Fault("node-failed", node="6")))
    heard = client.hear(all=True)

    client.submit()
    client.world.jump(60)

    assert [name for name, _, _ in heard[5:]] == [
        "node.started",
        "node.finished",
        "node.started",
        "task.failed",
        "queue.changed",
        "task.released",
    ]


def test_a_history_tells_the_same_events_as_were_pushed(client: Client) -> None:
    heard = client.hear(all=True)
    task = client.submit()
    client.world.jump(60)

    history = [(event.name, event.at - START) for event in task.events]

    pushed = [(name, at) for name, at, _ in heard if name not in ("queue.changed", "task.released")]
    assert [name for name, _ in history] == [name for name, _ in pushed]
    assert pytest.approx([at for _, at in pushed]) == [at for _, at in history]


def test_kept_nodes_are_shown_as_cached_from_the_start() -> None:
    client = Client(replace(EVEN, plan=lambda order: Work(plan(order).plan, cached=frozenset({"4"}))))

    task = client.submit()

    assert [node.state for node in task.nodes] == ["cached", "waiting", "waiting", "waiting"]
    assert "4" not in [event.node.id for event in task.events if event.node is not None]


# --- worlds ---


def test_worlds_do_not_meet() -> None:
    one, two = Client(seed=1), Client(seed=2)

    assert one.submit().id != two.submit().id
    assert len(one.do("list").tasks) == 1


def test_a_reset_world_begins_again_in_the_same_way(client: Client) -> None:
    first = client.submit().id
    client.world.jump(10)
    journal = client.journal()

    client.world.reset()
    again = client.submit().id
    client.world.jump(10)

    assert (again, client.journal()) == (first, journal)


def test_a_world_on_a_fast_clock_catches_up_with_real_time() -> None:
    client = Client()
    client.world.set_rate(60)
    task = client.submit()

    client.world.catch_up(0.5)
    assert task.state == "running"
    assert client.world.wait() == pytest.approx(10 / 60)
    client.world.catch_up(1.0)

    assert task.state == "succeeded"


def test_a_world_jumps_from_event_to_event(client: Client) -> None:
    task = client.submit()

    assert client.world.jump_to_next()
    assert (task.state, client.world.now) == ("succeeded", START + 40)
    assert not client.world.jump_to_next()


def test_a_world_runs_until_something_holds(client: Client) -> None:
    tasks = [client.submit() for _ in range(3)]

    assert client.world.run_until(lambda: tasks[2].state == "running", limit=100)
    assert client.world.now == START + 40
    assert not client.world.run_until(lambda: False, limit=10)
    assert client.world.now == START + 50
