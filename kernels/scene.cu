// The change of each decoded frame against the frame before, on a coarse lattice of its luma.
#include "portable.cuh"

HOST_DEVICE inline float lattice_sample(const unsigned char* plane, long long pitch, int x, int y, int sample_bytes,
                                        int sample_shift, float peak) {
    const unsigned char* line = plane + y * pitch;
    const unsigned int stored = sample_bytes == 1 ? line[x] : reinterpret_cast<const unsigned short*>(line)[x];
    return (float)(stored >> sample_shift) / peak;
}

// One block of BLOCK_THREADS threads.
extern "C" __global__ void scene_change(
    const unsigned char* plane0, long long pitch0,  // luma; pitch in bytes
    int sample_bytes, int sample_shift,             // as in picture_to_input
    float peak,                                     // 2^bits - 1, which maps to 1
    int step_x, int step_y, int cols, int rows,     // point (i, j) of the lattice is sample (i * step_x, j * step_y)
    int has_previous,
    float* lattice,                                 // [rows, cols]; in: the frame before, out: this frame
    float* change)                                  // one value: mean |new - old|, 0 without a frame before
{
    float sum = 0.0f;
    for (int i = threadIdx.x; i < rows * cols; i += blockDim.x) {
        const float now = lattice_sample(plane0, pitch0, i % cols * step_x, i / cols * step_y, sample_bytes, sample_shift, peak);
        sum += has_previous ? fabsf(now - lattice[i]) : 0.0f;
        lattice[i] = now;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        *change = sum / (float)(rows * cols);
    }
}
