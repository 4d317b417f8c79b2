// Maps of the upright, shrunk picture to codes of the 16x16 blocks of the coded frame.
#include "portable.cuh"

#define BLOCK_SIZE 16

// Along one axis: the interval of a block inside the frame, and the map's cells that overlap it. Weights are integers: lengths in
// units of 1 / cells of a coded pixel.
struct Reach {
    int low, high;    // edges of the interval
    int first, last;  // cells, inclusive
    int length;       // of the frame in coded pixels, which is the length of a cell in these units
};

HOST_DEVICE inline Reach reach_of(int block, int cells, int length) {
    Reach reach;
    reach.low = block * BLOCK_SIZE * cells;
    reach.high = least((block + 1) * BLOCK_SIZE, length) * cells;
    reach.first = reach.low / length;
    reach.last = (reach.high - 1) / length;
    reach.length = length;
    return reach;
}

HOST_DEVICE inline int cell_weight(const Reach& reach, int cell) {
    return least(reach.high, (cell + 1) * reach.length) - greatest(reach.low, cell * reach.length);
}

// Mean over a block of `value(x, y)`, a map of the upright picture that has `map_w` x `map_h` cells in the coded orientation.
template <typename Value>
HOST_DEVICE inline float block_mean(const Value& value, int row, int col, int map_w, int map_h, int orientation, int width,
                                    int height) {
    const Reach across = reach_of(col, map_w, width), down = reach_of(row, map_h, height);
    double sum = 0.0;
    for (int cell_y = down.first; cell_y <= down.last; ++cell_y) {
        double line_sum = 0.0;
        for (int cell_x = across.first; cell_x <= across.last; ++cell_x) {
            int x, y;
            coded_to_upright(orientation, map_w, map_h, cell_x, cell_y, &x, &y);
            line_sum += (double)cell_weight(across, cell_x) * (double)value(x, y);
        }
        sum += (double)cell_weight(down, cell_y) * line_sum;
    }
    return (float)(sum / ((double)(across.high - across.low) * (double)(down.high - down.low)));
}

// The model's output clipped to 0..1; sets `breach` where a value leaves 0..1 by more than the tolerance, or is no number.
struct SaliencyValue {
    const float* map;
    int pitch;
    float tolerance;
    int* breach;
    HOST_DEVICE float operator()(int x, int y) const {
        const float value = map[(long long)y * pitch + x];
        if (!(value >= -tolerance && value <= 1.0f + tolerance)) {
            *breach = 1;  // a benign race: all threads write the same value
        }
        return clamped(value, 0.0f, 1.0f);
    }
};

// Mix of gradient and change, as in activity.py; without a previous picture the change equals the gradient.
struct ActivityValue {
    const float* luma;
    const float* previous;  // or null
    int width, height;
    float temporal_weight;
    HOST_DEVICE float operator()(int x, int y) const {
        const long long at = (long long)y * width + x;
        const float here = luma[at];
        const float across = x + 1 < width ? fabsf(luma[at + 1] - here) : 0.0f;
        const float down = y + 1 < height ? fabsf(luma[at + width] - here) : 0.0f;
        const float gradient = across + down;
        const float change = previous == nullptr ? gradient : fabsf(here - previous[at]);
        return (1.0f - temporal_weight) * gradient + temporal_weight * change + (float)(1.0 / 255.0);
    }
};

HOST_DEVICE inline unsigned char saliency_code(float value) { return (unsigned char)clamped(rintf(value * 255.0f), 0.0f, 255.0f); }

HOST_DEVICE inline unsigned char gaze_code(float value) { return saliency_code(sqrtf(value)); }

HOST_DEVICE inline unsigned char activity_code(float value, float steps) {
    const float codes = value * 255.0f;
    return (unsigned char)clamped(rintf(steps * log2f(codes > 1.0f ? codes : 1.0f)), 0.0f, 255.0f);
}

// A thread per block of a sample.
extern "C" __global__ void saliency_blocks(
    const float* maps,                                                            // [n, padded_h, padded_w], the model's output
    int n, int content_w, int content_h, int padded_w, int padded_h, int orientation,  // upright; as in picture_to_input
    int width, int height, int rows, int cols,                                    // the coded frame and its grid of blocks
    float tolerance, int* breach,                                                 // set to 1 where a value leaves 0..1 by more
    int square_root,                                                              // 1: codes of the square root, for gaze
    unsigned char* out)                                                           // [n, rows, cols]
{
    const int map_w = orientation % 2 == 0 ? content_w : content_h;
    const int map_h = orientation % 2 == 0 ? content_h : content_w;
    FOR_EACH(i, (long long)n * rows * cols) {
        const int col = (int)(i % cols), row = (int)(i / cols % rows);
        const float* map = maps + i / cols / rows * padded_w * padded_h;
        const SaliencyValue value = {map, padded_w, tolerance, breach};
        const float mean = block_mean(value, row, col, map_w, map_h, orientation, width, height);
        out[i] = square_root != 0 ? gaze_code(mean) : saliency_code(mean);
    }
}

// A thread per block of a sample.
extern "C" __global__ void activity_blocks(
    const float* luma,       // [n, content_h, content_w], upright
    const float* previous,   // [content_h, content_w], of the sample before the first; null: there is none
    int n, int content_w, int content_h, int orientation, int width, int height, int rows, int cols,  // as in saliency_blocks
    float temporal_weight,   // share of the change in the mix
    float steps,             // codes per doubling
    unsigned char* out)      // [n, rows, cols]
{
    const int map_w = orientation % 2 == 0 ? content_w : content_h;
    const int map_h = orientation % 2 == 0 ? content_h : content_w;
    FOR_EACH(i, (long long)n * rows * cols) {
        const int col = (int)(i % cols), row = (int)(i / cols % rows);
        const long long sample = i / cols / rows, pixels = (long long)content_w * content_h;
        const float* before = sample == 0 ? previous : luma + (sample - 1) * pixels;
        const ActivityValue value = {luma + sample * pixels, before, content_w, content_h, temporal_weight};
        out[i] = activity_code(block_mean(value, row, col, map_w, map_h, orientation, width, height), steps);
    }
}
