"""The judge: says whether a client, a server or a recording keeps a provider's contract.

Reads the same folders as the emulator (`mockserver.provider`) and knows nothing of how the emulator works: its imports
end at `mockserver.provider`, `mockserver.exchange`, `mockserver.errors`, `mockserver.data` and the way commands end;
only `explore` uses the public handle `mockserver.MockServer`.

    from contracts import judge

    verdict = judge(server.exchanges, "NAME")
    assert not verdict.findings
"""

from contracts.check import judge
from contracts.judging import Verdict
from contracts.model import Finding

__all__ = ["Finding", "Verdict", "judge"]
