#include "schedule.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <dlfcn.h>

struct Stream {
    std::deque<std::function<void()>> work;
    uint64_t queued = 0, done = 0;
    int device = 0;
};

__attribute__((visibility("default"))) Counts standin_counts;

namespace {

std::recursive_mutex lock;  // held while work runs: one kernel or copy at a time
std::vector<std::unique_ptr<Stream>> streams;  // never freed, because events refer to them
Stream* default_stream = nullptr;
Schedule current = Schedule::eager;
std::mt19937 dice;
std::map<const char*, size_t> pinned;
std::map<void*, size_t> blocks;
size_t in_use = 0, limit = size_t(64) << 30;
std::string failing_kernel;
long failing_after = 0;

// Holds the lock, and meanwhile not Python's: queued work may be Python's (an inference), and another thread may wait for either lock.
class Guard {
  public:
    explicit Guard(std::recursive_mutex&) {
        static const auto holds = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "PyGILState_Check"));
        static const auto save = reinterpret_cast<void* (*)()>(dlsym(RTLD_DEFAULT, "PyEval_SaveThread"));
        state = holds != nullptr && holds() ? save() : nullptr;
        lock.lock();
    }
    ~Guard() {
        static const auto restore = reinterpret_cast<void (*)(void*)>(dlsym(RTLD_DEFAULT, "PyEval_RestoreThread"));
        lock.unlock();
        if (state != nullptr) {
            restore(state);
        }
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

  private:
    void* state;
};

void run_until(Stream* stream, uint64_t position) {
    while (stream->done < position) {
        const std::function<void()> work = std::move(stream->work.front());
        stream->work.pop_front();
        work();
        ++stream->done;
    }
}

void let_run(Stream* queued_on) {
    if (current == Schedule::eager) {
        run_until(queued_on, queued_on->queued);
    } else if (current == Schedule::random) {
        Stream* drawn = streams[dice() % streams.size()].get();
        run_until(drawn, drawn->done + dice() % (drawn->queued - drawn->done + 1));
    }
}

constexpr int FRESH = 0x5A, FREED = 0xE5;

}  // namespace

extern "C" {

// 0 eager, 1 late, 2 random with this seed, 3 empty
void standin_schedule(int which, unsigned seed) {
    const Guard guard(lock);
    finish_all();
    current = static_cast<Schedule>(which);
    dice.seed(seed);
}

// Queue a call of `work(number)`.
void standin_queue(void* stream, void (*work)(long), long number) {
    queue(stream_of(stream), [work, number] { work(number); });
}

int standin_is_empty(void) { return current == Schedule::empty; }

void standin_limit(size_t bytes) { limit = bytes; }
size_t standin_allocated(void) { return allocated_bytes(); }

// The launch number `after` (from 1) of that kernel fails, once.
void standin_fail(const char* kernel, long after) {
    const Guard guard(lock);
    failing_kernel = kernel;
    failing_after = after;
}
}

Schedule schedule() { return current; }

Stream* stream_of(void* handle) {
    if (reinterpret_cast<uintptr_t>(handle) > 2) {
        return static_cast<Stream*>(handle);
    }
    const Guard guard(lock);
    return default_stream != nullptr ? default_stream : default_stream = new_stream(0);
}

Stream* new_stream(int device) {
    const Guard guard(lock);
    streams.push_back(std::make_unique<Stream>());
    streams.back()->device = device;
    return streams.back().get();
}

int device_of(const Stream* stream) { return stream->device; }

void queue(Stream* stream, std::function<void()> work) {
    if (current == Schedule::empty) {
        return;
    }
    const Guard guard(lock);
    stream->work.push_back(std::move(work));
    ++stream->queued;
    let_run(stream);
}

void record(Stream* stream, Event* event) {
    ++standin_counts.records;
    if (current == Schedule::empty) {
        return;
    }
    const Guard guard(lock);
    event->stream = stream;
    event->position = stream->queued + 1;
    queue(stream, [event] {
        event->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    });
}

void wait_for(Stream* stream, const Event* event) {
    ++standin_counts.stream_waits;
    if (current == Schedule::empty || event->stream == nullptr) {
        return;
    }
    Stream* other = event->stream;
    const uint64_t position = event->position;
    queue(stream, [other, position] { run_until(other, position); });
}

void finish(Stream* stream) {
    const Guard guard(lock);
    run_until(stream, stream->queued);
}

void finish(const Event* event) {
    const Guard guard(lock);
    if (event->stream != nullptr) {
        run_until(event->stream, event->position);
    }
}

void finish_all() {
    const Guard guard(lock);
    for (size_t i = 0; i < streams.size(); ++i) {
        finish(streams[i].get());
    }
}

bool is_done(Stream* stream) {
    const Guard guard(lock);
    return stream->done == stream->queued;
}

bool is_done(const Event* event) {
    const Guard guard(lock);
    return event->stream == nullptr || event->stream->done >= event->position;
}

