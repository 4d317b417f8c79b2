"""The ROI plan: splits a track into segments and maps the saliency of their blocks to QP offsets."""
