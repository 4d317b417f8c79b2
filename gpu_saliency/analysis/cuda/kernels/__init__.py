"""The CUDA kernels of ``kernels/`` as checked Python functions."""
