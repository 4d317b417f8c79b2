// NVDEC's library. It decodes nothing: a picture comes from a file of pictures that pictures.py wrote with libavcodec, found by the
// time stamp of its packet. It is replaced by noise where the packets that the picture refers to were not sent before it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "ffnvcodec/dynlink_cuda.h"
#include "ffnvcodec/dynlink_nvcuvid.h"

extern "C" int standin_current_gpu(void);
extern "C" void standin_count_caps(void);
extern "C" int standin_is_empty(void);

namespace {

// The head of the file of pictures; then `count` entries; then the pictures: luma lines, then lines of interleaved Cb and Cr.
struct Head {
    int64_t width, height, coded_width, coded_height, bits, count;
};
struct Entry {
    int64_t pts;
    int64_t place;  // in decode order
    int64_t needs;  // the first place of the packets that must be sent without a gap up to this one
    int64_t is_leading;  // 1: no later picture needs it, so that a decoder which begins at its key frame may go without it
};

struct Pictures {
    Head head;
    std::vector<Entry> entries;
    std::unordered_map<int64_t, long> by_pts;
    std::vector<unsigned char> samples;

    size_t line() const { return static_cast<size_t>(head.width * (head.bits > 8 ? 2 : 1)); }
    size_t chroma_lines() const { return static_cast<size_t>((head.height + 1) / 2); }
    size_t chroma_line() const { return static_cast<size_t>((head.width + 1) / 2 * 2 * (head.bits > 8 ? 2 : 1)); }
    size_t bytes() const { return line() * static_cast<size_t>(head.height) + chroma_line() * chroma_lines(); }
};

std::mutex lock;
std::vector<std::shared_ptr<Pictures>> all_pictures;  // by number; those of the current clip are the last
constexpr int SLOTS = 20, DELAY = 6;
constexpr CUresult INVALID_VALUE = static_cast<CUresult>(1);  // cuda.h

// Laid out like NVDEC's frames: chroma begins after the coded height. `index` -1 is noise. Never freed, since copies may be late.
unsigned char* mapped(const std::shared_ptr<Pictures>& from, long index, unsigned* pitch) {
    static std::map<std::pair<Pictures*, long>, std::vector<unsigned char>> made;
    static std::vector<std::shared_ptr<Pictures>> kept;
    const std::lock_guard<std::mutex> guard(lock);
    *pitch = static_cast<unsigned>((from->chroma_line() + 511) / 512 * 512);
    if (standin_is_empty()) {
        index = -1;  // it will not be read
    }
    auto& memory = made[{from.get(), index}];
    if (!memory.empty()) {
        return memory.data();
    }
    kept.push_back(from);
    const size_t luma_lines = static_cast<size_t>(from->head.coded_height);
    memory.assign(*pitch * (luma_lines + luma_lines / 2 + 1), 0x77);
    if (index >= 0) {
        const unsigned char* source = from->samples.data() + static_cast<size_t>(index) * from->bytes();
        for (size_t y = 0; y < static_cast<size_t>(from->head.height); ++y, source += from->line()) {
            memcpy(&memory[y * *pitch], source, from->line());
        }
        for (size_t y = 0; y < from->chroma_lines(); ++y, source += from->chroma_line()) {
            memcpy(&memory[(luma_lines + y) * *pitch], source, from->chroma_line());
        }
    }
    return memory.data();
}

struct Parser {
    CUVIDPARSERPARAMS given;
    std::shared_ptr<Pictures> pictures;  // of the clip since the last start
    unsigned number = 0;
    bool started = false;
    int64_t first_place = 0, next_place = -1;
    long sent = 0;
    std::vector<std::pair<int64_t, int>> waiting;  // time stamp and slot of pictures that are not shown yet
};

struct Decoder {
    struct {
        unsigned number;
        long index;  // -1 is noise
    } slots[SLOTS];
};

void show_first(Parser* parser) {
    size_t least = 0;
    for (size_t i = 1; i < parser->waiting.size(); ++i) {
        least = parser->waiting[i].first < parser->waiting[least].first ? i : least;
    }
    CUVIDPARSERDISPINFO shown;
    memset(&shown, 0, sizeof shown);
    shown.timestamp = parser->waiting[least].first;
    shown.picture_index = parser->waiting[least].second;
    shown.progressive_frame = 1;
    parser->waiting.erase(parser->waiting.begin() + static_cast<long>(least));
    parser->given.pfnDisplayPicture(parser->given.pUserData, &shown);
}

bool begins_with_start_code(const unsigned char* data, size_t size) {
    return size > 4 && data[0] == 0 && data[1] == 0 && (data[2] == 1 || (data[2] == 0 && data[3] == 1));
}

bool start(Parser* parser, const CUVIDSOURCEDATAPACKET* packet) {
    const bool has_nal_units = parser->given.CodecType == cudaVideoCodec_H264 || parser->given.CodecType == cudaVideoCodec_HEVC;
    if (has_nal_units && !begins_with_start_code(packet->payload, packet->payload_size)) {
        fprintf(stderr, "stand-in NVDEC: a packet without a start code\n");
        return false;
    }
    {
        const std::lock_guard<std::mutex> guard(lock);
        if (all_pictures.empty()) {
            fprintf(stderr, "stand-in NVDEC: has no pictures\n");
            return false;
        }
        parser->number = static_cast<unsigned>(all_pictures.size()) - 1;
        parser->pictures = all_pictures.back();
    }
    const Head& head = parser->pictures->head;
    CUVIDEOFORMAT format;
    memset(&format, 0, sizeof format);
    format.codec = parser->given.CodecType;
    format.frame_rate.numerator = 24;
    format.frame_rate.denominator = 1;
    format.progressive_sequence = 1;
    format.bit_depth_luma_minus8 = format.bit_depth_chroma_minus8 = static_cast<unsigned char>(head.bits - 8);
    format.min_num_decode_surfaces = SLOTS;
    format.coded_width = static_cast<unsigned>(head.coded_width);
    format.coded_height = static_cast<unsigned>(head.coded_height);
    format.display_area.right = static_cast<int>(head.width);
    format.display_area.bottom = static_cast<int>(head.height);
    format.chroma_format = cudaVideoChromaFormat_420;
    return parser->given.pfnSequenceCallback(parser->given.pUserData, &format) > 0;
}

}  // namespace

