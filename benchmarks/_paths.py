"""Makes the checkout's other folders importable; a benchmark imports this module before modules from them."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(_ROOT / folder) for folder in ("scripts", "tests/helpers")]
