"""Checking what was recorded, in memory (`judge`) or in files (`check`), on one core or on all.

Looking at an exchange needs no other one, so chunks of NDJSON are looked at by several processes; what follows tasks
through them runs in one, in the order of the file. Either way a file of any size takes the same memory.
"""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from contracts.exchanges import Examiner
from contracts.judging import Judge, Verdict
from contracts.model import Look
from contracts.promise import Promise
from contracts.traffic import Recording, ndjson, recognise
from mockserver import data
from mockserver.errors import UserError
from mockserver.provider import load

CHUNK = 2 * 1024 * 1024
SMALL = 16 * 1024 * 1024
"""A file this small is done before other processes have started."""
STRIDE = 1000
"""Exchanges between two reports of progress."""
Progress = Callable[[int], None]
"""Told how many exchanges were judged since it was told last."""


Variants = Mapping[str, Mapping[str, str]]
"""Provider -> variant -> reading; the defaults where nothing is said."""


def promises(
    schemas: Path | None = None, *, only: Iterable[str] | None = None, variants: Variants | None = None
) -> list[Promise]:
    """Load providers below *schemas* (those of the package by default), and all object stores, for judging.

    Args:
        only: the names of the providers; all by default.
        variants: how the provider's open questions are read.

    Raises:
        UserError: there are none, one of *only* is unknown, or a variant or reading.
        SchemaFolderError: a folder contradicts itself.
    """
    folder = schemas or data.schemas()
    folders = data.providers(folder)
    read = variants or {}
    for name in (*(only or ()), *read):
        if name not in folders:
            raise UserError(f"no provider {name!r}; known: {', '.join(folders)}")
    chosen = [name for name in folders if only is None or name in only]
    found = [Promise(load(folders[name], name=name, readings=read.get(name))) for name in chosen]
    stores = sorted(path.parent for path in folder.glob("_stores/*/openapi.json"))
    return [*found, *(Promise(load(path), store=True) for path in stores)]


def judge(
    exchanges: Iterable[Mapping[str, Any]],
    provider: str,
    *,
    variants: Mapping[str, str] | None = None,
    schemas: Path | None = None,
) -> Verdict:
    """Judge exchanges of one provider, and of its object store, that are at hand: all rules, in their order.

    What has been understood is remembered from call to call, so that a test's few exchanges cost well under a
    millisecond each. No file is read but the provider's folder, once.

    Args:
        exchanges: in JSON form, as `MockServer.exchanges` and `/_mock/exchanges` give them.
        provider: its name.
        variants: variant -> reading, where the world does not read the open questions by default.
        schemas: where its folder is; None for those of the package.

    Raises:
        UserError: the provider is unknown, or a variant or reading.
    """
    examiner = _examiner_of(provider, tuple(sorted((variants or {}).items())), schemas)
    bench = Judge(examiner.promises.values())
    for exchange in exchanges:
        bench.take(examiner.look(ndjson.exchange(exchange)))
    return bench.close()


@lru_cache(maxsize=16)
def _examiner_of(provider: str, readings: tuple[tuple[str, str], ...], schemas: Path | None) -> Examiner:
    return Examiner(promises(schemas, only=(provider,), variants={provider: dict(readings)}))


def check(
    files: Sequence[Path],
    *,
    schemas: Path | None = None,
    provider: str | None = None,
    variants: Variants | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Judge recordings, each for itself, and return one verdict on all.

    Args:
        provider: whose traffic it is; found by host and path if not given.
        variants: how the providers' open questions are read.
        jobs: how many processes may look at NDJSON; as many as there are cores by default.

    Raises:
        UserError: a file is no recording, or is broken; the provider is unknown; nothing was there to judge.
    """
    terms = Terms(schemas, provider, variants)
    known = terms.promises()
    whole = Verdict()
    with _few_collections():
        for recording in [recognise(path) for path in files]:
            _join(whole, _check(recording, known, terms, jobs or os.cpu_count() or 1, progress))
    if not whole.counts.exchanges:
        raise UserError("nothing was judged: the recordings hold no exchange")
    if all(label.startswith(" ") for label in whole.counts.operations):
        raise UserError("nothing was judged: no exchange belongs to a known provider; name it with --provider")
    return whole


@dataclass(frozen=True)
class Terms:
    """By what recordings are judged; travels to other processes."""

    schemas: Path | None
    provider: str | None
    variants: Variants | None

    def promises(self) -> list[Promise]:
        return promises(self.schemas, only=None if self.provider is None else (self.provider,), variants=self.variants)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for cycles rarely: what is made here by the million has none, and the providers stay."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _check(
    recording: Recording, known: Iterable[Promise], terms: Terms, jobs: int, progress: Progress | None
) -> Verdict:
    judge = Judge(known, file=str(recording.path))
    looks = _looks(recording, known, terms, jobs)
    take, before = judge.take, 0
    while True:
        for look in islice(looks, STRIDE):
            take(look)
        judged = judge.verdict.counts.exchanges
        if progress is not None:
            progress(judged - before)
        if judged - before < STRIDE:
            return judge.close()
        before = judged


def _looks(recording: Recording, known: Iterable[Promise], terms: Terms, jobs: int) -> Iterator[Look]:
    if recording.format == "ndjson" and jobs > 1 and recording.path.stat().st_size > SMALL:
        yield from _by_many(recording.path, terms, jobs)
        return
    examiner = Examiner(list(known), chosen=terms.provider, lenient=recording.lenient)
    yield from map(examiner.look, recording.exchanges())


def _by_many(path: Path, terms: Terms, jobs: int) -> Iterator[Look]:
    # Processes started afresh: forking one with threads (of a test, of a progress bar) can lock up.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_prepare, initargs=(terms,)) as pool:
        under_way: deque[Future[list[Look]]] = deque()
        for first, lines in _chunks(path):
            under_way.append(pool.submit(_look_at, str(path), first, lines))
            if len(under_way) > 2 * jobs:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()


def _chunks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    with path.open("rb") as file:
        first = 1
        while lines := file.readlines(CHUNK):
            yield first, lines
            first += len(lines)


_examiner: Examiner | None = None
"""Of a process that looks at chunks for another."""


def _prepare(terms: Terms) -> None:
    global _examiner
    gc.set_threshold(100_000, 20, 50)
    _examiner = Examiner(terms.promises(), chosen=terms.provider)


def _look_at(name: str, first: int, lines: list[bytes]) -> list[Look]:
    assert _examiner is not None
    return [_examiner.look(one) for one in ndjson.exchanges(lines, name=name, first=first)]


def _join(whole: Verdict, part: Verdict) -> None:
    whole.findings.extend(part.findings)
    whole.totals.update(part.totals)
    whole.counts.add(part.counts)
    whole.timelines.extend(part.timelines)
