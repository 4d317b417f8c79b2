// Defines CUDA's keywords for g++, so that the text of kernels/ runs on the host: a launch loops over blocks and threads; kernels
// whose threads synchronise get one host thread per thread of a block.
#pragma once

#include <math.h>

struct Index3 {
    unsigned int x, y, z;
};

inline thread_local Index3 threadIdx, blockIdx;
inline Index3 blockDim, gridDim;

void wait_for_block();  // shim.cpp

#define __global__
#define __device__
#define __shared__ static  // blocks run one after the other
#define __syncthreads wait_for_block
