"""Python methods that check the arguments of the CUDA kernels in ``kernels/`` and launch them."""