void* allocate(size_t bytes) {
    const Guard guard(lock);
    ++standin_counts.allocations;
    void* memory = nullptr;
    if (in_use + bytes > limit || posix_memalign(&memory, 512, bytes ? bytes : 1) != 0) {
        return nullptr;
    }
    memset(memory, FRESH, bytes);
    blocks[memory] = bytes;
    in_use += bytes;
    return memory;
}

void release(void* memory) {
    const Guard guard(lock);
    const auto found = blocks.find(memory);
    if (found == blocks.end()) {
        if (memory != nullptr) {
            fprintf(stderr, "stand-in driver: memory %p was freed that is not allocated\n", memory);
            abort();
        }
        return;
    }
    memset(memory, FREED, found->second);
    in_use -= found->second;
    blocks.erase(found);
    free(memory);
}

size_t allocated_bytes() {
    const Guard guard(lock);
    return in_use;
}

size_t memory_limit() { return limit; }

void add_pinned(void* memory, size_t bytes) {
    const Guard guard(lock);
    pinned[static_cast<char*>(memory)] = bytes;
}

void remove_pinned(void* memory) {
    const Guard guard(lock);
    pinned.erase(static_cast<char*>(memory));
}

bool is_pinned(const void* memory) {
    const Guard guard(lock);
    const char* at = static_cast<const char*>(memory);
    auto after = pinned.upper_bound(at);
    return after != pinned.begin() && (--after, at < after->first + after->second);
}

static bool is_device(const void* memory) {
    const Guard guard(lock);
    auto after = blocks.upper_bound(const_cast<void*>(memory));
    return after != blocks.begin() && (--after, memory < static_cast<char*>(after->first) + after->second);
}

void copy_async(void* to, const void* from, size_t bytes, Stream* stream) {
    ++standin_counts.copies;
    standin_counts.copied_bytes += static_cast<long>(bytes);
    if (current == Schedule::empty) {
        return;
    }
    const auto reachable = [](const void* memory) { return is_device(memory) || is_pinned(memory); };
    if (!reachable(from)) {
        // From pageable memory: the driver has its own copy before it returns.
        auto staged = std::make_shared<std::vector<char>>(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
        queue(stream, [to, staged] { memcpy(to, staged->data(), staged->size()); });
        return;
    }
    queue(stream, [to, from, bytes] { memcpy(to, from, bytes); });
    if (!reachable(to)) {
        finish(stream);
    }
}

// ---- kernels

namespace {

using Launch = int (*)(const char*, const unsigned*, const unsigned*, void**, size_t);
using Sizes = int (*)(const char*, size_t*, size_t);
Launch shim_launch = nullptr;
Sizes shim_sizes = nullptr;

// CuPy's CArray of one dimension; with more the lengths of all dimensions follow the number of elements, and then the strides.
struct Array {
    char* data;
    int64_t size, length, stride;
};

// A kernel of CuPy: reads its arguments at the launch and returns the work.
using Prepare = std::function<void()> (*)(void** arguments);

struct Kernel {
    std::string name;
    std::vector<size_t> sizes;
    Prepare prepare = nullptr;
};

const Array& array(void* argument) { return *static_cast<const Array*>(argument); }

// `cupy_copy__FROM_TO` of contiguous arrays of one type.
template <size_t item>
std::function<void()> copy_array(void** arguments) {
    char* to = array(arguments[1]).data;
    const char* from = array(arguments[0]).data;
    const size_t bytes = static_cast<size_t>(array(arguments[0]).size) * item;
    return [to, from, bytes] { memcpy(to, from, bytes); };
}

// `cupy_min` and `cupy_max` of a contiguous array of float32.
template <bool least>
std::function<void()> reduce_array(void** arguments) {
    char* to = array(arguments[1]).data;
    const float* from = reinterpret_cast<float*>(array(arguments[0]).data);
    const int64_t size = array(arguments[0]).size;
    return [to, from, size] {
        float found = from[0];
        for (int64_t i = 1; i < size; ++i) {
            found = from[i] != from[i] || (least ? from[i] < found : from[i] > found) ? from[i] : found;
        }
        memcpy(to, &found, sizeof found);
    };
}

// `cupy_concatenate_same_size(addresses, elements of each, y)` along the first axis.
std::function<void()> join_equal_arrays(void** arguments) {
    const Array from = array(arguments[0]), to = array(arguments[2]);
    const int64_t bytes = *static_cast<int64_t*>(arguments[1]) * to.stride;
    return [from, to, bytes] {
        for (int64_t i = 0; i < from.size; ++i) {
            memcpy(to.data + i * bytes, reinterpret_cast<char**>(from.data)[i], static_cast<size_t>(bytes));
        }
    };
}

// `cupy_concatenate(addresses, axis, where each begins, strides of all, y)` of contiguous arrays along the first axis.
std::function<void()> join_arrays(void** arguments) {
    struct Strides {
        char* data;
        int64_t size, arrays, dimensions;
    };
    const Array from = array(arguments[0]), begins = array(arguments[2]);
    const int64_t dimensions = static_cast<Strides*>(arguments[3])->dimensions;
    const int64_t* to = static_cast<int64_t*>(arguments[4]);  // data, size, lengths, strides
    char* data = *static_cast<char**>(arguments[4]);
    const int64_t length = to[2], stride = to[2 + dimensions];
    if (*static_cast<int*>(arguments[1]) != 0) {
        fprintf(stderr, "stand-in driver: joins arrays along the first axis only\n");
        abort();
    }
    return [from, begins, data, length, stride] {
        const int64_t* begin = reinterpret_cast<int64_t*>(begins.data);
        for (int64_t i = 0; i < from.size; ++i) {
            const int64_t end = i + 1 < from.size ? begin[i + 1] : length;
            const size_t bytes = static_cast<size_t>((end - begin[i]) * stride);
            memcpy(data + begin[i] * stride, reinterpret_cast<char**>(from.data)[i], bytes);
        }
    };
}

Prepare cupy_kernel(const std::string& name) {
    static const std::map<std::string, Prepare> known = {
        {"cupy_copy__uint8_uint8", copy_array<1>},     {"cupy_copy__float32_float32", copy_array<4>},
        {"cupy_copy__int32_int32", copy_array<4>},     {"cupy_min", reduce_array<true>},
        {"cupy_max", reduce_array<false>},             {"cupy_concatenate", join_arrays},
        {"cupy_concatenate_same_size", join_equal_arrays},
    };
    const auto found = known.find(name);
    return found == known.end() ? nullptr : found->second;
}

std::map<std::string, std::unique_ptr<Kernel>> kernels;

void load_shim() {
    if (shim_launch != nullptr) {
        return;
    }
    const char* path = getenv("GPU_STANDIN_KERNELS");
    void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        fprintf(stderr, "stand-in driver: no kernels at GPU_STANDIN_KERNELS: %s\n", path ? dlerror() : "not set");
        abort();
    }
    shim_launch = reinterpret_cast<Launch>(dlsym(library, "launch"));
    shim_sizes = reinterpret_cast<Sizes>(dlsym(library, "argument_sizes"));
}

}  // namespace

