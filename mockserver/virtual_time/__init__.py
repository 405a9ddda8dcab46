"""Virtual time for clients: this process sleeps, waits and tells the time by the clock of a world.

Inside the context `time.sleep` and the time-outs of `threading` and `queue` move the world instead of waiting;
`time.time`, `time.monotonic`, `datetime.now` and asyncio's event loops tell its moment. Sockets are real, and so are
their time-outs and those in C: of locks, processes, uvloop; `time.perf_counter` is left to those who measure. The world
stands while a thread works or bytes are on their way, and moves when all wait.

`moving.py` moves the world, `waits.py` knows whether all wait, `stand_ins.py` replaces the functions of the library.
"""

from __future__ import annotations

from mockserver.virtual_time.moving import VirtualTime, wait_for_server
from mockserver.virtual_time.stand_ins import real_time
from mockserver.virtual_time.waits import ServerSelector

__all__ = ["ServerSelector", "VirtualTime", "real_time", "wait_for_server"]
