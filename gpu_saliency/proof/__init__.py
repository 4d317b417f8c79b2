"""Compares a finished encode with a plain encode, block by block, to prove that the bits moved; docs/proof.md has the method."""

from gpu_saliency.proof.picture import write_picture
from gpu_saliency.proof.prove import prove_encode, prove_places
from gpu_saliency.proof.verdict import Proof

__all__ = ["Proof", "prove_encode", "prove_places", "write_picture"]
