"""Encoder parameters that name files are refused, however they are spelled; those that name none pass."""

from __future__ import annotations

import pytest

from gpu_saliency.encode.prepare import EncodeSettings
from gpu_saliency.errors import UsageError

FILES = {
    "libx264": ["dump-yuv=x", "dump_yuv=x", "qpfile=x", "stats=x", "cqmfile=x", "opencl-clbin=x", "log-file=x", "tcfile-in=x"],
    "libx265": [
        "csv=x", "csv", "recon=x", "stats=x", "analysis-save=x", "analysis_load=x", "analysis-reuse-file=x", "lambda-file=x",
        "zonefile=x", "qpfile=x", "scaling-list=x", "dhdr10-info=x", "dolby-vision-rpu=x", "film-grain=x", "aom-film-grain=x",
        "nalu-file=x", "recon-y4m-exec=x", "abr-ladder=x", "multi-pass-opt-analysis=1",
    ],
    "libsvtav1": ["stat-file=x", "errlog=x", "o=x", "output=x", "recon=x", "fgs-table=x", "qp-file=x", "config=x", "c=x"],
    "libaom-av1": [
        "vmaf-model-path=x", "film-grain-table=x", "partition-info-path=x", "second-pass-log=x", "two-pass-output=x",
        "fpf=x",
    ],
    "libvvenc": ["tracefile=x", "TraceFile=x", "SummaryOutFilename=x", "summarypicfilenamebase=x", "RCStatsFile=x", "logofile=x"],
    "libkvazaar": ["cqmfile=x", "fast-coeff-table=x", "fastrd-outdir=x", "stats-file-prefix=x", "debug=x", "roi=x"],
}  # fmt: skip
DISGUISED = [
    ("libx264", "ref=3:dump-yuv=x"),
    ("libx264", r"dump\-yuv=x"),
    ("libx264", "'dump-yuv'=x"),
    ("libx264", "dump-yuv =x"),
    ("libx264", "--dump-yuv=x"),
    ("libx264", "unknown=/etc/passwd"),
    ("libx264", "unknown=../x"),
    ("libx264", "unknown=~/x"),
    ("libx264", "unknown=a/b/c"),
    ("libx264", "unknown=C\\x"),
    ("libx265", "my-own-file=x"),
    ("libsvtav1", "tune=--output"),
    ("libsvtav1", "tune=-b"),
    ("libkvazaar", "period=64,cqmfile=x"),
]
FINE = [
    ("libx264", "keyint=30:ref=3:no-mbtree:deblock=-1,-1:fps=24/1:sar=1/1:psy-rd=1.00,0.15:profile=high:level=4.1:log=0"),
    (
        "libx265",
        "rc-lookahead=20:master-display=G(1,2)B(3,4)R(5,6)WP(7,8)L(9,1):max-cll=1000,400:scaling-list=default:csv-log-level=0",
    ),
    ("libsvtav1", "tune=0:film-grain=8:keyint=-1:film-grain-denoise=0:lp=2:profile=0"),
    ("libaom-av1", "tile-columns=1:film-grain-test=1:enable-keyframe-filtering=0:tune=ssim"),
    ("libvvenc", "threads=2:level=4.1:intraperiod=32"),
    ("libkvazaar", "period=64,owf=1".replace(",", ":")),
]


@pytest.mark.parametrize(("encoder", "params"), [(encoder, params) for encoder, listed in FILES.items() for params in listed])
def test_a_parameter_that_names_a_file_is_refused(encoder: str, params: str) -> None:
    with pytest.raises(UsageError) as caught:
        EncodeSettings(encoder=encoder, encoder_params=params)
    assert caught.value.setting == "encoder_params"
    assert caught.value.cure


@pytest.mark.parametrize(("encoder", "params"), DISGUISED)
def test_a_disguised_parameter_is_refused(encoder: str, params: str) -> None:
    params = params.replace("C\\x", "C:\\x") if "C\\x" in params else params
    with pytest.raises(UsageError):
        EncodeSettings(encoder=encoder, encoder_params=params)


@pytest.mark.parametrize(("encoder", "params"), FINE)
def test_other_parameters_pass(encoder: str, params: str) -> None:
    EncodeSettings(encoder=encoder, encoder_params=params)
