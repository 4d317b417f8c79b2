// The kernels as a shared library with one entry point, which takes an array of pointers to the arguments like cuLaunchKernel.
#include <barrier>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "module.cu"  // module_source() of kernels/text.py, written by the tests

static std::barrier<>* meeting = nullptr;

void wait_for_block() {
    if (meeting == nullptr) {
        abort();  // a kernel that is listed as not cooperating synchronises
    }
    meeting->arrive_and_wait();
}

template <typename... Parameters, std::size_t... Indices>
static void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<Indices...>) {
    kernel(*static_cast<Parameters*>(arguments[Indices])...);
}

template <typename... Parameters>
static void run(void (*kernel)(Parameters...), bool cooperates, void** arguments) {
    const auto thread = [=](Index3 block, Index3 index) {
        blockIdx = block;
        threadIdx = index;
        call(kernel, arguments, std::index_sequence_for<Parameters...>{});
    };
    for (unsigned int block_y = 0; block_y < gridDim.y; ++block_y) {
        for (unsigned int block_x = 0; block_x < gridDim.x; ++block_x) {
            const Index3 block = {block_x, block_y, 0};
            std::vector<std::thread> threads;
            std::barrier<> all(blockDim.x * blockDim.y);
            meeting = cooperates ? &all : nullptr;
            for (unsigned int y = 0; y < blockDim.y; ++y) {
                for (unsigned int x = 0; x < blockDim.x; ++x) {
                    const Index3 index = {x, y, 0};
                    if (cooperates) {
                        threads.emplace_back(thread, block, index);
                    } else {
                        thread(block, index);
                    }
                }
            }
            for (auto& each : threads) {
                each.join();
            }
        }
    }
}

template <typename... Parameters>
static constexpr std::size_t count_of(void (*)(Parameters...)) {
    return sizeof...(Parameters);
}

// Returns 0, or an error: 1 unknown kernel, 2 wrong number of arguments.
extern "C" int launch(const char* name, const unsigned int* grid, const unsigned int* block, void** arguments, std::size_t count) {
    gridDim = {grid[0], grid[1], 1};
    blockDim = {block[0], block[1], 1};
#define KERNEL(kernel, cooperates)                        \
    if (strcmp(name, #kernel) == 0) {                     \
        if (count != count_of(kernel)) {                  \
            return 2;                                     \
        }                                                 \
        run(kernel, cooperates, arguments);               \
        return 0;                                         \
    }
    KERNEL(picture_to_input, false)
    KERNEL(scene_change, true)
    KERNEL(saliency_blocks, false)
    KERNEL(activity_blocks, false)
    KERNEL(luma_motion, true)
    KERNEL(reduce_saliency, false)
    KERNEL(reduce_activity, false)
    return 1;
}
