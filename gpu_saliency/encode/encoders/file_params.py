"""Refuses encoder parameters by which an encoder itself would read or write a file, or run a program.

A parameter may come from a stranger's job description; these would let it overwrite any file with this program's rights, and their
files would stay behind after an error. No plan needs them.
"""

from __future__ import annotations

import re

from gpu_saliency.encode.target import Params
from gpu_saliency.errors import UsageError

_X264 = "cqmfile dump-yuv opencl-clbin qpfile stats tcfile-in tcfile-out index log-file"  # common/base.c, x264_param_parse
_X265 = (  # source/common/param.cpp and source/x265cli.cpp
    "analysis-load analysis-reuse-file analysis-save analysis-reuse-mode csv dhdr10-info dolby-vision-rpu film-grain "
    "aom-film-grain lambda-file nalu-file recon recon-y4m-exec scaling-list zonefile abr-ladder multi-pass-opt-analysis "
    "multi-pass-opt-distortion vbv-live-multi-pass"
)
_SVT = "config errlog fgs-table input output qp-file stat-file use-q-file"  # Source/App/app_config.c
_AOM = (  # av1/arg_defs.c
    "film-grain-table fpf partition-info-path rate-distribution-info second-pass-log two-pass-input two-pass-output vmaf-model-path"
)
# apputils/VVEncAppCfg.h; the case of the letters does not matter
_VVENC = "logofile rcstatsfile summaryoutfilename summarypicfilenamebase tracechannellist tracefile tracerule"
_KVAZAAR = "debug fast-coeff-table fastrd-learning-outdir fastrd-sampling-dir roi stats-file-prefix"  # src/cli.c
_SHORT = "b c i o r"
"""Input, output, configuration and reconstruction in the encoders' own programs."""
_KNOWN = frozenset(" ".join((_X264, _X265, _SVT, _AOM, _VVENC, _KVAZAAR, _SHORT)).split())
_LIKE_A_FILE = re.compile(
    r"(^|-)(clbin|csv|dir|dump|exec|file|filename|log|outdir|outfile|path|recon|table)(-|$)|(?<!pro)file(name)?$"
)
_NUMBERS = frozenset({"csv-log-level", "log", "log-level", "log2-max-poc-lsb", "write-log"})
_PATH = re.compile(r"^(~|\.{0,2}/|[a-z]:[\\/])|/.*/|\.\./", re.IGNORECASE)
_STRENGTHS = {"libsvtav1": frozenset({"film-grain"})}
"""Names that stand for a file in x265 only."""
_BUILT_IN = {"scaling-list": frozenset({"0", "off", "default"})}
"""Values that stand for no file."""
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DASHED = re.compile(r"-(?!\d|\.\d)")


def check_file_params(encoder: str, params: Params, separator: str = ":") -> None:
    """Raise `UsageError` if a parameter names a file, by its key or its value, or would be read as another parameter.

    ``separator`` is the character between the parameters of this encoder; in a value it would begin another one.
    """
    for key, value in params.items():
        text = f"{key}={value}"
        if _KEY.fullmatch(key) is None or _DASHED.match(value) or (separator != ":" and separator in value):
            raise UsageError("is no parameter", setting="encoder_params", value=text, cure="write key=value:key=value")
        name = key.lower()
        known = name in _KNOWN and name not in _STRENGTHS.get(encoder, ()) and value not in _BUILT_IN.get(name, ())
        if known or (_LIKE_A_FILE.search(name) and name not in _NUMBERS):
            problem = f"makes {encoder} read or write a file of its own"
            raise UsageError(problem, setting="encoder_params", value=text, cure=f"leave {key} out")
        if _PATH.search(value):
            raise UsageError("names a file", setting="encoder_params", value=text, cure=f"leave {key} out")