extern "C" {

// Read the pictures of the clip that parsers decode that start, or start again after the end of a stream, from now on. Returns 0, or 1 if the file cannot be read.
int standin_pictures(const char* path) {
    FILE* file = fopen(path, "rb");
    auto read = std::make_shared<Pictures>();
    if (file == nullptr || fread(&read->head, sizeof(Head), 1, file) != 1) {
        return 1;
    }
    const size_t count = static_cast<size_t>(read->head.count);
    read->entries.resize(count);
    read->samples.resize(count * read->bytes());
    const bool whole = fread(read->entries.data(), sizeof(Entry), count, file) == count &&
                       fread(read->samples.data(), 1, read->samples.size(), file) == read->samples.size();
    fclose(file);
    for (size_t i = 0; i < count; ++i) {
        read->by_pts[read->entries[i].pts] = static_cast<long>(i);
    }
    const std::lock_guard<std::mutex> guard(lock);
    all_pictures.push_back(read);
    return whole ? 0 : 1;
}

CUresult cuvidCreateVideoParser(CUvideoparser* made, CUVIDPARSERPARAMS* given) {
    auto* parser = new Parser;
    parser->given = *given;
    *made = reinterpret_cast<CUvideoparser>(parser);
    return CUDA_SUCCESS;
}

CUresult cuvidParseVideoData(CUvideoparser handle, CUVIDSOURCEDATAPACKET* packet) {
    auto* parser = reinterpret_cast<Parser*>(handle);
    if (packet->payload_size > 0) {
        if (!parser->started && !(parser->started = start(parser, packet))) {
            return INVALID_VALUE;
        }
        const auto found = parser->pictures->by_pts.find(packet->timestamp);
        if (found == parser->pictures->by_pts.end()) {
            fprintf(stderr, "stand-in NVDEC: no picture has the time stamp %lld\n", packet->timestamp);
            return INVALID_VALUE;
        }
        const long index = found->second;
        const Entry& entry = parser->pictures->entries[static_cast<size_t>(index)];
        const auto& all = parser->pictures->entries;
        while (parser->next_place >= 0 && parser->next_place < entry.place && all[static_cast<size_t>(parser->next_place)].is_leading) {
            ++parser->next_place;
        }
        if (entry.place != parser->next_place) {
            parser->first_place = entry.place;
        }
        parser->next_place = entry.place + 1;
        CUVIDPICPARAMS picture;
        memset(&picture, 0, sizeof picture);
        picture.CurrPicIdx = static_cast<int>(parser->sent++ % SLOTS);
        // Read by cuvidDecodePicture below; the real fields are NVDEC's own matter.
        picture.CodecSpecific.CodecReserved[0] = entry.needs >= parser->first_place ? static_cast<unsigned>(index) + 1 : 0;
        picture.CodecSpecific.CodecReserved[1] = parser->number;
        parser->given.pfnDecodePicture(parser->given.pUserData, &picture);
        parser->waiting.emplace_back(packet->timestamp, picture.CurrPicIdx);
        while (parser->waiting.size() > DELAY) {
            show_first(parser);
        }
    }
    if (packet->flags & CUVID_PKT_ENDOFSTREAM) {
        while (!parser->waiting.empty()) {
            show_first(parser);
        }
        parser->next_place = -1;
        parser->started = false;
    }
    return CUDA_SUCCESS;
}

CUresult cuvidDestroyVideoParser(CUvideoparser handle) { return delete reinterpret_cast<Parser*>(handle), CUDA_SUCCESS; }

// GPU_STANDIN_NVDEC_ABORTS makes a GPU that does not work. Of the first GPU: H.264 8 bit, HEVC and VP9 8 and 10 bit, 4:2:0. The others lack HEVC, so that their answers can be told apart.
CUresult cuvidGetDecoderCaps(CUVIDDECODECAPS* caps) {
    standin_count_caps();
    if (getenv("GPU_STANDIN_NVDEC_ABORTS") != nullptr) {
        abort();
    }
    const int gpu = standin_current_gpu();
    const bool is_known = caps->eCodecType == cudaVideoCodec_H264 ? caps->nBitDepthMinus8 == 0
                          : caps->eCodecType == cudaVideoCodec_HEVC ? gpu == 0 && caps->nBitDepthMinus8 <= 2
                                                                    : caps->eCodecType == cudaVideoCodec_VP9;
    caps->bIsSupported = is_known && caps->eChromaFormat == cudaVideoChromaFormat_420;
    caps->nNumNVDECs = static_cast<unsigned char>(gpu == 0 ? 3 : 1);
    caps->nMaxWidth = caps->nMaxHeight = 8192;
    caps->nMaxMBCount = 262144;
    caps->nMinWidth = 48;
    caps->nMinHeight = 16;
    caps->nOutputFormatMask = static_cast<unsigned short>(caps->nBitDepthMinus8 ? 2 : 1);
    return CUDA_SUCCESS;
}

CUresult cuvidCreateDecoder(CUvideodecoder* made, CUVIDDECODECREATEINFO*) {
    return *made = reinterpret_cast<CUvideodecoder>(new Decoder), CUDA_SUCCESS;
}
CUresult cuvidDestroyDecoder(CUvideodecoder handle) { return delete reinterpret_cast<Decoder*>(handle), CUDA_SUCCESS; }
CUresult cuvidReconfigureDecoder(CUvideodecoder, CUVIDRECONFIGUREDECODERINFO*) { return CUDA_SUCCESS; }
CUresult cuvidDecodePicture(CUvideodecoder handle, CUVIDPICPARAMS* picture) {
    const unsigned* given = picture->CodecSpecific.CodecReserved;
    reinterpret_cast<Decoder*>(handle)->slots[picture->CurrPicIdx] = {given[1], static_cast<long>(given[0]) - 1};
    return CUDA_SUCCESS;
}
CUresult cuvidMapVideoFrame64(CUvideodecoder handle, int slot, unsigned long long* address, unsigned* pitch, CUVIDPROCPARAMS*) {
    const auto& held = reinterpret_cast<Decoder*>(handle)->slots[slot];
    std::shared_ptr<Pictures> from;
    {
        const std::lock_guard<std::mutex> guard(lock);
        from = all_pictures[held.number];
    }
    *address = reinterpret_cast<unsigned long long>(mapped(from, held.index, pitch));
    return CUDA_SUCCESS;
}
CUresult cuvidUnmapVideoFrame64(CUvideodecoder, unsigned long long) { return CUDA_SUCCESS; }
CUresult cuvidGetDecodeStatus(CUvideodecoder, int, CUVIDGETDECODESTATUS* status) {
    return status->decodeStatus = cuvidDecodeStatus_Success, CUDA_SUCCESS;
}
CUresult cuvidCtxLockCreate(CUvideoctxlock* made, CUcontext) { return *made = reinterpret_cast<CUvideoctxlock>(malloc(1)), CUDA_SUCCESS; }
CUresult cuvidCtxLockDestroy(CUvideoctxlock old) { return free(old), CUDA_SUCCESS; }
CUresult cuvidCtxLock(CUvideoctxlock, unsigned) { return CUDA_SUCCESS; }
CUresult cuvidCtxUnlock(CUvideoctxlock, unsigned) { return CUDA_SUCCESS; }

// Looked up when PyNvVideoCodec is imported, and never called.
#define UNUSED(name) \
    int name(void) { return 999; }
UNUSED(cuvidCreateVideoSource)
UNUSED(cuvidCreateVideoSourceW)
UNUSED(cuvidDestroyVideoSource)
UNUSED(cuvidSetVideoSourceState)
UNUSED(cuvidGetVideoSourceState)
UNUSED(cuvidGetSourceVideoFormat)
UNUSED(cuvidGetSourceAudioFormat)

}  // extern "C"
