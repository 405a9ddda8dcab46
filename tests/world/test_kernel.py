from typing import Any

from mockserver.world.kernel import Kernel


def test_each_action_runs_at_its_own_moment_in_order() -> None:
    kernel = Kernel(0.0)
    seen: list[Any] = []
    for at in (30.0, 10.0, 20.0):
        kernel.schedule(at, lambda name: seen.append((name, kernel.now)), at)

    kernel.run_until(25.0)

    assert seen == [(10.0, 10.0), (20.0, 20.0)]
    assert kernel.now == 25.0


def test_actions_of_one_moment_run_in_the_order_they_were_scheduled() -> None:
    kernel = Kernel(0.0)
    seen: list[Any] = []
    for name in "abc":
        kernel.schedule(5.0, seen.append, name)

    kernel.run_until(5.0)

    assert seen == ["a", "b", "c"]


def test_what_only_tells_runs_before_the_rest_of_its_moment() -> None:
    kernel = Kernel(0.0)
    seen: list[Any] = []
    kernel.schedule(5.0, seen.append, "end")
    kernel.schedule(5.0, seen.append, "step", first=True)

    kernel.run_until(5.0)

    assert seen == ["step", "end"]


def test_what_an_action_schedules_runs_in_the_same_pass_when_due() -> None:
    kernel = Kernel(0.0)
    seen: list[Any] = []
    kernel.schedule(5.0, lambda _: kernel.schedule(7.0, seen.append, "later"))

    kernel.run_until(10.0)

    assert seen == ["later"]


def test_a_cancelled_action_never_runs_and_is_not_next() -> None:
    kernel = Kernel(0.0)
    seen: list[Any] = []
    due = kernel.schedule(5.0, seen.append, "cancelled")
    kernel.schedule(6.0, seen.append, "kept")

    due.cancel()

    assert kernel.next() == 6.0
    kernel.run_until(10.0)
    assert seen == ["kept"]


def test_cancelled_actions_do_not_pile_up() -> None:
    kernel = Kernel(0.0)
    kept = kernel.schedule(1e6, print)

    for _ in range(10_000):
        kernel.schedule(1e6, print).cancel()

    assert kept.pending
    assert len(kernel) == 1


def test_what_is_scheduled_for_the_past_is_due_at_once() -> None:
    kernel = Kernel(100.0)
    seen: list[Any] = []

    kernel.schedule(5.0, lambda _: seen.append(kernel.now))
    kernel.run_next()

    assert seen == [100.0]
