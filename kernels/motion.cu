// Mean change of luma from sample to sample.
#include "portable.cuh"

// One block of BLOCK_THREADS threads per sample.
extern "C" __global__ void luma_motion(
    const float* luma,      // [n, pixels], 0..1
    const float* previous,  // [pixels], of the sample before the first; null: there is none, and the motion is 0
    int pixels,
    float* out)             // [n]
{
    const long long sample = blockIdx.x;
    const float* now = luma + sample * pixels;
    const float* before = sample == 0 ? previous : now - pixels;
    float sum = 0.0f;
    if (before != nullptr) {
        for (int i = threadIdx.x; i < pixels; i += blockDim.x) {
            sum += fabsf(now[i] - before[i]);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        out[sample] = sum / (float)pixels;
    }
}
