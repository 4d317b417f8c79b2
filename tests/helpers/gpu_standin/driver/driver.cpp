// The functions of the CUDA driver that CuPy, PyNvVideoCodec and this package call, on host memory.
#include <cuda.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "schedule.h"

namespace {

constexpr size_t DEVICES = 16;
struct Context {
    int device;
};
Context primary[DEVICES];
thread_local CUcontext contexts[64];
thread_local int depth = 0;

CUcontext primary_of(int device) {
    primary[device].device = device;
    return reinterpret_cast<CUcontext>(&primary[device]);
}

CUcontext context() { return depth ? contexts[depth - 1] : nullptr; }

int current_device() { return context() == nullptr ? runtime_device() : reinterpret_cast<Context*>(context())->device; }

char* at(CUdeviceptr address) { return reinterpret_cast<char*>(address); }

CUresult copy_planes(const CUDA_MEMCPY2D* asked, Stream* stream) {
    ++standin_counts.plane_copies;
    const CUDA_MEMCPY2D copy = *asked;
    const bool to_host = copy.dstMemoryType == CU_MEMORYTYPE_HOST, from_host = copy.srcMemoryType == CU_MEMORYTYPE_HOST;
    char* to = (to_host ? static_cast<char*>(copy.dstHost) : at(copy.dstDevice)) + copy.dstY * copy.dstPitch + copy.dstXInBytes;
    const char* from =
        (from_host ? static_cast<const char*>(copy.srcHost) : at(copy.srcDevice)) + copy.srcY * copy.srcPitch + copy.srcXInBytes;
    queue(stream, [to, from, copy] {
        for (size_t y = 0; y < copy.Height; ++y) {
            memcpy(to + y * copy.dstPitch, from + y * copy.srcPitch, copy.WidthInBytes);
        }
    });
    if (to_host) {
        finish(stream);
    }
    return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

// The number of the current device among all, for the other stand-in libraries.
int standin_current_gpu(void) {
    return physical_device(current_device());
}

void standin_count_caps(void) { ++standin_counts.caps; }

CUresult cuInit(unsigned) { return device_count() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE; }
// NVRTC looks for a table that a driver may lack.
CUresult cuGetExportTable(const void** table, const CUuuid*) { return *table = nullptr, CUDA_ERROR_NOT_FOUND; }
CUresult cuDriverGetVersion(int* version) { return *version = 13000, CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int* count) { return *count = device_count(), CUDA_SUCCESS; }

CUresult cuDeviceGet(CUdevice* device, int number) {
    *device = number;
    return number < device_count() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char* name, int room, CUdevice device) {
    snprintf(name, static_cast<size_t>(room), "Stand-in %d", physical_device(device));
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    memset(uuid, 0, sizeof *uuid);
    uuid->bytes[15] = static_cast<char>(1 + physical_device(device));
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice) { return *bytes = memory_limit(), CUDA_SUCCESS; }

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? 9
             : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? 0
                                                                         : 1024;
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext* made, unsigned, CUdevice device) {
    ++standin_counts.contexts;
    *made = reinterpret_cast<CUcontext>(new Context{device});
    contexts[depth++] = *made;
    return CUDA_SUCCESS;
}

CUresult cuCtxDestroy_v2(CUcontext old) {
    if (context() == old) {
        --depth;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext next) { return contexts[depth++] = next, CUDA_SUCCESS; }

CUresult cuCtxPopCurrent_v2(CUcontext* old) {
    if (!depth) {
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    --depth;
    if (old != nullptr) {
        *old = contexts[depth];
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* found) { return *found = context(), CUDA_SUCCESS; }

CUresult cuCtxSetCurrent(CUcontext next) {
    depth = depth ? depth : 1;
    contexts[depth - 1] = next;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) {
    if (context() == nullptr) {
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    return *device = reinterpret_cast<Context*>(context())->device, CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* found, CUdevice device) { return *found = primary_of(device), CUDA_SUCCESS; }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }

CUresult cuGetErrorName(CUresult error, const char** name) {
    *name = error == CUDA_ERROR_OUT_OF_MEMORY    ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == CUDA_ERROR_LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED"
            : error == CUDA_ERROR_NOT_FOUND     ? "CUDA_ERROR_NOT_FOUND"
                                                : "CUDA_ERROR_UNKNOWN";
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
    *text = error == CUDA_ERROR_OUT_OF_MEMORY    ? "out of memory"
            : error == CUDA_ERROR_LAUNCH_FAILED ? "unspecified launch failure"
                                                : "an error of the stand-in driver";
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream* stream, unsigned) {
    return *stream = reinterpret_cast<CUstream>(new_stream(current_device())), CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamGetCtx(CUstream stream, CUcontext* found) {
    return *found = primary_of(device_of(stream_of(stream))), CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream) {
    ++standin_counts.host_waits;
    return finish(stream_of(stream)), CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
    return wait_for(stream_of(stream), reinterpret_cast<Event*>(event)), CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* event, unsigned) { return *event = reinterpret_cast<CUevent>(new Event), CUDA_SUCCESS; }
CUresult cuEventDestroy_v2(CUevent) { return CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent event, CUstream stream) {
    return record(stream_of(stream), reinterpret_cast<Event*>(event)), CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent event) {
    ++standin_counts.host_waits;
    return finish(reinterpret_cast<Event*>(event)), CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
    *address = reinterpret_cast<CUdeviceptr>(allocate(bytes));
    return *address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* address, size_t* pitch, size_t width, size_t height, unsigned) {
    *pitch = (width + 511) / 512 * 512;
    return cuMemAlloc_v2(address, *pitch * height);
}

// Freeing waits for the device.
CUresult cuMemFree_v2(CUdeviceptr address) { return finish_all(), release(at(address)), CUDA_SUCCESS; }

CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream) { return cuMemAlloc_v2(address, bytes); }
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
    return queue(stream_of(stream), [address] { release(at(address)); }), CUDA_SUCCESS;
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) { return copy_planes(copy, stream_of(stream)); }
CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* copy) {
    const CUresult status = copy_planes(copy, stream_of(nullptr));
    return finish(stream_of(nullptr)), status;
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return copy_async(to, at(from), bytes, stream_of(stream)), CUDA_SUCCESS;
}
CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
    return copy_async(to, at(from), bytes, stream_of(nullptr)), finish(stream_of(nullptr)), CUDA_SUCCESS;
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
    return copy_async(at(to), from, bytes, stream_of(nullptr)), finish(stream_of(nullptr)), CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void* value, CUpointer_attribute, CUdeviceptr) { return *static_cast<int*>(value) = 0, CUDA_SUCCESS; }

CUresult cuModuleLoadData(CUmodule* module, const void*) { return *module = reinterpret_cast<CUmodule>(malloc(1)), CUDA_SUCCESS; }
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
    *function = reinterpret_cast<CUfunction>(find_kernel(name));
    return *function == nullptr ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int* value, CUfunction_attribute, CUfunction) { return *value = 1024, CUDA_SUCCESS; }
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned, unsigned block_x, unsigned block_y, unsigned,
                        unsigned, CUstream stream, void** arguments, void**) {
    const unsigned grid[2] = {grid_x, grid_y}, block[2] = {block_x, block_y};
    return static_cast<CUresult>(launch_kernel(function, grid, block, arguments, stream_of(stream)));
}

}  // extern "C"
