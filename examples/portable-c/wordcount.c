/*
 * Counts the words of its input, writes the longest one, and returns their number.
 *
 *     clang --target=wasm32 -O2 -nostdlib -mbulk-memory -msign-ext -mnontrapping-fptoint -Wl,--no-entry \
 *         -Wl,--stack-first -Wl,-z,stack-size=65536 -Wl,--max-memory=1048576 -o wordcount.wasm wordcount.c
 */
#include "bareflow.h"

/* The input is read in pieces, so no heap is needed. */
static char piece[256];
static char longest[256];

BAREFLOW_EXPORT(run) int32_t run(void) {
    static char word[sizeof(longest)];
    size_t words = 0, length = 0, best = 0, offset = 0, count;
    do {
        count = bareflow_input_read(offset, piece, sizeof(piece));
        offset += count;
        /* Behind the input's end comes one more blank, which ends the last word. */
        for (size_t index = 0; index < (count ? count : 1); index++) {
            char letter = count ? piece[index] : ' ';
            if (letter != ' ' && letter != '\n' && letter != '\t') {
                BAREFLOW_ASSERT(length < sizeof(word));
                word[length++] = letter;
                continue;
            }
            words += length > 0;
            if (length > best) {
                best = length;
                __builtin_memcpy(longest, word, length);
            }
            length = 0;
        }
    } while (count > 0);
    bareflow_output_write(longest, best);
    return (int32_t)words;
}
