"""The analysis with given maps in place of a model: opens them, reduces them to blocks, and makes the track."""

from gpu_saliency.analysis.given.opened import MAX_DENSITY, OpenMaps, open_maps
from gpu_saliency.analysis.given.run import analyse_given

__all__ = ["MAX_DENSITY", "OpenMaps", "analyse_given", "open_maps"]
