"""The proof, on real encodes by ffmpeg. Each clip is generated here, and its docstring states what is true of it."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_saliency.encode.arguments import plain_command
from gpu_saliency.encode.ffmpeg import run_ffmpeg
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.errors import SourceError, UsageError
from gpu_saliency.grid import grid_shape
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof import Proof, prove_encode, write_picture
from gpu_saliency.proof.block_error import block_error, read_errors
from gpu_saliency.proof.compare import Comparison
from gpu_saliency.proof.judge import judge
from gpu_saliency.proof.qp import exports_qp, read_qp, sent_qp
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

FRAMES = 12


def textured_clip(folder: Path, width: int, height: int, *, pix_fmt: str = "yuv420p", frames: int = FRAMES) -> Clip:
    """Raw video: random texture that drifts 2 pixels a frame under fresh grain, so that each block has residual.

    Its contrast differs from one 32x32 area to the next, so that adaptive quantisation gives neighbours different quantisers.
    """
    rng = np.random.default_rng(7)
    deep = pix_fmt.endswith("10le")
    coarse = rng.random((height // 8 + 2, (width + 2 * frames) // 8 + 2))
    texture = np.kron(coarse, np.ones((8, 8)))[:height]
    areas = rng.choice([0.1, 0.4, 1.0], (height // 32 + 1, width // 32 + 1))
    contrast = np.kron(areas, np.ones((32, 32)))[:height, :width]
    path = folder / f"{width}x{height}.yuv"
    with path.open("wb") as file:
        for i in range(frames):
            luma = 60 + contrast * (100 * texture[:, 2 * i : 2 * i + width] + rng.normal(0, 12, (height, width)))
            chroma = np.full((2, height, width) if "444" in pix_fmt else (2, -(-height // 2), -(-width // 2)), 128.0)
            for plane in (luma, *chroma):
                file.write(np.clip(plane * (4 if deep else 1), 0, None).astype("<u2" if deep else "u1").tobytes())
    return probe_clip(path, width=width, height=height, pix_fmt=pix_fmt)


def plan_of(clip: Clip, *segments: NDArray[np.int_], starts: tuple[int, ...] = (0,)) -> RoiPlan:
    return RoiPlan(
        qp_offset=np.stack(segments).astype(np.int8),
        recentre=np.zeros(len(segments), np.float32),
        segment_start=np.array(starts),
        frame_count=clip.frame_count or 0,
        width=clip.width,
        height=clip.height,
        policy=RoiPolicy(),
    )


def left_half(clip: Clip, offset: int) -> NDArray[np.int_]:
    grid = np.zeros(grid_shape(clip.width, clip.height), int)
    grid[:, : grid.shape[1] // 2] = offset
    return grid


def job_for(clip: Clip, encoder: str = "libx264", crf: float = 28) -> EncodeJob:
    return prepare_encode(clip, EncodeSettings(encoder=encoder, preset="veryfast", crf=crf))


def encode(job: EncodeJob, plan: RoiPlan | None, output: Path) -> Path:
    run_saliency_encode(job, plan, output, frame_count=job.clip.frame_count)
    return output


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return textured_clip(tmp_path_factory.mktemp("clip"), 320, 192)


@pytest.fixture(scope="module")
def h264(clip: Clip) -> tuple[EncodeJob, RoiPlan, Path, Path]:
    """Job, the plan "left half -6", its encode and a plain one."""
    job, plan = job_for(clip), plan_of(clip, left_half(clip, -6))
    return job, plan, encode(job, plan, clip.path.with_name("roi.mp4")), encode(job, None, clip.path.with_name("plain.mp4"))


@pytest.fixture(scope="module")
def hevc(clip: Clip) -> tuple[EncodeJob, RoiPlan, Path]:
    """Job for libx265, the plan "left half -6", and a plain encode."""
    job = job_for(clip, "libx265")
    return job, plan_of(clip, left_half(clip, -6)), encode(job, None, clip.path.with_name("plain-hevc.mp4"))


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def plain_encode(
    request: pytest.FixtureRequest, h264: tuple[EncodeJob, RoiPlan, Path, Path], hevc: tuple[EncodeJob, RoiPlan, Path]
) -> tuple[EncodeJob, RoiPlan, Path]:
    """Job, the plan "left half -6", and a plain encode, by each encoder."""
    return (h264[0], h264[1], h264[3]) if request.param == "libx264" else hevc


def assert_minus_six(proof: Proof) -> None:
    """Tolerance half a QP: the frames' own QP may shift by the encoder's rounding."""
    assert proof.unit == "QP"
    assert proof.moved is True
    assert proof.inside_change == pytest.approx(-6, abs=0.5)
    assert proof.outside_change == pytest.approx(0, abs=0.5)
    assert proof.slope == pytest.approx(1, abs=0.05)
    assert proof.correlation is not None
    assert proof.correlation > 0.95


def test_h264_reads_back_the_planned_offsets(h264: tuple[EncodeJob, RoiPlan, Path, Path]) -> None:
    job, plan, roi, _ = h264
    seen: list[int] = []
    proof = prove_encode(job, plan, roi, max_frames=None, on_frame=seen.append)
    assert_minus_six(proof)
    assert seen[-1] == FRAMES
    assert proof.whole_clip
    assert proof.size_ratio is not None
    assert proof.size_ratio > 1.1
    assert proof.excerpt_size_ratio is None
    assert "moved as planned" in proof.summary()
    assert json.loads(json.dumps(proof.to_json()))["moved"] is True


def test_a_plain_encode_proves_nothing_moved(plain_encode: tuple[EncodeJob, RoiPlan, Path]) -> None:
    """The proof must be able to fail: here ``output`` is encoded without the plan."""
    job, plan, output = plain_encode
    proof = prove_encode(job, plan, output, max_frames=None)
    assert proof.moved is False
    assert proof.inside_change == proof.outside_change == 0
    assert proof.correlation is None
    assert proof.slope == 0
    assert proof.size_ratio == 1
    assert "did not move" in proof.summary()


def test_a_better_encode_does_not_count_as_roi(plain_encode: tuple[EncodeJob, RoiPlan, Path], tmp_path: Path) -> None:
    """4 CRF lower everywhere: every block is better, none more than others."""
    job, plan, plain = plain_encode
    better = encode(job_for(job.clip, job.encoder, 24), None, tmp_path / "better.mp4")
    proof = prove_encode(job, plan, better, max_frames=None, plain=plain)
    assert proof.moved is False
    assert proof.inside_change is not None
    assert proof.inside_change < -0.5


def test_a_mirrored_plan_is_refused(h264: tuple[EncodeJob, RoiPlan, Path, Path]) -> None:
    job, plan, roi, plain = h264
    mirrored = plan_of(job.clip, plan.qp_offset[0, :, ::-1].astype(int))
    proof = prove_encode(job, mirrored, roi, max_frames=None, plain=plain)
    assert proof.moved is False
    assert proof.correlation is not None
    assert proof.correlation < -0.9


def test_an_excerpt(h264: tuple[EncodeJob, RoiPlan, Path, Path]) -> None:
    job, plan, roi, plain = h264
    proof = prove_encode(job, plan, roi, max_frames=5, plain=plain)
    assert_minus_six(proof)
    assert (proof.frames, proof.whole_clip, proof.size_ratio) == (5, False, None)
    assert proof.excerpt_size_ratio is not None
    with pytest.raises(UsageError, match=r"^max_frames=0: out of range \(1 or more\)$"):
        prove_encode(job, plan, str(roi), max_frames=0, plain=str(plain))


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_an_excerpt_equals_the_same_frames_of_the_whole_encode(tmp_path: Path, encoder: str) -> None:
    """The plain excerpt ends long before the clip, but its compared frames must be coded as in the whole encode."""
    clip = textured_clip(tmp_path, 96, 64, frames=90)
    job, plan = job_for(clip, encoder), plan_of(clip, left_half(clip, -6))
    roi, plain = encode(job, plan, tmp_path / "roi.mp4"), encode(job, None, tmp_path / "plain.mp4")
    made, given = (prove_encode(job, plan, roi, max_frames=8, plain=path) for path in (None, plain))
    assert made == given
    np.testing.assert_array_equal(made.change, given.change)


def test_qp_reads_the_same_each_time(tmp_path: Path) -> None:
    """With frame threads libavcodec exports half-filled tables; many small frames show it soonest."""
    clip = textured_clip(tmp_path, 320, 192, frames=40)
    path = encode(job_for(clip), None, tmp_path / "plain.mp4")
    first, *others = ([qp.tobytes() for qp in read_qp(path)] for _ in range(4))
    assert all(other == first for other in others)


def test_each_segment_is_compared_over_its_own_frames(h264: tuple[EncodeJob, RoiPlan, Path, Path]) -> None:
    """The encode is -6 on the left throughout; the plan asks for that only from frame 6 on, in its second segment."""
    job, plan, roi, plain = h264
    late = plan_of(job.clip, np.zeros_like(plan.qp_offset[0], int), left_half(job.clip, -6), starts=(0, 6))
    proof = prove_encode(job, late, roi, max_frames=None, plain=plain)
    left = plan.qp_offset[0] < 0
    assert np.nanmean(proof.change[:, left]) == pytest.approx(-6, abs=0.5)
    assert proof.outside_change is not None
    assert -4.5 < proof.outside_change < -1.5  # a left half at -6 and two right halves at 0
    early = prove_encode(job, late, roi, max_frames=6, plain=plain)
    assert early.moved is None  # those frames' plan is constant
    assert early.slope is None


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_odd_size(tmp_path: Path, encoder: str) -> None:
    """641x361 in 4:4:4: the last column of blocks is one pixel wide, the last row nine high."""
    clip = textured_clip(tmp_path, 641, 361, pix_fmt="yuv444p", frames=6)
    job, plan = job_for(clip, encoder), plan_of(clip, left_half(clip, -6))
    proof = prove_encode(job, plan, encode(job, plan, tmp_path / "roi.mkv"), max_frames=None)
    assert proof.change.shape == (1, 23, 41)
    assert proof.moved is True
    if proof.unit == "QP":
        assert_minus_six(proof)


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_ten_bit(tmp_path: Path, encoder: str) -> None:
    clip = textured_clip(tmp_path, 320, 192, pix_fmt="yuv420p10le")
    job, plan = job_for(clip, encoder), plan_of(clip, left_half(clip, -6))
    proof = prove_encode(job, plan, encode(job, plan, tmp_path / "roi.mp4"), max_frames=None)
    assert proof.moved is True
    if encoder == "libx264":
        assert_minus_six(proof)


def test_hevc_error_falls_inside(hevc: tuple[EncodeJob, RoiPlan, Path], tmp_path: Path) -> None:
    """-6 halves the quantiser's step; how much less error that is depends on the content, so only the direction is asserted."""
    job, plan, plain = hevc
    proof = prove_encode(job, plan, encode(job, plan, tmp_path / "roi.mp4"), max_frames=None, plain=plain)
    assert proof.unit == "dB"
    assert proof.moved is True
    assert proof.inside_change is not None
    assert proof.inside_change < -1
    assert proof.correlation is not None
    assert proof.correlation > 0.7


