"""A batch on many machines: Ray runs its workers; an engine of `gpu_saliency.batch`."""
