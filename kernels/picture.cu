// A decoded surface to the model's input: shrunk, turned upright, converted to R'G'B' and normalised, in one pass over the planes.
#include "portable.cuh"

// The filter taps of one pixel along one axis: samples of the plane, and their integer weights.
//
// With at least as many samples as pixels, each sample is weighted by its overlap with the pixel (area averaging); with fewer, the
// two nearest are interpolated. Outside the plane the edge samples are repeated. libswscale's SWS_AREA, used on the CPU path, does
// the same.
struct Taps {
    int first, last;    // samples, inclusive
    int low, high;      // area: the pixel's edges; a sample is `sample_length` long
    int sample_length;  // 0: interpolate
    int second;         // interpolate: weight of the second sample
    int total;          // of all weights
};

// Taps of `pixel` of `pixels` over an axis of `samples`; `offset` shifts the pixel by eighths of a sample.
HOST_DEVICE inline Taps taps_of(int pixel, int pixels, int samples, int offset) {
    Taps taps = {0, 0, 0, 0, 0, 0, 0};
    const int units = offset == 0 ? 1 : 8;  // so that all weights are integers
    if (samples >= pixels) {
        taps.sample_length = units * pixels;
        taps.total = units * samples;
        taps.low = pixel * taps.total + offset * pixels;
        taps.high = taps.low + taps.total;
        taps.first = greatest(0, taps.low / taps.sample_length);
        taps.last = least((taps.high - 1) / taps.sample_length, samples - 1);
        return taps;
    }
    taps.total = 2 * units * pixels;
    const int centre = units * ((2 * pixel + 1) * samples - pixels) + 2 * offset * pixels;  // from the centre of sample 0
    taps.first = centre < 0 ? 0 : least(centre / taps.total, samples - 1);
    taps.last = centre < 0 ? 0 : least(taps.first + 1, samples - 1);
    taps.second = centre - taps.first * taps.total;
    return taps;
}

HOST_DEVICE inline unsigned int tap_weight(const Taps& taps, int sample) {
    if (taps.sample_length == 0) {
        return taps.first == taps.last ? taps.total : sample == taps.first ? taps.total - taps.second : taps.second;
    }
    // The outermost taps include the area outside the plane.
    return (sample == taps.last ? taps.high : (sample + 1) * taps.sample_length) -
           (sample == taps.first ? taps.low : sample * taps.sample_length);
}

// Weighted mean of a plane's samples. Sums are exact. That of a line fits 32 bits: the weights of its at most 2^14 samples (2^13
// where weights are in eighths, which only subsampled chroma needs) sum to at most 2^16, and samples have 16 bits.
template <typename Sample>
HOST_DEVICE inline float plane_mean(const unsigned char* plane, long long pitch, int step, int shift, const Taps& across,
                                    const Taps& down) {
    unsigned long long sum = 0;
    for (int y = down.first; y <= down.last; ++y) {
        const Sample* line = reinterpret_cast<const Sample*>(plane + y * pitch);
        unsigned int line_sum = 0;
        for (int x = across.first; x <= across.last; ++x) {
            line_sum += tap_weight(across, x) * (unsigned int)(line[x * step] >> shift);
        }
        sum += (unsigned long long)line_sum * tap_weight(down, y);
    }
    return (float)sum / ((float)across.total * (float)down.total);
}

struct Colour {
    float red, green, blue;  // full-range R'G'B', 0..255
};

HOST_DEVICE inline Colour colour_of(float y, float u, float v, const float* to_rgb, int whole_codes) {
    float rgb[3];
    for (int i = 0; i < 3; ++i) {
        const float* row = to_rgb + 4 * i;
        rgb[i] = clamped(row[0] * y + row[1] * u + row[2] * v + row[3], 0.0f, 255.0f);
        rgb[i] = whole_codes ? rintf(rgb[i]) : rgb[i];
    }
    const Colour colour = {rgb[0], rgb[1], rgb[2]};
    return colour;
}