def test_sent_qp() -> None:
    """The first block has no predecessor, each row follows the end of the row above, and QP 0 is no quantiser."""
    qp = np.array([[20, 20, 23], [23, 0, 24], [24, 26, 26]], np.int16)
    assert sent_qp(qp).tolist() == [[False, False, True], [False, False, True], [False, True, False]]


def test_reading_qp_of_other_files_is_refused(clip: Clip, hevc: tuple[EncodeJob, RoiPlan, Path], tmp_path: Path) -> None:
    assert not exports_qp(hevc[2])
    with pytest.raises(SourceError, match=r"from H\.264 only"):
        next(read_qp(hevc[2]))
    interlaced = prepare_encode(clip, EncodeSettings(preset="veryfast", encoder_params="tff=1"))
    with pytest.raises(SourceError, match="interlaced"):
        next(read_qp(encode(interlaced, None, tmp_path / "interlaced.mp4")))
    with pytest.raises(SourceError, match="cannot be read"):
        next(read_qp(tmp_path / "missing.mp4"))


def test_encodes_of_another_clip_are_refused(clip: Clip, h264: tuple[EncodeJob, RoiPlan, Path, Path], tmp_path: Path) -> None:
    job, plan, roi, _ = h264
    other = textured_clip(tmp_path, 160, 96, frames=6)
    small = encode(job_for(other), None, tmp_path / "small.mp4")
    with pytest.raises(SourceError, match="blocks"):
        prove_encode(job, plan, roi, max_frames=None, plain=small)
    with pytest.raises(SourceError, match="160x96"):
        next(read_errors(clip, (probe_clip(small),)))
    with pytest.raises(SourceError, match="no such file"):
        prove_encode(job, plan, roi, max_frames=None, plain=tmp_path / "missing.mp4")


