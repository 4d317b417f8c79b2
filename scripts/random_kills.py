"""Kill encodes at random moments with SIGKILL, plainly and as the first process of a PID namespace; the next run must succeed.

``python scripts/random_kills.py --kills 30 --seed 1 --clip FILE``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from kills import NAMESPACE, kill_runs, missing_namespace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    reason = missing_namespace()
    for place, prefix in (("plain", ()), ("namespace", NAMESPACE)):
        if prefix and reason:
            print(f"{place}: skipped: {reason}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            shares = list(kill_runs(given.clip.absolute(), Path(folder, "runs"), given.kills, given.seed, prefix))
        moments = " ".join(f"{share:.2f}" for share in shares)
        print(f"{place}: {len(shares)} kills, each next run succeeded and left nothing; at these shares of a run: {moments}")


if __name__ == "__main__":
    main()
