"""The sidecar: a file with a clip's saliency track, its source, its model or given maps, and the encodes made from it.

Format: docs/sidecar.md.
"""

from gpu_saliency.analysis.sidecar.fresh import check_fresh, read_sidecar_of
from gpu_saliency.analysis.sidecar.read import SidecarHeader, read_header, read_sidecar
from gpu_saliency.analysis.sidecar.records import AnalysisRecord, DeviceFacts, EncodeFacts, MapsRecord, ModelRecord, SourceRecord
from gpu_saliency.analysis.sidecar.sidecar import SUFFIX, Sidecar, sidecar_beside
from gpu_saliency.analysis.sidecar.store import record_encode, store_sidecar
from gpu_saliency.analysis.sidecar.write import save_sidecar

__all__ = [
    "SUFFIX",
    "AnalysisRecord",
    "DeviceFacts",
    "EncodeFacts",
    "MapsRecord",
    "ModelRecord",
    "Sidecar",
    "SidecarHeader",
    "SourceRecord",
    "check_fresh",
    "read_header",
    "read_sidecar",
    "read_sidecar_of",
    "record_encode",
    "save_sidecar",
    "sidecar_beside",
    "store_sidecar",
]
