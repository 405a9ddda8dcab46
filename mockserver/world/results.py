"""What runs have written: files made when somebody looks, with the names and numbers that the machine gives them.

A result is a recipe (task, planned node, place in the batch); its bytes are drawn elsewhere. Numbers are drawn when a
run starts, names when its files are first looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mockserver.provider.scope import Scope
from mockserver.world.files import File, by_root

if TYPE_CHECKING:
    from mockserver.world.runs import Runs
    from mockserver.world.task import Standing, Task

# Results made for looks are kept for this many tasks: who polls a finished task looks again.
_RESULTS_KEPT = 1024
# File names that were numbered, newest last; a prefix unused for so long may start again at 1.
_COUNTERS_KEPT = 4096


class RunResults:
    """The results of all runs of one service."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._file_kind = runs.provider.machine.kinds.get("file")
        self._results: OrderedDict[int, tuple[tuple[int, File], ...]] = OrderedDict()
        self._counters: OrderedDict[str, int] = OrderedDict()
        self._counting: dict[str, bool] = {}
        self._listed: set[int] = set()
        self._unlisted: dict[int, Task] = {}
        """Tasks that have started and of whose results nobody has asked the names yet, in the order of their start."""
        self._orphaned: OrderedDict[int, Task] = OrderedDict()
        """Forgotten tasks whose results are kept."""
        self._by_key: dict[str, Task] = {}
        self._by_place: dict[tuple[str, str, str], Task] = {}

    def keep(self, task: Task) -> None:
        """Keep what a forgotten task has written, as far as memory allows."""
        self._results_of(task)
        self._orphaned[task.number] = task
        if len(self._orphaned) > self._runs.setup.max_finished:
            self.drop(self._orphaned.popitem(last=False)[1])

    def files_of(self, task: Task, made: int) -> tuple[File, ...]:
        """Return the files of the first *made* nodes of a run."""
        if not made:
            return ()
        files = self._results_of(task)
        if made >= len(task.plan.nodes):
            return tuple([file for _, file in files])
        return tuple([file for index, file in files if index < made])

    def files_at(self, task: Task, index: int) -> list[File]:
        """Return the files of one node of a run, by its index."""
        return [file for at, file in self._results_of(task) if at == index]

    def find(self, *, key: str | None = None, place: tuple[str, str, str] | None = None) -> File | None:
        """Return the result with this key, or at this root, folder and name, if it exists by now."""
        task = self._owner(key, place)
        if task is None and self._unlisted:
            # Names are made when looked at; what nobody has looked at yet is found here.
            self._list_all()
            task = self._owner(key, place)
        if task is None:
            return None
        return next((file for file in task.files if file.key == key or _place(file) == place), None)

    def _owner(self, key: str | None, place: tuple[str, str, str] | None) -> Task | None:
        return self._by_key.get(key) if key is not None else self._by_place.get(place) if place else None

    def all(self) -> list[File]:
        """Return the results of all runs that exist by now, each place once."""
        found = {_place(file): file for task in (*self._orphaned.values(), *self._runs.tasks) for file in task.files}
        return list(found.values())

    def aged(self, file: File) -> str:
        """Return a file's state by its age."""
        kind = self._file_kind
        if kind is None or kind.initial is None:
            return "kept"
        state, at = kind.initial, file.created
        if file.root in kind.options.get("lasting", ()):
            return state
        while True:
            step = next(iter(kind.states[state].after.items()), None)
            if step is None:
                return state
            at += self._runs.delay(step[0], "file", file.number if file.task is None else file.task.number)
            if at > self._runs.now:
                return state
            state = step[1]

    def name(self, file: File, number: str | int, counter: int = 0, pattern: str = "") -> None:
        """Give a file the id, name and key that the machine has for its root.

        Args:
            pattern: of a result, `OutputSpec.name`; it counts only where the machine says nothing of names.
        """
        file.lifetime = None if self._file_kind is None else self._file_kind.options.get("lifetime")
        file.bucket = self._file_text(file, "bucket", number)
        name = self._file_text(file, "name", number, counter)
        if name is not None:
            file.name = name
        elif file.task is not None:
            prefix = (file.prefix or "").replace("%batch_num%", str(file.index))
            if pattern:
                letters = self._runs.stream("file", number, "name").text("0123456789abcdef", 32)
                stem = pattern.format(prefix=prefix, number=counter - 1, hex=letters)
            else:
                stem = f"{prefix}_{counter:05}_"
            file.name = f"{stem}.{file.extension}"
        # Ids and keys may hold the name, so they come after it.
        file.id = self._file_text(file, "id", number)
        place = "/".join(part for part in (file.root, file.folder, file.name) if part)
        file.key = self._file_text(file, "key", number) or place

    def _file_text(self, file: File, purpose: str, number: str | int, counter: int = 0) -> str | None:
        kind = self._file_kind
        if kind is None:
            return None
        text: Callable[[Scope], str | None] | str | None
        text = by_root(kind.id if purpose == "id" else kind.options.get(purpose), file.root)
        if text is None or isinstance(text, str):
            return text
        parts = ("file", number, file.index, purpose)
        return text(self._runs.text_scope(file.created, *parts, task=file.task, file=file, counter=counter))

    def _results_of(self, task: Task) -> tuple[tuple[int, File], ...]:
        known = self._results.get(task.number)
        if known is not None:
            self._results.move_to_end(task.number)
            return known
        files = tuple(self._made(task))
        self._results[task.number] = files
        self._unlisted.pop(task.number, None)
        if len(self._results) > _RESULTS_KEPT:
            self._results.popitem(last=False)
        if task.number not in self._listed and self._runs.tasks.get(task.id) is task:
            self._listed.add(task.number)
            for _, file in files:
                if file.task is task:
                    self._by_key[file.key] = task
                    self._by_place[_place(file)] = task
        return files

    def _made(self, task: Task) -> Iterator[tuple[int, File]]:
        if task.outlook.results == "none":
            return
        counters = iter(task.counters)
        for index, node in enumerate(task.plan.nodes):
            if node.id in task.kept:
                yield from ((index, file) for file in task.kept[node.id])
                continue
            for place, output in enumerate(node.outputs):
                if not output.extension:
                    continue
                first = next(counters, None)
                if first is None:
                    return  # the run is cut short before this node
                for number in range(output.count):
                    file = self._result(task, index, place, task.moment(node.end))
                    file.index = number
                    self.name(file, f"{task.number}.{index}.{place}", first + number, output.name)
                    yield index, file

    def _result(self, task: Task, index: int, place: int, created: float) -> File:
        node = task.plan.nodes[index]
        output = node.outputs[place]
        file = File(self._runs, root=output.root, created=created)
        file.task, file.planned, file.account = task, node, task.account
        file.media, file.extension = output.media, output.extension
        file.width, file.height = output.width or None, output.height or None
        file.label, file.ui = self._runs.label(task, node.id), output.ui or None
        prefix = output.prefix if "%" not in output.prefix else _filled(output.prefix, file)
        file.folder, _, file.prefix = prefix.strip("/").rpartition("/")
        if output.root == "temp":
            letters = self._runs.stream("temp", task.number, index).text("abcdefghijklmnopqrstuvwxyz", 5)
            file.prefix = f"{file.prefix}_{letters}"
        return file

    def number(self, task: Task, cut: Standing | None) -> None:
        """Draw the first number of each output's files, as ComfyUI counts the files of one prefix in a folder."""
        plan, counters = task.plan, list[int]()
        reached = len(plan.nodes) if cut is None else cut.made
        for index in plan.writers:
            if index >= reached:
                break
            node = plan.nodes[index]
            if node.id in task.kept:
                continue
            for place, output in enumerate(node.outputs):
                if not output.extension:
                    continue
                counted = self.counts(output.root) and (output.grows or not output.name)
                counters.append(self._first_number(task, index, place) if counted else 1)
        while len(self._counters) > _COUNTERS_KEPT:
            self._counters.popitem(last=False)
        task.counters = tuple(counters)
        self._unlisted[task.number] = task

    def _first_number(self, task: Task, index: int, place: int) -> int:
        file, output = (
            self._result(task, index, place, task.started or self._runs.now),
            task.plan.nodes[index].outputs[place],
        )
        name = self._file_text(file, "name", f"{task.number}.{index}.{place}")
        stem = f"{file.root}/{file.folder}/{name or file.prefix}"
        if output.name:
            stem += f".{output.extension}"
        first = self._counters.pop(stem, 0) + 1
        self._counters[stem] = first + output.count - 1
        return first

    def counts(self, root: str) -> bool:
        """Return whether names of files of *root* show a counter; found out by trying, once."""
        counts = self._counting.get(root)
        if counts is None:
            probe = File(self._runs, root=root, created=self._runs.now)
            names = {self._file_text(probe, "name", "probe", counter) for counter in (1, 2)}
            counts = self._counting[root] = len(names) > 1 or None in names
        return counts

    def _list_all(self) -> None:
        for task in tuple(self._unlisted.values()):
            self._results_of(task)
        self._unlisted.clear()

    def drop(self, task: Task) -> None:
        """Forget what a task has written."""
        self._unlisted.pop(task.number, None)
        if task.number in self._listed:
            for _, file in self._results_of(task):
                if self._by_key.get(file.key) is task:
                    del self._by_key[file.key]
                if self._by_place.get(_place(file)) is task:
                    del self._by_place[_place(file)]
            self._listed.discard(task.number)
        self._results.pop(task.number, None)


def _place(file: File) -> tuple[str, str, str]:
    return file.root, file.folder, file.name


def _filled(prefix: str, file: File) -> str:
    """Fill the `%tokens%` of a file prefix. Source: ComfyUI's `folder_paths.get_save_image_path`."""
    moment = datetime.fromtimestamp(file.created, UTC)
    values = {"width": file.width or 0, "height": file.height or 0, "year": moment.year}
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", str(value))
    for name, number in zip(("month", "day", "hour", "minute", "second"), moment.timetuple()[1:6], strict=True):
        prefix = prefix.replace(f"%{name}%", f"{number:02}")
    return prefix
