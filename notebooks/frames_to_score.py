# %% [markdown]
# # From frames to a scored encode
#
# Maps over frames in memory, a plan, an encode, and a score. Everything is generated, so the notebook runs anywhere where
# `pip install 'gpu-saliency[cpu]'` has run.

# %% [markdown]
# ## Frames
#
# A red ball crosses a grey, grainy texture: 36 frames of 320x192, as R'G'B' bytes.

# %%
import numpy as np

count, height, width = 36, 192, 320
rng = np.random.default_rng(1)
coarse = rng.integers(70, 150, (height // 8, width // 8, 1)).repeat(8, 0).repeat(8, 1)
grain = rng.normal(0, 6, (count, height, width, 1))
y, x = np.mgrid[:height, :width]
centres = [(60 + 200 * i / (count - 1), 96) for i in range(count)]
balls = np.stack([np.hypot(x - cx, y - cy) < 30 for cx, cy in centres])
shade = 0.6 + 0.4 * np.sin(x / 5) * np.sin(y / 5)
ball = shade[..., None] * np.array([210, 40, 40])
frames = np.clip(np.where(balls[..., None], ball, coarse) + grain, 0, 255).astype(np.uint8)
print(frames.shape, frames.dtype)

# %% [markdown]
# ## Saliency
#
# `saliency_maps` takes an array, or an iterator of frames such as a decoder, and yields a float32 map in 0..1 for each.

# %%
from gpu_saliency import saliency_maps

maps = np.stack(list(saliency_maps(frames)))
print(maps.shape, maps.dtype)
print(f"mean saliency: {maps[balls].mean():.2f} on the ball, {maps[~balls].mean():.2f} elsewhere")
assert maps[balls].mean() > 3 * maps[~balls].mean()

# %% [markdown]
# The same on the 16x16 blocks that plans are made of, for the first frame, in tenths:

# %%
blocks = next(saliency_maps(frames[:1], size="blocks"))
print("\n".join("".join(f"{round(10 * value):>3}" if value >= 0.05 else "  ." for value in row) for row in blocks))

# %% [markdown]
# ## A clip
#
# Plans and encodes need a file. PyAV, which the package brings, writes one without loss.

# %%
from pathlib import Path

import av


def write(path: Path, pictures: np.ndarray) -> None:
    """Write ``[N, H, W, 3]`` R'G'B' as FFV1 at 24 frames a second."""
    with av.open(path, "w") as file:
        stream = file.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = pictures.shape[2], pictures.shape[1], "yuv420p"
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        file.mux(stream.encode())


write(Path("ball.mkv"), frames)
write(Path("mask.mkv"), np.where(balls[..., None], np.uint8(255), np.uint8(0)).repeat(3, 3))

# %% [markdown]
# ## A plan
#
# The sidecar holds the maps of the clip; the plan says how much better or worse each block is to be, in QP.

# %%
from gpu_saliency import RoiPolicy, build_roi_plan, load_saliency_sidecar, probe_clip

clip = probe_clip("ball.mkv")
sidecar, reused = load_saliency_sidecar(clip, path=Path("ball.saliency.npz"))
plan = build_roi_plan(sidecar, RoiPolicy(offset=-4))
print(f"{clip.seconds:g} s, {len(sidecar.track.saliency)} maps, plan {plan.qp_offset.shape}")
print(f"offsets {plan.qp_offset.min()} to {plan.qp_offset.max()} QP")

# %% [markdown]
# ## An encode, with progress
#
# `encode_clip` reuses the sidecar, encodes, and proves from the file that the bits moved.

# %%
from gpu_saliency import EncodeRequest, Observer, encode_clip

stages: dict[str, int] = {}
observer = Observer(on_progress=lambda progress: stages.update({progress.stage: progress.done}))
request = EncodeRequest(clip, "roi.mp4", policy=RoiPolicy(offset=-4), sidecar="ball.saliency.npz", overwrite=True)
result = encode_clip(request, observer)
print(*stages, sep="\n")
print(result.proof.summary())
assert result.proof.moved

# %% [markdown]
# ## A plain encode, and the scores of both
#
# Offset 0 is a plain encode. The mask divides the scores into the ball and the rest.

# %%
from gpu_saliency import score_encode

plain = encode_clip(EncodeRequest(clip, "plain.mp4", policy=RoiPolicy(offset=0), prove="none", overwrite=True))
for name, encode in (("plain", plain), ("with the plan", result)):
    score = score_encode(clip, encode.output.path, masks="mask.mkv")
    inside, outside = (score.region(region).metrics["psnr_y"].pooled for region in ("inside", "outside"))
    print(f"{name:14} {encode.output.size_bytes:6,} bytes   PSNR {inside:.2f} dB on the ball, {outside:.2f} dB elsewhere")
