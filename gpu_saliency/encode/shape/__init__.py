"""The shape of an output: the part of the picture, the size and the frame rate that it has other than its source.

The analysis sees the whole source; its maps are carried over to the shape (`shaped_sidecar`), and the plan is made from these.
"""

from gpu_saliency.encode.shape.asked import parse_crop, parse_scale
from gpu_saliency.encode.shape.frames import shaped_frames
from gpu_saliency.encode.shape.maps import shaped_sidecar
from gpu_saliency.encode.shape.retimed import Retimed, retime
from gpu_saliency.encode.shape.shape import AS_SOURCE, Shape, make_shape, range_options

__all__ = [
    "AS_SOURCE",
    "Retimed",
    "Shape",
    "make_shape",
    "parse_crop",
    "parse_scale",
    "range_options",
    "retime",
    "shaped_frames",
    "shaped_sidecar",
]
