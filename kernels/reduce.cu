// Reduces the maps of each segment to one, block by block, in the order of the samples, with the arithmetic of aggregate.py and
// reduce.py.
#include "portable.cuh"

#define MODE_MEAN 0
#define MODE_EMA 1
#define MODE_MAX 2
#define MODE_MOTION_WEIGHTED 3

HOST_DEVICE inline double sample_weight(int mode, const float* motion, int sample, int start, double motion_floor) {
    if (mode != MODE_MOTION_WEIGHTED) {
        return 1.0;
    }
    // The first sample of a segment has no predecessor and takes the motion of the second.
    const double weight = (double)motion[sample == start ? sample + 1 : sample];
    return weight > motion_floor ? weight : motion_floor;
}

// Reduces one block over one segment, samples start..end - 1; `codes` points at the block in sample 0.
HOST_DEVICE inline float reduced_saliency(const unsigned char* codes, int cells, const float* decoded, const float* motion, int start,
                                          int end, int mode, double alpha, double motion_floor) {
    double sum = 0.0, total = 0.0;
    for (int sample = start; sample < end; ++sample) {
        const float value = decoded[codes[(long long)sample * cells]];
        if (sample == start && (end - start == 1 || mode == MODE_EMA || mode == MODE_MAX)) {
            sum = (double)value;
            total = 1.0;
        } else if (mode == MODE_EMA) {
            sum = alpha * (double)value + (1.0 - alpha) * sum;
        } else if (mode == MODE_MAX) {
            sum = (double)value > sum ? (double)value : sum;
        } else {
            const double weight = sample_weight(mode, motion, sample, start, motion_floor);
            sum += (double)((float)weight * value);  // numpy multiplies a float32 map by a Python float in float32
            total += weight;
        }
    }
    return (float)(sum / total);
}

// A thread per block of a segment.
extern "C" __global__ void reduce_saliency(
    const unsigned char* codes,  // [samples, cells], of saliency or of gaze
    const float* decoded,        // [256]: the value of each code, 0..1
    const float* motion,         // [samples], within scenes
    const int* starts,           // [segments + 1]: first sample of each segment, and the number of samples
    int segments, int cells,
    int mode,                    // 0 mean, 1 ema, 2 max, 3 motion-weighted
    double alpha,                // ema: weight of the current sample
    double motion_floor,         // motion-weighted: least weight
    float* out)                  // [segments, cells]
{
    FOR_EACH(i, (long long)segments * cells) {
        const int segment = (int)(i / cells), cell = (int)(i % cells);
        out[i] = reduced_saliency(codes + cell, cells, decoded, motion, starts[segment], starts[segment + 1], mode, alpha, motion_floor);
    }
}

// Mean activity of one block over the samples of one segment that count, or of its first sample where none counts. Summed in
// float32, as numpy sums float32 maps.
HOST_DEVICE inline float reduced_activity(const unsigned char* codes, int cells, const unsigned char* counts, const float* decoded,
                                        int start, int end) {
    float sum = 0.0f;
    int number = 0;
    for (int sample = start; sample < end; ++sample) {
        if (counts[sample]) {
            sum += decoded[codes[(long long)sample * cells]];
            ++number;
        }
    }
    return number == 0 ? decoded[codes[(long long)start * cells]] : sum / (float)number;
}

// A thread per block of a segment.
extern "C" __global__ void reduce_activity(
    const unsigned char* activity,  // [samples, cells]
    const unsigned char* counts,  // [samples]: 0 for the first sample of a scene, whose change is the cut
    const int* starts, int segments, int cells,  // as in reduce_saliency
    const float* decoded,         // [256]: the activity of each code
    float* out)                   // [segments, cells]
{
    FOR_EACH(i, (long long)segments * cells) {
        const int segment = (int)(i / cells), cell = (int)(i % cells);
        out[i] = reduced_activity(activity + cell, cells, counts, decoded, starts[segment], starts[segment + 1]);
    }
}