void* find_kernel(const char* name) {
    const Guard guard(lock);
    load_shim();
    auto& kernel = kernels[name];
    if (kernel != nullptr) {
        return kernel.get();
    }
    Kernel made;
    made.name = name;
    size_t sizes[64];
    const int count = shim_sizes(name, sizes, 64);
    if (count >= 0) {
        made.sizes.assign(sizes, sizes + count);
    } else if ((made.prepare = cupy_kernel(name)) == nullptr) {
        fprintf(stderr, "stand-in driver: has no kernel %s\n", name);
        kernels.erase(name);
        return nullptr;
    }
    kernel = std::make_unique<Kernel>(std::move(made));
    return kernel.get();
}

int launch_kernel(void* function, const unsigned* grid, const unsigned* block, void** arguments, Stream* stream) {
    ++standin_counts.launches;
    if (current == Schedule::empty) {
        return 0;
    }
    const Guard guard(lock);
    const Kernel* kernel = static_cast<Kernel*>(function);
    if (failing_after > 0 && kernel->name == failing_kernel && --failing_after == 0) {
        return 719;
    }
    if (kernel->prepare != nullptr) {
        queue(stream, kernel->prepare(arguments));
        return 0;
    }
    // As on a GPU, the values are those of the moment of the launch.
    auto values = std::make_shared<std::vector<std::vector<char>>>();
    for (size_t i = 0; i < kernel->sizes.size(); ++i) {
        const char* value = static_cast<char*>(arguments[i]);
        values->emplace_back(value, value + kernel->sizes[i]);
    }
    struct Shape {
        unsigned grid[2], block[2];
    };
    const Shape shape = {{grid[0], grid[1]}, {block[0], block[1]}};
    queue(stream, [kernel, values, shape] {
        std::vector<void*> pointers;
        for (auto& value : *values) {
            pointers.push_back(value.data());
        }
        if (shim_launch(kernel->name.c_str(), shape.grid, shape.block, pointers.data(), pointers.size()) != 0) {
            fprintf(stderr, "stand-in driver: %s does not run\n", kernel->name.c_str());
            abort();
        }
    });
    return 0;
}

// ---- devices: GPU_STANDIN_GPUS of them (default 2), of which CUDA_VISIBLE_DEVICES may name some

static std::vector<int> visible() {
    const char* all = getenv("GPU_STANDIN_GPUS");
    const int count = all == nullptr ? 2 : atoi(all);
    std::vector<int> found;
    const char* chosen = getenv("CUDA_VISIBLE_DEVICES");
    if (chosen == nullptr) {
        for (int i = 0; i < count; ++i) {
            found.push_back(i);
        }
        return found;
    }
    for (const char* at = chosen; *at != 0;) {
        char* end;
        const long number = strtol(at, &end, 10);
        if (end == at || number < 0 || number >= count) {
            break;
        }
        found.push_back(static_cast<int>(number));
        at = *end == ',' ? end + 1 : end;
    }
    return found;
}

int device_count() { return static_cast<int>(visible().size()); }
int physical_device(int device) { return visible().at(static_cast<size_t>(device)); }
