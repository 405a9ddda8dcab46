"""An example of every word of a scenario: the README shows them, and the tests of the web play each one.

A word of a setting is shown in a setting, any other in a rule. `task.outcome=fail` is a value that is a word itself.
"""

from __future__ import annotations

EXAMPLES = {
    "setting.variants": "{variants: {genstudio: {unknown-ids: status-5}}}",
    "setting.seed": "{seed: 7}",
    "setting.start": '{start: "2025-06-01T12:00:00Z"}',
    "setting.slots": "{slots: 1}",
    "setting.workflows": (
        '{workflows: {wf-mine: {"1": {class_type: EmptyImage, inputs: '
        "{width: 64, height: 64, batch_size: 1, color: 0}}"
        ', "2": {class_type: SaveImage, inputs: {images: ["1", 0], filename_prefix: a}}}}}'
    ),
    "setting.accounts": "{accounts: [{key: sk-mine}]}",
    "setting.rate": "{rate: 60}",
    "rule.id": "{id: broken, answer: {status: 502}}",
    "rule.skip": "{skip: 1, answer: {status: 502}}",
    "rule.times": "{times: 1, answer: {status: 502}}",
    "when.provider": "{when: {provider: gpugeek}, answer: {status: 502}}",
    "when.operation": "{when: {operation: prompt}, answer: {status: 502}}",
    "when.channel": "{when: {channel: progress}, feed: {refuse: 503}}",
    "when.verb": "{when: {verb: [read, list]}, answer: {status: 502}}",
    "when.nth": "{when: {nth: 2}, answer: {status: 502}}",
    "when.after": "{when: {after: 2}, answer: {status: 502}}",
    "when.every": "{when: {every: 2}, answer: {status: 502}}",
    "when.share": "{when: {share: 0.5}, answer: {status: 502}}",
    "when.request": "{when: {request: {properties: {headers: {required: [x-trace]}}}}, answer: {status: 502}}",
    "when.task": '{when: {task: {properties: {overrides: {required: ["5"]}}}}, task: {outcome: fail}}',
    "when.window": "{when: {window: {from: 10, to: 20}}, answer: {status: 502}}",
    "when.window.from": "{when: {window: {from: 10}}, answer: {status: 502}}",
    "when.window.to": '{when: {window: {to: "2026-09-21T14:13:30Z"}}, answer: {status: 502}}',
    "task.outcome": "{task: {outcome: fail}}",
    "task.outcome=succeed": "{task: {outcome: succeed}}",
    "task.outcome=fail": "{task: {outcome: fail}}",
    "task.outcome=out-of-memory": "{task: {outcome: out-of-memory}}",
    "task.outcome=stuck-queued": "{task: {outcome: stuck-queued}}",
    "task.outcome=stuck-running": "{task: {outcome: stuck-running}}",
    "task.outcome=cancelled": "{task: {outcome: cancelled, at: 40}}",
    "task.node": "{task: {outcome: fail, node: KSampler}}",
    "task.at": "{task: {outcome: fail, at: 50}}",
    "task.error": "{task: {error: timed-out}}",
    "task.message": '{task: {outcome: fail, message: "worker lost"}}',
    "task.facts": "{task: {outcome: fail, facts: {cause.text: disk full}}}",
    "task.lost": "{task: {lost: 60}}",
    "task.slow": "{task: {slow: 100}}",
    "task.lasts": "{task: {lasts: 90}}",
    "task.nodes": "{task: {nodes: {KSampler: 1000}}}",
    "task.results": "{task: {results: none}}",
    "task.results=none": "{task: {results: none}}",
    "task.results=corrupt": "{task: {results: corrupt}}",
    "task.results=wrong-size": "{task: {results: wrong-size}}",
    "task.results=missing": "{task: {results: missing}}",
    "task.results=expired": "{task: {results: expired}}",
    "task.progress": "{task: {progress: stall}}",
    "task.progress=stall": "{task: {progress: stall}}",
    "task.progress=jump": "{task: {progress: jump}}",
    "task.progress=backward": "{task: {progress: backward}}",
    "queue.ahead": "{queue: {ahead: 5}}",
    "queue.slots": "{when: {window: {to: 300}}, queue: {slots: 0}}",
    "queue.reshuffle": "{when: {window: {from: 5}}, queue: {reshuffle: true}}",
    "queue.ready": "{when: {window: {to: 120}}, queue: {ready: false}}",
    "answer.error": "{answer: {error: too-many-calls}}",
    "answer.facts": "{answer: {error: unknown-workflow, facts: {workflow.id: wf-else}}}",
    "answer.status": "{answer: {status: 502}}",
    "answer.headers": '{answer: {status: 503, headers: {Retry-After: "30"}}}',
    "answer.body": "{answer: {status: 200, body: {code: 0}}}",
    "answer.limit": "{answer: {limit: {quota: 2}}}",
    "answer.limit.window": "{answer: {limit: {window: {calls: 2, seconds: 30}}}}",
    "answer.limit.bucket": "{answer: {limit: {bucket: {calls: 2, seconds: 6}}}}",
    "answer.limit.quota": "{answer: {error: 402, limit: {quota: 2}}}",
    "answer.credentials": "{when: {after: 1}, answer: {credentials: revoked}}",
    "answer.stale": "{when: {verb: list}, answer: {stale: 1000}}",
    "wire.refuse": "{wire: {refuse: true}}",
    "wire.delay": "{wire: {delay: {uniform: [20, 30]}}}",
    "wire.dribble": "{wire: {dribble: {bytes: 10, every: 1}}}",
    "wire.reset": "{wire: {reset: true}}",
    "wire.empty": "{wire: {empty: true}}",
    "wire.truncate": "{wire: {truncate: 0.5}}",
    "wire.malformed": "{wire: {malformed: true}}",
    "wire.content-type": "{wire: {content-type: text/plain}}",
    "wire.wrong-length": "{wire: {wrong-length: 7}}",
    "wire.duplicate-keys": "{wire: {duplicate-keys: true}}",
    "wire.large": "{wire: {large: 100000}}",
    "feed.refuse": "{feed: {refuse: 503}}",
    "feed.close": "{feed: {close: {code: 1012, after: 3}}}",
    "feed.drop": "{feed: {drop: {after: 1}}}",
    "feed.duplicate": "{feed: {duplicate: true}}",
    "feed.swap": "{feed: {swap: {nth: 2}}}",
    "feed.garble": "{feed: {garble: {nth: 2}}}",
    "feed.delay": "{feed: {delay: 1000}}",
    "feed.silence": "{feed: {silence: 1}}",
    "feed.unknown-type": "{feed: {unknown-type: 1}}",
    "feed.no-close": "{feed: {no-close: true}}",
    "feed.end-twice": "{feed: {end-twice: true}}",
    "patch.merge": "{patch: {merge: {msg: null, extra: 1}}}",
    "patch.set": "{patch: {set: {task.state: 99, /code: 7}}}",
    "patch.remove": "{patch: {remove: [/data]}}",
    "patch.null-lists": "{patch: {null-lists: true}}",
}


def of(word: str) -> list[str]:
    """Return the examples of a word: its own, those of its values, or its parent's where that shows it."""
    values = [example for one, example in EXAMPLES.items() if one.startswith(f"{word}=")]
    if values:
        return list(dict.fromkeys(values))
    if word in EXAMPLES:
        return [EXAMPLES[word]]
    parent, _, own = word.rpartition(".")
    return [example for example in (of(parent) if parent else ()) if f"{own}:" in example]


def document(word: str) -> str:
    """Return the whole scenario that a word's example stands for, as YAML."""
    example = EXAMPLES[word]
    return f"setting: {example}" if word.startswith("setting.") else f"rules: [{example}]"
