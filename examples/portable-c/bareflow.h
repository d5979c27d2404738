/*
 * The functions that a portable module of BareFlow can import: docs/portable.md.
 *
 * Export `run`, and `init` and `exit` where you need them:
 *
 *     BAREFLOW_EXPORT(run) int32_t run(void) { return 42; }
 */
#ifndef BAREFLOW_H
#define BAREFLOW_H

#include <stddef.h>
#include <stdint.h>

#define BAREFLOW_IMPORT(name) __attribute__((import_module("bareflow"), import_name(#name)))
#define BAREFLOW_EXPORT(name) __attribute__((export_name(#name)))

/* Returns the length of the call's input, in bytes. */
BAREFLOW_IMPORT(input_length) size_t bareflow_input_length(void);

/* Copies up to `length` bytes of the input, from `offset` on. Returns how many there were. */
BAREFLOW_IMPORT(input_read) size_t bareflow_input_read(size_t offset, void *to, size_t length);

/* Appends as many bytes to the output as fit. Returns their number. */
BAREFLOW_IMPORT(output_write) size_t bareflow_output_write(const void *from, size_t length);

/* Writes one line of UTF-8 to the log. */
BAREFLOW_IMPORT(log) void bareflow_log(const char *text, size_t length);

/* Returns the cycle clock: ticks since some point in the past, which never decrease. */
BAREFLOW_IMPORT(clock) uint64_t bareflow_clock(void);

/* Ends the module as a panic of Rust does. */
BAREFLOW_IMPORT(panic) __attribute__((noreturn)) void
bareflow_panic(const char *message, size_t message_length, const char *file, size_t file_length, uint32_t line);

/* Ends the module as one that used up its heap. */
BAREFLOW_IMPORT(out_of_heap) __attribute__((noreturn)) void bareflow_out_of_heap(void);

/* The reply of a call of another module. */
struct bareflow_call_reply {
    uint32_t output_length;
    int32_t result;
};

/* Calls another module, which `depends` must list. Returns 0, or the number of a refusal. */
BAREFLOW_IMPORT(call) uint32_t bareflow_call(
    const char *name, size_t name_length, const void *input, size_t input_length, void *output, size_t output_capacity,
    struct bareflow_call_reply *reply);

/* Ends the module unless the condition holds. */
#define BAREFLOW_ASSERT(condition) \
    ((condition) ? (void)0 \
                 : bareflow_panic(#condition, sizeof(#condition) - 1, __FILE__, sizeof(__FILE__) - 1, __LINE__))

#endif
