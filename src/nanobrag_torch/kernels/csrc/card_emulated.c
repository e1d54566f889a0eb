/* The kernels for cards on a processor: threads are turns of a loop, a group is one thread. A check without a card. */
#define EMULATED
#include "card.cu"

/* Name the block and the thread whose turn it is. */
void nanobrag_emulate(int64_t block, int64_t blocks, int64_t thread) {
    emulated_block = block;
    emulated_blocks = blocks;
    emulated_thread = thread;
}

int64_t nanobrag_emulated_threads(void) { return THREADS_PER_BLOCK; }
