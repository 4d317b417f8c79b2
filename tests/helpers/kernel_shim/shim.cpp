// The kernels as a shared library with one entry point, which takes an array of pointers to the arguments like cuLaunchKernel.
#include <barrier>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include <ucontext.h>

#include "module.cu"  // module_source() of kernels/text.py, written by the tests

#ifdef ONE_THREAD
// The threads of a block are contexts of one host thread, which is much faster; they run in order from one barrier to the next.
static constexpr std::size_t MOST_THREADS = 1024, STACK_BYTES = 64 * 1024;
static ucontext_t between, contexts[MOST_THREADS];
static std::vector<char> stacks(MOST_THREADS* STACK_BYTES);
static std::function<void()> body;
static bool is_done[MOST_THREADS];
static std::size_t running = MOST_THREADS;

void wait_for_block() {
    if (running == MOST_THREADS) {
        abort();  // a kernel that is listed as not cooperating synchronises
    }
    swapcontext(&contexts[running], &between);
}

static void run_body() {
    body();
    is_done[running] = true;
}

// Run `thread(block, index)` for all threads of a block together.
template <typename Thread>
static void run_together(const Thread& thread, Index3 block) {
    const std::size_t count = blockDim.x * blockDim.y;
    const auto index_of = [](std::size_t i) {
        return Index3{static_cast<unsigned int>(i) % blockDim.x, static_cast<unsigned int>(i) / blockDim.x, 0};
    };
    body = [&] { thread(block, index_of(running)); };
    for (std::size_t i = 0; i < count; ++i) {
        is_done[i] = false;
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = &stacks[i * STACK_BYTES];
        contexts[i].uc_stack.ss_size = STACK_BYTES;
        contexts[i].uc_link = &between;
        makecontext(&contexts[i], run_body, 0);
    }
    for (bool any = true; any;) {
        any = false;
        for (std::size_t i = 0; i < count; ++i) {
            if (!is_done[i]) {
                running = i;
                blockIdx = block;
                threadIdx = index_of(i);
                swapcontext(&between, &contexts[i]);
                any = any || !is_done[i];
            }
        }
    }
    running = MOST_THREADS;
}
#else
static std::barrier<>* meeting = nullptr;

void wait_for_block() {
    if (meeting == nullptr) {
        abort();  // a kernel that is listed as not cooperating synchronises
    }
    meeting->arrive_and_wait();
}

// Run `thread(block, index)` for all threads of a block together.
template <typename Thread>
static void run_together(const Thread& thread, Index3 block) {
    std::vector<std::thread> threads;
    std::barrier<> all(blockDim.x * blockDim.y);
    meeting = &all;
    for (unsigned int y = 0; y < blockDim.y; ++y) {
        for (unsigned int x = 0; x < blockDim.x; ++x) {
            threads.emplace_back(thread, block, Index3{x, y, 0});
        }
    }
    for (auto& each : threads) {
        each.join();
    }
    meeting = nullptr;
}
#endif

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
            if (cooperates) {
                run_together(thread, block);
                continue;
            }
            for (unsigned int y = 0; y < blockDim.y; ++y) {
                for (unsigned int x = 0; x < blockDim.x; ++x) {
                    thread(block, Index3{x, y, 0});
                }
            }
        }
    }
}

template <typename... Parameters>
static constexpr std::size_t count_of(void (*)(Parameters...)) {
    return sizeof...(Parameters);
}

template <typename... Parameters>
static int sizes_of(void (*)(Parameters...), std::size_t* sizes, std::size_t room) {
    if (sizeof...(Parameters) > room) {
        return -1;
    }
    ((*sizes++ = sizeof(Parameters)), ...);
    return static_cast<int>(sizeof...(Parameters));
}

#define FOR_EACH_KERNEL(KERNEL)     \
    KERNEL(picture_to_input, false) \
    KERNEL(scene_change, true)      \
    KERNEL(saliency_blocks, false)  \
    KERNEL(activity_blocks, false)  \
    KERNEL(luma_motion, true)       \
    KERNEL(reduce_saliency, false)  \
    KERNEL(reduce_activity, false)

// Write the sizes in bytes of a kernel's arguments; returns their number, or -1 for an unknown kernel.
extern "C" int argument_sizes(const char* name, std::size_t* sizes, std::size_t room) {
#define SIZES(kernel, cooperates)              \
    if (strcmp(name, #kernel) == 0) {          \
        return sizes_of(kernel, sizes, room);  \
    }
    FOR_EACH_KERNEL(SIZES)
    return -1;
}

// Returns 0, or an error: 1 unknown kernel, 2 wrong number of arguments.
extern "C" int launch(const char* name, const unsigned int* grid, const unsigned int* block, void** arguments, std::size_t count) {
    gridDim = {grid[0], grid[1], 1};
    blockDim = {block[0], block[1], 1};
#define LAUNCH(kernel, cooperates)              \
    if (strcmp(name, #kernel) == 0) {          \
        if (count != count_of(kernel)) {       \
            return 2;                          \
        }                                      \
        run(kernel, cooperates, arguments);    \
        return 0;                              \
    }
    FOR_EACH_KERNEL(LAUNCH)
    return 1;
}
