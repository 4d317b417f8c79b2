"""The reporter of the command line: shows progress on stderr, and spells settings as flags."""

from __future__ import annotations

from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.progress import Reporter


class CliReporter(Reporter):
    """Shows progress and messages on stderr and spells settings as flags."""

    spell = staticmethod(spell_flag)
