// The functions of the CUDA runtime that CuPy calls. CuPy's wheel has the runtime built in; cudart.py leads its calls here.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "schedule.h"

namespace {
using Error = int;
constexpr Error OK = 0, OUT_OF_MEMORY = 2, NOT_READY = 600;
thread_local int device = 0;
thread_local Error last = OK;

Error failed(Error error) { return last = error; }
}  // namespace

int runtime_device() { return device; }

#define RUNTIME(name) extern "C" Error standin_##name

RUNTIME(cudaGetDeviceCount)(int* count) { return *count = device_count(), *count ? OK : 100; }
RUNTIME(cudaGetDevice)(int* found) { return *found = device, OK; }
RUNTIME(cudaSetDevice)(int next) { return next < device_count() ? (device = next, OK) : failed(101); }
RUNTIME(cudaDriverGetVersion)(int* version) { return *version = 13000, OK; }
RUNTIME(cudaRuntimeGetVersion)(int* version) { return *version = 13000, OK; }
RUNTIME(cudaDeviceGetAttribute)(int* value, int attribute, int) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 115 ? 1 : 1024;  // compute 9.0; 115: memory pools
    return OK;
}
RUNTIME(cudaGetLastError)(void) {
    const Error error = last;
    return last = OK, error;
}
RUNTIME(cudaPeekAtLastError)(void) { return last; }
RUNTIME(cudaMemGetInfo)(size_t* free_bytes, size_t* total) {
    *total = memory_limit(), *free_bytes = memory_limit() - allocated_bytes();
    return OK;
}
RUNTIME(cudaMalloc)(void** memory, size_t bytes) { return (*memory = allocate(bytes)) == nullptr ? failed(OUT_OF_MEMORY) : OK; }
RUNTIME(cudaFree)(void* memory) { return finish_all(), release(memory), OK; }
RUNTIME(cudaMallocHost)(void** memory, size_t bytes) {
    if (posix_memalign(memory, 512, bytes ? bytes : 1) != 0) {
        return failed(OUT_OF_MEMORY);
    }
    return add_pinned(*memory, bytes), OK;
}
RUNTIME(cudaHostAlloc)(void** memory, size_t bytes, unsigned) { return standin_cudaMallocHost(memory, bytes); }
RUNTIME(cudaFreeHost)(void* memory) { return finish_all(), remove_pinned(memory), free(memory), OK; }
RUNTIME(cudaMemcpyAsync)(void* to, const void* from, size_t bytes, int, void* stream) {
    return copy_async(to, from, bytes, stream_of(stream)), OK;
}
RUNTIME(cudaMemcpy)(void* to, const void* from, size_t bytes, int) {
    ++standin_counts.host_waits;
    return copy_async(to, from, bytes, stream_of(nullptr)), finish(stream_of(nullptr)), OK;
}
RUNTIME(cudaMemsetAsync)(void* memory, int value, size_t bytes, void* stream) {
    ++standin_counts.memsets;
    return queue(stream_of(stream), [memory, value, bytes] { memset(memory, value, bytes); }), OK;
}
RUNTIME(cudaMemset)(void* memory, int value, size_t bytes) { return standin_cudaMemsetAsync(memory, value, bytes, nullptr); }
RUNTIME(cudaStreamCreate)(void** stream) { return *stream = new_stream(device), OK; }
RUNTIME(cudaStreamCreateWithFlags)(void** stream, unsigned) { return *stream = new_stream(device), OK; }
RUNTIME(cudaStreamCreateWithPriority)(void** stream, unsigned, int) { return *stream = new_stream(device), OK; }
RUNTIME(cudaStreamDestroy)(void*) { return OK; }
RUNTIME(cudaStreamSynchronize)(void* stream) {
    ++standin_counts.host_waits;
    return finish(stream_of(stream)), OK;
}
RUNTIME(cudaDeviceSynchronize)(void) {
    ++standin_counts.host_waits;
    return finish_all(), OK;
}
RUNTIME(cudaStreamQuery)(void* stream) { return is_done(stream_of(stream)) ? OK : NOT_READY; }
RUNTIME(cudaStreamWaitEvent)(void* stream, void* event, unsigned) {
    return wait_for(stream_of(stream), static_cast<Event*>(event)), OK;
}
RUNTIME(cudaLaunchHostFunc)(void* stream, void (*function)(void*), void* argument) {
    return queue(stream_of(stream), [function, argument] { function(argument); }), OK;
}
RUNTIME(cudaStreamIsCapturing)(void*, int* answer) { return *answer = 0, OK; }
RUNTIME(cudaEventCreate)(void** event) { return *event = new Event, OK; }
RUNTIME(cudaEventCreateWithFlags)(void** event, unsigned) { return *event = new Event, OK; }
RUNTIME(cudaEventDestroy)(void*) { return OK; }  // kept: work that is still queued may refer to it
RUNTIME(cudaEventRecord)(void* event, void* stream) { return record(stream_of(stream), static_cast<Event*>(event)), OK; }
RUNTIME(cudaEventSynchronize)(void* event) {
    ++standin_counts.host_waits;
    return finish(static_cast<Event*>(event)), OK;
}
RUNTIME(cudaEventQuery)(void* event) { return is_done(static_cast<Event*>(event)) ? OK : NOT_READY; }
RUNTIME(cudaEventElapsedTime)(float* milliseconds, void* start, void* end) {
    *milliseconds = static_cast<float>(1000 * (static_cast<Event*>(end)->seconds - static_cast<Event*>(start)->seconds));
    return OK;
}
RUNTIME(cudaPointerGetAttributes)(void* attributes, const void*) {
    memset(attributes, 0, 32);
    return *static_cast<int*>(attributes) = 2, OK;  // device memory
}
RUNTIME(missing)(void) { return failed(801); }  // not supported

extern "C" const char* standin_cudaGetErrorName(Error error) {
    return error == OUT_OF_MEMORY ? "cudaErrorMemoryAllocation" : error == 719 ? "cudaErrorLaunchFailure" : "cudaErrorUnknown";
}
extern "C" const char* standin_cudaGetErrorString(Error error) {
    return error == OUT_OF_MEMORY ? "out of memory" : error == 801 ? "the stand-in driver lacks this function" : "unspecified failure";
}
