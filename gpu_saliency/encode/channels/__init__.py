"""How an ROI reaches an encoder: one file per channel. Which encoder takes which is in gpu_saliency/encoders."""