def test_a_truncated_encode_is_refused(h264: tuple[EncodeJob, RoiPlan, Path, Path], tmp_path: Path) -> None:
    job, plan, roi, plain = h264
    short_clip = textured_clip(tmp_path, 320, 192, frames=6)
    short = encode(job_for(short_clip), None, tmp_path / "short.mp4")
    with pytest.raises(SourceError, match="only 6 frames can be compared"):
        prove_encode(job, plan, short, max_frames=None, plain=plain)
    with pytest.raises(SourceError, match="ends after 6 frames"):
        list(read_errors(job.clip, (probe_clip(short), probe_clip(roi))))


def test_a_lossless_encode_is_undecided(hevc: tuple[EncodeJob, RoiPlan, Path], tmp_path: Path) -> None:
    """x265's lossless mode: no block has an error, so there is no ratio of errors."""
    path = tmp_path / "lossless.mp4"
    job, plan, _ = hevc
    command = plain_command(job, path)
    command[-1:-1] = ["-x265-params", "lossless=1:log-level=none"]
    run_ffmpeg(command)
    proof = prove_encode(job, plan, path, max_frames=None, plain=path)
    assert proof.blocks == 0
    assert proof.moved is None
    assert proof.inside_change is proof.correlation is None
    assert "no block could be measured" in proof.summary()


