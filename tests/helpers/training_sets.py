"""Small training sets and settings, for tests of the training scripts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def small_sets(folder: Path) -> Path:
    """Eight pictures with a bright square, its mask, and a density on it; the last four densities are of crowds."""
    rng = np.random.default_rng(0)
    for name, sources in (("train_s224", ["DUTS-TR"] * 8), ("train_fixation_s224", ["OSIE"] * 4 + ["EyeCrowd"] * 4)):
        for part in ("images", "masks"):
            (folder / name / part).mkdir(parents=True)
        for i in range(8):
            image, mask = rng.integers(40, 90, (64, 96, 3), np.uint8), np.zeros((64, 96), np.uint8)
            place = slice(8 + 3 * i, 30 + 3 * i)
            image[place, place], mask[place, place] = 230, 255
            Image.fromarray(image).save(folder / name / "images" / f"{i}.jpg")
            Image.fromarray(mask).save(folder / name / "masks" / f"{i}.png")
        rows = "".join(f"{i},96,64,{source}\n" for i, source in enumerate(sources))
        (folder / name / "index.csv").write_text("id,width,height,source\n" + rows)
    return folder


def changed_settings(source: Path, target: Path, values: dict[str, object]) -> Path:
    """Write the TOML file ``source`` to ``target`` with other ``values``, wherever it sets these keys."""
    lines = source.read_text().splitlines()
    target.write_text("\n".join(f"{key} = {values[key]}" if (key := line.split(" = ")[0]) in values else line for line in lines))
    return target
