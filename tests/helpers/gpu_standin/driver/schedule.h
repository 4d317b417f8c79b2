// Streams and events of the stand-in driver. Work is queued in order on its stream and runs on the host, when the schedule lets it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

enum class Schedule {
    eager,   // work runs when it is queued
    late,    // work runs when a wait of the host needs it, and not before
    random,  // like late, but after each call some work of a stream drawn by chance runs too
    empty,   // no work runs at all, to time the caller alone
};

struct Stream;

struct Event {
    Stream* stream = nullptr;
    uint64_t position = 0;  // of its record in the stream
    double seconds = 0;     // when the record ran
};

// What was asked of the driver; read by counts.py in the same order.
struct Counts {
    long launches, copies, copied_bytes, plane_copies, memsets, host_waits, stream_waits, records, allocations, contexts, caps;
};

extern "C" Counts standin_counts;

Schedule schedule();
Stream* stream_of(void* handle);  // null, 1 and 2 are the default stream
Stream* new_stream(int device);
int device_of(const Stream* stream);
int runtime_device();  // the current device of the runtime in this thread
void queue(Stream* stream, std::function<void()> work);
void record(Stream* stream, Event* event);
void wait_for(Stream* stream, const Event* event);
void finish(Stream* stream);       // run all of its work
void finish(const Event* event);   // run its stream up to its record
void finish_all();
bool is_done(Stream* stream);
bool is_done(const Event* event);

// Device memory: host memory that is filled with a pattern when it is allocated and again when it is freed.
void* allocate(size_t bytes);  // null beyond the limit
void release(void* memory);
size_t allocated_bytes();
size_t memory_limit();
void add_pinned(void* memory, size_t bytes);
void remove_pinned(void* memory);
bool is_pinned(const void* memory);
void copy_async(void* to, const void* from, size_t bytes, Stream* stream);
int launch_kernel(void* function, const unsigned* grid, const unsigned* block, void** arguments, Stream* stream);
void* find_kernel(const char* name);
int device_count();
int physical_device(int device);
