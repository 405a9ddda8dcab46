"""Virtual time: clients that wait for minutes end in milliseconds, and only inside the context."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import hashlib
import io
import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from time import monotonic as old_monotonic
from time import sleep as old_sleep
from typing import Any

import httpx
import pytest
import websocket
from PIL import Image
from websockets.asyncio.client import connect
from websockets.sync.client import connect as connect_sync

from mockserver import MockServer
from mockserver.errors import UserError
from tests.ways.clients import BODY, FEED, LASTS_90, STUCK, TASKS, AsyncPainter, Painter, headers, submitted


def real_seconds() -> float:
    return time.perf_counter()


def address_told_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = next(match for line in process.stdout if (match := re.search(r"http://[\d.:]+", line)))
    return found.group()


def test_a_task_of_90_seconds_is_followed_to_its_picture_without_waiting(studio: MockServer) -> None:
    studio.play(LASTS_90)
    began, really = studio.clock.now, real_seconds()

    with studio.virtual_time(), Painter(studio.url, studio.api_key) as painter:
        picture = painter.paint()

    assert Image.open(io.BytesIO(picture)).format == "PNG"
    assert (painter.polls, studio.clock.now - began) == (46, 90)
    assert real_seconds() - really < 90 / 2


def test_asyncio_clients_need_no_change_either(studio: MockServer) -> None:
    studio.play(LASTS_90)
    began = studio.clock.now

    async def work() -> tuple[int, bytes]:
        async with AsyncPainter(studio.url, studio.api_key) as painter:
            picture = await painter.paint()
            return painter.polls, picture[:4]

    with studio.virtual_time():
        found = asyncio.run(work())

    assert found == (46, b"\x89PNG")
    assert studio.clock.now - began == 90


def test_a_clients_own_deadline_ends_a_stuck_task(studio: MockServer) -> None:
    studio.play(STUCK)
    began, really = studio.clock.now, real_seconds()

    with (
        studio.virtual_time(),
        Painter(studio.url, studio.api_key, patience=300) as painter,
        pytest.raises(TimeoutError, match="not done within 300 s"),
    ):
        painter.paint()

    assert studio.clock.now - began == pytest.approx(302, abs=0.01)
    assert real_seconds() - really < 300 / 2


def test_an_asyncio_deadline_ends_a_stuck_task(studio: MockServer) -> None:
    studio.play(STUCK)
    began = studio.clock.now

    async def work() -> None:
        async with AsyncPainter(studio.url, studio.api_key) as painter:
            await painter.paint()

    with studio.virtual_time(), pytest.raises(TimeoutError):
        asyncio.run(work())

    assert studio.clock.now - began == pytest.approx(300, abs=0.01)


def test_virtual_time_may_begin_inside_a_running_loop(studio: MockServer) -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        with studio.virtual_time():
            before = loop.time()
            await asyncio.sleep(3600)
            passed = loop.time() - before
            pending = loop.call_later(3600, lambda: None)
        # What was left pending is as far away as it was.
        assert pending.when() - loop.time() == pytest.approx(3600, abs=1)
        pending.cancel()
        await asyncio.sleep(0.001)
        return passed

    assert asyncio.run(work()) == pytest.approx(3600, abs=0.001)


def test_every_way_of_telling_the_time_follows_the_world(studio: MockServer) -> None:
    with studio.virtual_time():
        before = (time.time(), time.monotonic(), datetime.datetime.now().timestamp(), old_monotonic())
        studio.clock.jump(100)
        after = (time.time(), time.monotonic(), datetime.datetime.now().timestamp(), old_monotonic())
        utc = datetime.datetime.now(datetime.UTC)
        assert time.gmtime()[:5] == utc.timetuple()[:5]
        assert datetime.date.today() == datetime.datetime.fromtimestamp(studio.clock.now).date()

    assert [round(b - a, 3) for a, b in zip(before, after, strict=True)] == [100] * 4
    assert after[0] == studio.clock.now
    assert utc.timestamp() == pytest.approx(studio.clock.now, abs=1e-6)


def wait_for_event() -> None:
    assert not threading.Event().wait(60)


def wait_for_condition() -> None:
    with (condition := threading.Condition()):
        assert not condition.wait_for(lambda: False, 60)


def wait_for_queue() -> None:
    with pytest.raises(queue.Empty):
        queue.Queue[int]().get(timeout=60)


def wait_for_future() -> None:
    with pytest.raises(TimeoutError):
        concurrent.futures.Future[int]().result(60)


def wait_with_an_old_reference() -> None:
    old_sleep(60)


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(lambda: time.sleep(60), id="time.sleep"),
        pytest.param(wait_with_an_old_reference, id="from time import sleep"),
        pytest.param(wait_for_event, id="Event.wait"),
        pytest.param(wait_for_condition, id="Condition.wait_for"),
        pytest.param(wait_for_queue, id="Queue.get"),
        pytest.param(wait_for_future, id="Future.result"),
    ],
)
def test_waiting_moves_the_world_by_as_much(studio: MockServer, wait: Any) -> None:
    began, really = studio.clock.now, real_seconds()

    with studio.virtual_time():
        wait()

    assert studio.clock.now - began == pytest.approx(60, abs=0.001)
    assert real_seconds() - really < 60 / 2


def test_a_thread_that_waits_lets_another_one_work(studio: MockServer) -> None:
    studio.play(LASTS_90)
    done = threading.Event()
    polls: list[int] = []

    def work() -> None:
        with Painter(studio.url, studio.api_key) as painter:
            painter.paint()
            polls.append(painter.polls)
        done.set()

    with studio.virtual_time():
        thread = threading.Thread(target=work)
        thread.start()
        in_time = done.wait(600)
        thread.join()

    assert in_time
    assert polls == [46]


def test_a_threads_join_waits_virtual_seconds(studio: MockServer) -> None:
    began = studio.clock.now

    with studio.virtual_time():
        thread = threading.Thread(target=time.sleep, args=(90,))
        thread.start()
        thread.join(60)
        after_a_minute = (thread.is_alive(), round(studio.clock.now - began))
        thread.join()

    assert after_a_minute == (True, 60)
    assert studio.clock.now - began == pytest.approx(90, abs=0.001)


# --- time stands while anybody works or anything is on its way ---


def test_work_handed_from_thread_to_thread_takes_no_time(studio: MockServer) -> None:
    began, rounds = studio.clock.now, 200
    there, back = queue.Queue[int](), queue.Queue[int]()

    def echo() -> None:
        for _ in range(rounds):
            back.put(there.get(timeout=60))

    with studio.virtual_time(), concurrent.futures.ThreadPoolExecutor(1) as pool:
        thread = threading.Thread(target=echo)
        thread.start()
        for number in range(rounds):
            there.put(number)
            assert back.get(timeout=60) == number
            assert pool.submit(lambda number: number + 1, number).result(60) == number + 1
        thread.join()

    assert studio.clock.now == began


def test_a_connection_that_is_being_opened_takes_no_time(studio: MockServer) -> None:
    began = studio.clock.now

    with studio.virtual_time():
        answer = httpx.post(f"{studio.url}{TASKS}/prompt", json=BODY, headers=headers(studio.api_key))
        url = f"{studio.ws_url}{FEED}?authorization={submitted(answer.json())['prompt_token']}"
        for _ in range(20):
            with connect_sync(url, open_timeout=0.001, close_timeout=0.001):
                pass

    assert studio.clock.now == began


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells whether a thread runs")
def test_a_long_computation_in_c_is_no_waiting(studio: MockServer) -> None:
    began, done = studio.clock.now, threading.Event()

    def work() -> None:
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 3_000_000)
        done.set()

    with studio.virtual_time():
        threading.Thread(target=work).start()
        assert done.wait(0.001)

    assert studio.clock.now == began


def test_an_emulator_elsewhere_that_stops_for_a_while_costs_no_time() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mockserver", "serve", "genstudio", "--port", "0", "--clock", "0"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            with MockServer.at(address_told_by(process)) as server, server["genstudio"].virtual_time():
                studio = server["genstudio"]
                began = studio.clock.now
                answer = httpx.post(f"{studio.url}{TASKS}/prompt", json=BODY, headers=headers(studio.api_key))
                url = f"{studio.ws_url}{FEED}?authorization={submitted(answer.json())['prompt_token']}"
                process.send_signal(signal.SIGSTOP)
                with (
                    subprocess.Popen(["sh", "-c", f"sleep 0.8; kill -CONT {process.pid}"]),
                    connect_sync(url, open_timeout=0.001) as feed,
                ):
                    opened = studio.clock.now
                    told = [str(text) for text in feed]
        finally:
            process.kill()

    assert opened == began
    assert json.loads(told[-1])["comfy_task_info"]["status"] == 3


def test_one_who_is_told_something_by_a_sleeper_sees_the_moment_of_it(studio: MockServer) -> None:
    told, heard = queue.Queue[float](), []

    def tell() -> None:
        for _ in range(20):
            time.sleep(10)
            told.put(time.time())
        time.sleep(1000)

    def listen() -> None:
        for _ in range(20):
            moment = told.get()
            heard.append(time.time() - moment)

    with studio.virtual_time():
        threads = [threading.Thread(target=work) for work in (tell, listen)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert heard == [0] * 20


def test_a_reader_of_a_feed_sees_each_message_at_its_moment_while_another_sleeps(studio: MockServer) -> None:
    seen: list[float] = []

    def read(url: str) -> None:
        with connect_sync(url) as feed:
            seen.extend(time.time() for _ in feed)

    with studio.virtual_time():
        answer = httpx.post(f"{studio.url}{TASKS}/prompt", json=BODY, headers=headers(studio.api_key))
        task = submitted(answer.json())
        url = f"{studio.ws_url}{FEED}?authorization={task['prompt_token']}"
        thread = threading.Thread(target=read, args=(url,))
        thread.start()
        time.sleep(3600)
        thread.join()

    (exchange,) = studio.called("progress")
    sent = [frame["at"] for frame in exchange["frames"] if frame["sent"]]
    assert len(sent) > 5
    assert seen == sent


def test_who_sends_slowly_is_waited_for(studio: MockServer) -> None:
    began = studio.clock.now

    def pieces() -> Iterator[bytes]:
        body = json.dumps(BODY).encode()
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]
            time.sleep(60)

    with studio.virtual_time():
        key = {**headers(studio.api_key), "content-type": "application/json"}
        answer = httpx.post(f"{studio.url}{TASKS}/prompt", content=pieces(), headers=key)

    assert submitted(answer.json())
    assert studio.clock.now - began >= 60


def test_a_thread_that_waits_longer_than_the_context_goes_on_in_real_time(studio: MockServer) -> None:
    waiting, woken = threading.Event(), threading.Event()

    def work() -> None:
        waiting.set()
        told.wait()
        woken.set()

    told = threading.Event()
    with studio.virtual_time():
        thread = threading.Thread(target=work)
        thread.start()
        waiting.wait()
    with studio.virtual_time():
        time.sleep(3600)
    told.set()
    thread.join()

    assert woken.is_set()


def test_sleepers_wake_in_the_order_of_their_moments(studio: MockServer) -> None:
    woken: list[int] = []

    def sleeper(seconds: int) -> None:
        time.sleep(seconds)
        woken.append(seconds)

    async def all_of_them() -> None:
        async def one(seconds: int) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        await asyncio.gather(*(one(seconds) for seconds in (30, 10, 20)))

    with studio.virtual_time():
        asyncio.run(all_of_them())
        threads = [threading.Thread(target=sleeper, args=(seconds,)) for seconds in (300, 100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert woken == [10, 20, 30, 100, 200, 300]


def test_time_outs_of_sockets_stay_real(studio: MockServer) -> None:
    """A call under way is not cut off because everybody else waits."""

    async def work() -> list[int]:
        async with httpx.AsyncClient(base_url=studio.url, headers=headers(studio.api_key), timeout=5) as client:
            calls = [client.post(f"{TASKS}/get_task_info", json={"comfy_task_ids": ["x"]}) for _ in range(20)]
            sleeping = asyncio.create_task(asyncio.sleep(600))
            answers = await asyncio.gather(*calls)
            await sleeping
        return [answer.status_code for answer in answers]

    with studio.virtual_time():
        assert asyncio.run(work()) == [200] * 20


def test_an_asyncio_feed_brings_the_whole_story(studio: MockServer) -> None:
    async def work() -> list[int]:
        async with httpx.AsyncClient(base_url=studio.url, headers=headers(studio.api_key)) as client:
            task = submitted((await client.post(f"{TASKS}/prompt", json=BODY)).json())
        async with connect(f"{studio.ws_url}{FEED}?authorization={task['prompt_token']}") as feed:
            return [json.loads(text)["comfy_task_info"]["status"] async for text in feed]

    with studio.virtual_time():
        told = asyncio.run(work())

    assert (told[0], told[-1]) == (2, 3)
    assert len(told) > 5


def follow_with_websockets(url: str) -> list[str]:
    with connect_sync(url) as feed:
        return [str(text) for text in feed]


def follow_with_websocket_client(url: str) -> list[str]:
    feed = websocket.create_connection(url)
    told = []
    while (text := feed.recv()) != "":
        told.append(str(text))
    feed.shutdown()  # type: ignore[no-untyped-call]
    return told


@pytest.mark.parametrize("follow", [follow_with_websockets, follow_with_websocket_client])
def test_a_feed_of_a_blocked_thread_goes_on_by_itself(studio: MockServer, follow: Any) -> None:
    with studio.virtual_time():
        answer = httpx.post(f"{studio.url}{TASKS}/prompt", json=BODY, headers=headers(studio.api_key))
        told = follow(f"{studio.ws_url}{FEED}?authorization={submitted(answer.json())['prompt_token']}")

    assert json.loads(told[-1])["comfy_task_info"]["status"] == 3


def test_nothing_is_left_behind(studio: MockServer) -> None:
    kept = (time.sleep, time.time, time.monotonic, threading.Condition.wait, old_sleep, datetime.datetime.now)

    with studio.virtual_time():
        assert time.sleep is not kept[0]
        assert isinstance(datetime.datetime.now(), datetime.datetime)

    now = (time.sleep, time.time, time.monotonic, threading.Condition.wait, old_sleep, datetime.datetime.now)
    assert now == kept
    assert abs(datetime.datetime.now().timestamp() - time.time()) < 1


def test_only_one_world_can_give_the_time(studio: MockServer) -> None:
    with studio.virtual_time(), pytest.raises(UserError, match="on already"), studio.virtual_time():
        pytest.fail("a second context was entered")


def test_a_mistake_of_the_caller_stays_one(studio: MockServer) -> None:
    with studio.virtual_time():
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)
        with pytest.raises(TypeError):
            time.sleep("a minute")  # type: ignore[arg-type]