def test_a_constant_plan_is_undecided(h264: tuple[EncodeJob, RoiPlan, Path, Path]) -> None:
    job, plan, roi, plain = h264
    for value in (0, -3):
        proof = prove_encode(job, plan_of(job.clip, np.full_like(plan.qp_offset[0], value, int)), roi, max_frames=None, plain=plain)
        assert (proof.moved, proof.correlation, proof.slope) == (None, None, None)
        assert "Undecided" in proof.summary()


@pytest.mark.parametrize(
    ("unit", "share", "moved", "words"),
    [
        ("dB", 0.12, True, "moved as planned"),
        ("dB", 0.07, None, "moved so slightly that it proves little"),
        ("dB", 0.02, False, "did not move as planned"),
        ("QP", 0.31, True, "moved as planned"),
        ("QP", 0.29, False, "did not move as planned"),
    ],
)
def test_the_verdict_follows_the_share(clip: Clip, unit: str, share: float, moved: bool | None, words: str) -> None:
    plan = plan_of(clip, left_half(clip, -4))
    change = plan.qp_offset.astype(np.float64) * share
    proof = judge(plan, Comparison(change, np.ones(change.shape, np.int64), FRAMES, unit), 1.0)
    assert proof.share == pytest.approx(share)
    assert proof.share_error == pytest.approx(0, abs=1e-9)
    assert proof.moved is moved
    assert words in proof.summary()


@pytest.mark.parametrize(
    ("share", "scatter", "moved"),
    [(0.12, 1, True), (0.12, 3, None), (0.02, 1, False), (0.02, 3, None), (-0.5, 3, False), (1, 3, True), (0, 0, False)],
)
def test_a_share_that_its_scatter_cannot_tell_is_undecided(clip: Clip, share: float, scatter: float, moved: bool | None) -> None:
    """320x192: 120 blocks inside and as many outside, whose changes lie by turns ``scatter`` dB above and below their mean."""
    plan = plan_of(clip, left_half(clip, -4))
    assert plan.qp_offset.shape == (1, 12, 20)
    turns = np.where(np.arange(12) % 2, 1, -1)[:, None]
    change = plan.qp_offset * share + scatter * turns
    proof = judge(plan, Comparison(change, np.ones(change.shape, np.int64), FRAMES, "dB"), 1.0)
    assert proof.share == pytest.approx(share)
    # Each side's mean has the standard error scatter / sqrt(119); the planned difference is 4 QP.
    assert proof.share_error == pytest.approx(scatter * (2 / 119) ** 0.5 / 4)
    assert proof.moved is moved
    assert ("with a standard error of" in proof.summary()) == (moved is None)


def test_a_plan_that_only_worsens_is_split_in_its_middle(clip: Clip) -> None:
    plan = plan_of(clip, left_half(clip, 4))
    change = plan.qp_offset.astype(float)
    proof = judge(plan, Comparison(change, np.ones(change.shape, np.int64), FRAMES, "QP"), 1.0)
    assert (proof.inside_below, proof.inside_planned, proof.outside_planned) == (2, 0, 4)
    assert proof.moved is True
    assert proof.correlation == pytest.approx(1)


def test_block_error_of_partial_blocks() -> None:
    """The right column of blocks is 2 pixels wide, the bottom row 1 high; each mean is over the pixels that exist."""
    one = np.full((17, 18), 100, np.uint8)
    other = one.copy()
    other[16, 16:] -= 3
    other[0, 0] += 16
    frames = (av.VideoFrame.from_ndarray(picture, format="gray") for picture in (one, other))
    assert block_error(*frames).tolist() == [[1, 0], [0, 9]]


def test_block_error_of_16_bit_pictures() -> None:
    one, other = (np.full((16, 16), value, np.uint16) for value in (0, 65535))
    frames = (av.VideoFrame.from_ndarray(picture, format="gray16le") for picture in (one, other))
    assert block_error(*frames).tolist() == [[65535**2]]


def test_picture(h264: tuple[EncodeJob, RoiPlan, Path, Path], tmp_path: Path) -> None:
    """Panels from left to right: source, plan, change. Both overlays are bluer where the plan has -6."""
    job, plan, roi, plain = h264
    proof = prove_encode(job, plan, roi, max_frames=None, plain=plain)
    write_picture(tmp_path / "100%d.png", job.clip, plan, proof)
    assert [path.name for path in tmp_path.iterdir()] == ["100%d.png"]
    with av.open(str(tmp_path / "100%d.png"), format="png_pipe") as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    width = picture.shape[1] // 3
    blueness = picture[100:300, :, 2] - picture[100:300, :, 0]
    for panel in (1, 2):
        middle = panel * width + width // 2
        assert np.median(blueness[:, middle - 200 : middle - 20]) > 80
        assert abs(np.median(blueness[:, middle + 20 : middle + 200])) < 40
