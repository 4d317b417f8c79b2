"""Trial encodes: finds the quality or the strength that serves what the user asked for. What each intent does: docs/intent.md."""

from gpu_saliency.trial.intent import Intent
from gpu_saliency.trial.report import IntentReport
from gpu_saliency.trial.resolve import proven, resolve_intent

__all__ = ["Intent", "IntentReport", "proven", "resolve_intent"]
