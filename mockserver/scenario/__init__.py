"""What goes wrong: scenarios as data, matched against calls, tasks and connections, and counted.

`reading` makes a `Scenario` of a file, `library` holds those that come with the package, `script` is one in force in a
world. It decides and does nothing; no time and no web here: moments come in, decisions go out. See README.md.
"""

from mockserver.scenario.feed import FeedPlan
from mockserver.scenario.model import Rule, Scenario, Setting
from mockserver.scenario.reading import ScenarioError, fail, parse, read
from mockserver.scenario.script import CallFacts, Decision, Script

__all__ = [
    "CallFacts",
    "Decision",
    "FeedPlan",
    "Rule",
    "Scenario",
    "ScenarioError",
    "Script",
    "Setting",
    "fail",
    "parse",
    "read",
]
