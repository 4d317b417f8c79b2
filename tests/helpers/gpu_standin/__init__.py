"""A CUDA driver whose device memory is host memory, to run the device ``cuda`` without a GPU. docs/standin.md has its limits."""
