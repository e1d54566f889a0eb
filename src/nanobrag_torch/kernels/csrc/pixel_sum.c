/* The sum over everything that one pixel collects, of a scene or of many variants of it. */
#include "bounds.h"
#include "pixel_block.h"

#define PIECE 64 /* blocks that a thread takes at once */

/* Blocks from `start` on of one variant. */
INLINE int sum_piece(const struct scene_inputs *in, const struct pixel_outputs *out, int64_t start) {
    const struct scene scene = scene_of(in);
    const struct tiles tiles = tiles_of(in, &scene);
    const struct law law = law_of(&scene.lattice);
    const int simple = is_simple(&scene), may_skip = scene.background == NO_BACKGROUND && !out->angle;
    struct choice choice;
    const int failed = open_choice(&scene, &choice);
    for (int64_t block = start; !failed && block < start + PIECE && block < tiles.blocks; block++) {
        struct pixels pixels;
        struct span span;
        if (!open_block(in, &scene, &tiles, &law, block, may_skip, &choice, &span, &pixels)) {
            const double none[LANES] = {0.0};
            store(none, &span, out->total);
            store_single(none, &span, out->total_single);
        } else block_sums(&scene, simple, &pixels, &span, out);
    }
    close_choice(&choice);
    return failed;
}

/* Sums of pixels, of every variant of a scene. Bits do not depend on the number of threads or the place of a variant
 * among others and, as long as nothing may be left out, not on the place of a pixel in the list. Returns 0, or 1 when
 * there is no memory. */
int JOIN(pixel_sum, LEVEL)(const struct scene_inputs *all, const struct variants *variants,
                           const struct pixel_outputs *outputs) {
    const struct scene first = scene_of(all);
    const int64_t pieces = (tiles_of(all, &first).blocks + PIECE - 1) / PIECE;
    int failed = 0;
#pragma omp parallel for schedule(dynamic, 1) num_threads((int)all->lattice.config[THREADS]) reduction(| : failed)
    for (int64_t unit = 0; unit < pieces * variants->count; unit++) {
        const int64_t variant = unit / pieces;
        const struct scene_inputs in = variant_inputs(all, variants, variant);
        const struct pixel_outputs out = variant_outputs(outputs, variants, variant, all->count);
        failed |= sum_piece(&in, &out, unit % pieces * PIECE);
    }
    return failed;
}
