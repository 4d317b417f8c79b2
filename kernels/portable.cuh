// Lets the same text compile under NVRTC and nvcc, and under g++ for the tests that need no GPU.
//
// Arithmetic is in HOST_DEVICE inline functions; a kernel only determines its element, calls them and stores the result.
#pragma once

#if defined(__CUDACC__)  // nvcc and NVRTC; NVRTC has no headers of the C library, so the kernels include none
#define HOST_DEVICE __host__ __device__
#else
#include "launch_shim.h"  // the tests' replacement of threadIdx and the like, __shared__, __syncthreads
#define HOST_DEVICE
#endif

// Elements of a one-dimensional grid-stride loop.
#define FOR_EACH(index, count)                                                                          \
    for (long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x, stride_ = (long long)gridDim.x * blockDim.x; \
         index < (count); index += stride_)

HOST_DEVICE inline int least(int a, int b) { return a < b ? a : b; }
HOST_DEVICE inline int greatest(int a, int b) { return a > b ? a : b; }
// Returns `low` for a NaN.
HOST_DEVICE inline float clamped(float value, float low, float high) { return value > low ? (value < high ? value : high) : low; }

// The pixel of the coded picture that an upright pixel shows: np.rot90 of a `width` x `height` picture by quarter turns, 0 to 3, and
// then, where 4 is added to them, an exchange of left and right.
HOST_DEVICE inline void upright_to_coded(int orientation, int width, int height, int x, int y, int* coded_x, int* coded_y) {
    const int turns = orientation % 4;
    x = orientation < 4 ? x : (turns % 2 == 0 ? width : height) - 1 - x;
    *coded_x = turns == 0 ? x : turns == 1 ? width - 1 - y : turns == 2 ? width - 1 - x : y;
    *coded_y = turns == 0 ? y : turns == 1 ? x : turns == 2 ? height - 1 - y : height - 1 - x;
}

// The inverse, for the same `width` x `height` of the coded picture.
HOST_DEVICE inline void coded_to_upright(int orientation, int width, int height, int coded_x, int coded_y, int* x, int* y) {
    const int turns = orientation % 4;
    *x = turns == 0 ? coded_x : turns == 1 ? coded_y : turns == 2 ? width - 1 - coded_x : height - 1 - coded_y;
    *y = turns == 0 ? coded_y : turns == 1 ? width - 1 - coded_x : turns == 2 ? height - 1 - coded_y : coded_x;
    *x = orientation < 4 ? *x : (turns % 2 == 0 ? width : height) - 1 - *x;
}

// Sum over a block of BLOCK_THREADS threads, which must all call it; valid in thread 0.
#define BLOCK_THREADS 256
__device__ inline float block_sum(float value) {
    __shared__ float partial[BLOCK_THREADS];
    partial[threadIdx.x] = value;
    __syncthreads();
    for (unsigned int half = BLOCK_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            partial[threadIdx.x] += partial[threadIdx.x + half];
        }
        __syncthreads();
    }
    return partial[0];
}
