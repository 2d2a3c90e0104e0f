"""Try everything, and print a JSON line for each attempt.

{"attempt": name, "outcome": "succeeded", an errno's name, or that of the signal that it ended by}
"""

from __future__ import annotations

import json
import os
import sys

from tests.helpers.escapes import attempt, files, kernel, log, namespaces, network, processes

# In the order of the list; importing them fills it.
SUBJECTS = (files, log, processes, namespaces, network, kernel)


def main(host: attempt.Host) -> None:
    """Make all attempts."""
    for one in attempt.ATTEMPTS:
        outcome = attempt.outcome(one, host)
        if outcome is not None:
            os.write(1, json.dumps({"attempt": one.name, "outcome": outcome}).encode() + b"\n")


if __name__ == "__main__":
    # The fields of Host, as a JSON list.
    main(attempt.Host(*json.loads(sys.argv[1])) if sys.argv[1:] else attempt.NOTHING)
