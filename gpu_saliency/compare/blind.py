"""The page of blind pairs: frames of two encodes of equal size, on which a person votes."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

from gpu_saliency.compare.album import Album, PairFrames, Pictures
from gpu_saliency.compare.page import make_page
from gpu_saliency.compare.result import CompareResult


def make_blind_page(result: CompareResult, album: Album) -> str:
    """The page's HTML. Which picture of a trial is the plain one is stored encoded, in an order that looks random."""
    pictures, films = Pictures(), Pictures()
    source = [pictures.add(picture) for picture in album.source]
    film = None if album.film is None else films.add(album.film)
    identity = hashlib.sha256(b"".join(picture for pair in album.pairs for picture in (*pair.plain, *pair.roi))).hexdigest()
    trials: list[dict[str, Any]] = []
    key: list[dict[str, Any]] = []

    def add(pair: PairFrames, kind: str, what: str, own: Pictures, both: tuple[bytes, bytes], reference: int) -> None:
        plain_place = int(hashlib.sha256(f"{identity} {len(trials)}".encode()).hexdigest(), 16) % 2
        numbers = [own.add(one) for one in (both if plain_place == 0 else both[::-1])]
        trials.append({"kind": kind, "both": numbers, "source": reference})
        key.append(
            {
                "plain": plain_place,
                "encoder": pair.encoder.encoder,
                "rate": pair.match.plain.label,
                "shown": what,
                "size_percent": round(pair.match.size_percent, 3),
            }
        )

    first, end = album.film_frames
    for pair in album.pairs:
        for i, number in enumerate(album.numbers):
            add(pair, "frame", f"frame {number}", pictures, (pair.plain[i], pair.roi[i]), source[i])
        if pair.films is not None and film is not None and end - first > 1:
            add(pair, "film", f"film {first}-{end - 1}", films, pair.films, film)
    data = {
        "id": identity[:16],
        "source": result.clip.path.name,
        "aspect": round(float(result.clip.upright_aspect), 4),
        "trials": trials,
        "key": base64.b64encode(json.dumps(key).encode()).decode(),
        "pictures": pictures.data,
        "films": films.data,
    }
    name = escape(result.clip.path.name)
    return make_page("blind", data, title=f"Blind pairs: {name}", name=name, total=str(len(trials)))
