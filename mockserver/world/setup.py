"""What a service is given from outside: how graphs become plans, what goes wrong, who and what is there at the start.

Values and signatures only. The web layer fills them in; the defaults make a service without graphs and without trouble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mockserver.errors import UserError
from mockserver.provider.model import Json, Present
from mockserver.provider.scope import Chance

if TYPE_CHECKING:
    from mockserver.world.budget import Budget
    from mockserver.world.files import File
    from mockserver.world.task import Outlook, Plan, Task
    from mockserver.world.things import Thing


class Order(NamedTuple):
    """What a submit asks to be run, before it is a task."""

    things: Mapping[str, Thing]
    """Kind -> the thing it uses (`workflow`, `endpoint`, `account`)."""
    chance: Chance
    """The task's stream for whatever preparing it draws, such as new seeds."""
    graph: Json = None
    targets: Sequence[str] | None = None
    overrides: Json = None
    inputs: Json = None
    version: str | None = None
    new_seeds: bool = False
    document: Json = None
    """Body of the submit, defaults filled."""
    check: str | None = None
    """Option `check` of the verb: `graph`."""
    lenient: Sequence[str] = ()
    """Option `lenient` of the verb: findings of the check that do not count."""


class Work(NamedTuple):
    """What is to be run."""

    plan: Plan
    graph: Json = None
    targets: Sequence[str] | None = None
    images: Sequence[tuple[str, str]] = ()
    """Input files the graph names: node id and the value given there."""
    cached: frozenset[str] = frozenset()
    """Ids of the plan's nodes whose results are kept from before."""
    kept: Mapping[str, Sequence[File]] = MappingProxyType({})
    """Id of a cached node -> the files it wrote when it ran."""
    again: Callable[[Task], Json] | None = None
    """Makes the graph of an ended task again from what the client gave; None where the task has to keep it."""
    check: Any = None
    """What a check of the graph found, though some of it may run: its `nodes` are drawn as `check.nodes`."""


class Turn(NamedTuple):
    """A change of all lines at a moment: their slots (None for what they have by themselves), or places changed."""

    at: float
    """Unix seconds."""
    slots: int | None = None
    reshuffle: bool = False
    cause: str | None = None
    """For the journal: the rule that wants it."""


def _no_plans(order: Order) -> Work:
    raise UserError("this service was set up without plans, so nothing can be submitted; give Setup(plan=...)")


def _usual_duration(plan: Any, chance: Chance) -> float:
    from mockserver.world.plan import duration

    return duration(plan, chance)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One service's settings."""

    plan: Callable[[Order], Work] = _no_plans
    """Checks and plans what is submitted; raises `Refused` (`workflow-invalid`, ...) where the provider would."""
    duration: Callable[[Any, Chance], float] = _usual_duration
    """Draws how long a plan takes, virtual seconds."""
    outlook: Callable[[Task], Outlook] | None = None
    """Decides at its submit what will go wrong with a task."""
    resolve_input: Callable[[Task, str], Any] | None = None
    """Finds an input file by the value a graph names; None means it is missing. Without it, none is ever missing."""
    readable: Callable[[Task, str], bool] | None = None
    """Whether the input file that a graph names is what its loader reads."""
    lacking: Callable[[str], str | None] | None = None
    """Says why results with an extension cannot be made here, as a sentence; None for those that can."""
    recall: Callable[[Task], Work | None] | None = None
    """Plans a run that begins around what earlier runs have left; None where they left nothing of use."""
    remember: Callable[[Task], None] | None = None
    """Told of every run that has ended, so that later ones may use its results."""
    forget: Callable[[str], None] | None = None
    """Forgets what the runs of a line, by its id, have left for later ones."""
    label: Callable[[Task, str], str | None] | None = None
    """Gives the name under which an output node is published, `""` for one that is not; None where none are named."""
    catalogue: Callable[[str | None], Any] | None = None
    """Gives node classes as `/object_info` shows them, by name: all, or the named one if there is such."""
    locate: Callable[[str], str | None] | None = None
    """Reads the key of a file out of an address a client gives."""
    present: Mapping[str, Sequence[Present]] = field(default_factory=dict)
    """Kind -> further things that exist at the start: hosted workflows, accounts."""
    open: frozenset[str] = frozenset()
    """Kinds of which any id counts as existing."""
    slots: int | None = None
    """Slots of every line; None for what the machine says."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Purpose -> secret, for signing what is drawn."""
    max_finished: int = 100_000
    """Finished tasks kept; the oldest go first."""
    max_request_bytes: int = 256 * 1024 * 1024
    """Bytes of the requests that finished tasks came by, as the client sent them."""
    requests: Budget | None = None
    """What such requests of all worlds may take together; None for no bound."""
    max_uploads: int = 10_000
    max_upload_bytes: int = 256 * 1024 * 1024
    uploads: Budget | None = None
    """What the uploads of all worlds may take together; None for no bound."""