template <typename Sample>
HOST_DEVICE inline Colour picture_pixel(const unsigned char* plane0, const unsigned char* plane1, const unsigned char* plane2,
                                        long long pitch0, long long pitch1, int width, int height, int chroma_shift_x,
                                        int chroma_shift_y, int chroma_offset_x, int chroma_offset_y, int sample_shift,
                                        const float* to_rgb, int shrunk_w, int shrunk_h, int whole_codes, int x, int y) {
    const float luma =
        plane_mean<Sample>(plane0, pitch0, 1, sample_shift, taps_of(x, shrunk_w, width, 0), taps_of(y, shrunk_h, height, 0));
    float u = 0.0f, v = 0.0f;
    if (plane1 != nullptr) {
        const int chroma_w = (width + (1 << chroma_shift_x) - 1) >> chroma_shift_x;
        const int chroma_h = (height + (1 << chroma_shift_y) - 1) >> chroma_shift_y;
        const Taps across = taps_of(x, shrunk_w, chroma_w, chroma_offset_x);
        const Taps down = taps_of(y, shrunk_h, chroma_h, chroma_offset_y);
        const int step = plane2 == nullptr ? 2 : 1;
        const unsigned char* plane_v = plane2 == nullptr ? plane1 + sizeof(Sample) : plane2;
        u = plane_mean<Sample>(plane1, pitch1, step, sample_shift, across, down);
        v = plane_mean<Sample>(plane_v, pitch1, step, sample_shift, across, down);
    }
    return colour_of(luma, u, v, to_rgb, whole_codes);
}

// (code / 255 - mean) / deviation with ImageNet's statistics, in the order of operations of the CPU path.
HOST_DEVICE inline float normalised(float code, float mean, float deviation) {
    return code * (1.0f / (255.0f * deviation)) - mean / deviation;
}

// A thread per pixel of the padded input; pixels outside the content repeat its last column and row.
extern "C" __global__ void picture_to_input(
    const unsigned char* plane0, const unsigned char* plane1,
    const unsigned char* plane2,             // null: plane1 interleaves Cb and Cr (NV12, P010, NV16, NV24); plane1 null: grey
    long long pitch0, long long pitch1,      // bytes; plane1 and plane2 share pitch1
    int width, int height,                   // of the picture as coded, after cropping, in luma samples
    int chroma_shift_x, int chroma_shift_y,  // log2 of the subsampling
    int chroma_offset_x, int chroma_offset_y,  // chroma siting: see SampleLayout
    int sample_bytes, int sample_shift,      // 1 or 2; right shift that reduces a stored sample to its bit depth (P010: 6)
    const float* to_rgb,                     // [12]: rows r, g, b of (y, u, v, offset), from sample values to R'G'B' in 0..255
    int content_w, int content_h, int padded_w, int padded_h, int orientation,  // upright; as in portable.cuh
    int whole_codes,                         // 1: R'G'B' is rounded to whole codes, as on the CPU path
    float* input,                            // [3, padded_h, padded_w]
    float* luma)                             // [content_h, content_w]: BT.709 weights on R'G'B', 0..1
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= padded_w || y >= padded_h) {
        return;
    }
    const int shrunk_w = orientation % 2 == 0 ? content_w : content_h;
    const int shrunk_h = orientation % 2 == 0 ? content_h : content_w;
    int coded_x, coded_y;
    upright_to_coded(orientation, shrunk_w, shrunk_h, least(x, content_w - 1), least(y, content_h - 1), &coded_x, &coded_y);
    const Colour colour =
        sample_bytes == 1
            ? picture_pixel<unsigned char>(plane0, plane1, plane2, pitch0, pitch1, width, height, chroma_shift_x, chroma_shift_y,
                                           chroma_offset_x, chroma_offset_y, sample_shift, to_rgb, shrunk_w, shrunk_h, whole_codes,
                                           coded_x, coded_y)
            : picture_pixel<unsigned short>(plane0, plane1, plane2, pitch0, pitch1, width, height, chroma_shift_x, chroma_shift_y,
                                            chroma_offset_x, chroma_offset_y, sample_shift, to_rgb, shrunk_w, shrunk_h, whole_codes,
                                            coded_x, coded_y);
    const long long plane = (long long)padded_w * padded_h, at = (long long)y * padded_w + x;
    input[at] = normalised(colour.red, 0.485f, 0.229f);
    input[plane + at] = normalised(colour.green, 0.456f, 0.224f);
    input[2 * plane + at] = normalised(colour.blue, 0.406f, 0.225f);
    if (x < content_w && y < content_h) {
        luma[(long long)y * content_w + x] =
            (0.2126f / 255.0f) * colour.red + (0.7152f / 255.0f) * colour.green + (0.0722f / 255.0f) * colour.blue;
    }
}
