"""Scores an encode against its reference: whole frame, regions, weighted by maps. What each number is: docs/score.md."""

from gpu_saliency.score.metric import Metric
from gpu_saliency.score.result import Score, ScoreRegion
from gpu_saliency.score.run import score_encode

__all__ = ["Metric", "Score", "ScoreRegion", "score_encode"]
