/* The sum over everything that one pixel collects, of a scene or of many variants of it. */
#include "pixel_block.h"

#define PIECE 64 /* blocks that a thread takes at once */

/* Sums of pixels, of every variant of a scene; bits do not depend on the number of threads, the place of a pixel in
 * the list or the place of a variant among others. */
void JOIN(pixel_sum, LEVEL)(const struct scene_inputs *all, const struct variants *variants,
                            const struct pixel_outputs *outputs) {
    const int64_t blocks = (all->count + LANES - 1) / LANES, pieces = (blocks + PIECE - 1) / PIECE;
#pragma omp parallel for schedule(dynamic, 1) num_threads((int)all->lattice.config[THREADS])
    for (int64_t unit = 0; unit < pieces * variants->count; unit++) {
        const int64_t variant = unit / pieces, start = unit % pieces * PIECE;
        const struct scene_inputs in = variant_inputs(all, variants, variant);
        const struct pixel_outputs out = variant_outputs(outputs, variants, variant, all->count);
        const struct scene scene = scene_of(&in);
        const int simple = is_simple(&scene);
        for (int64_t block = start; block < start + PIECE && block < blocks; block++)
            block_sums(&in, &scene, simple, block, &out);
    }
}
