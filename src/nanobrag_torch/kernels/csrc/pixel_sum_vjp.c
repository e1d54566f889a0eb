/* The vector-Jacobian product of the sum over a pixel. */
#include <omp.h>

#include "bounds.h"
#include "pixel_vjp_block.h"
#include "slices.h"

/* From derivatives by totals and backgrounds, add derivatives to `out` (a null table or lattice is not wanted).
 * Returns 0, or 1 when there is no memory. */
int JOIN(pixel_sum_vjp, LEVEL)(const struct scene_inputs *in, const struct pixel_turns *by,
                               const struct pixel_gradients *out) {
    const struct scene scene = scene_of(in);
    const int simple = has_one_term(&scene);
    const int64_t more = GEOMETRY_LENGTH + scene.source_count * SOURCE_LENGTH;
    const struct tiles tiles = tiles_of(in, &scene);
    const struct law law = law_of(&scene.lattice);
    struct share share;
    int failed = open_share(&share, in->lattice.config, tiles.blocks, more, &out->lattice);
    if (!failed) {
#pragma omp parallel for schedule(static, 1) num_threads(share.threads) reduction(| : failed)
        for (int64_t number = 0; number < share.slices; number++) {
            struct slice slice = {slice_of(&share, number, omp_get_thread_num()), share.more + number * more,
                                  share.more + number * more + GEOMETRY_LENGTH};
            struct choice choice;
            failed |= open_choice(&scene, &choice);
            const int64_t end = failed ? 0 : slice_start(&share, number + 1);
            for (int64_t block = slice_start(&share, number); block < end; block++) {
                struct pixels pixels;
                double total[LANES], background[LANES];
                struct span span;
                if (!open_block(in, &scene, &tiles, &law, block, !by->background, &choice, &span, &pixels)) continue;
                for (int lane = 0; lane < LANES; lane++) {
                    const int64_t place = place_of(&span, lane);
                    total[lane] = place >= 0 ? by->scale * by->total[by->stride * place] : 0.0;
                    background[lane] = place >= 0 && by->background ? by->background[place] : 0.0;
                }
                if (simple)
                    simple_vjp_block(TOTALS, &scene, &pixels, total, &slice.lattice, slice.geometry, slice.sources, 0);
                else block_vjp(TOTALS, &scene, &pixels, total, background, &slice, 0, 0);
            }
            close_choice(&choice);
            share.numbers[number] = slice.lattice.numbers;
        }
        gather(&share, &in->lattice, &out->lattice);
        for (int64_t number = 0; number < share.slices; number++) {
            for (int64_t i = 0; i < GEOMETRY_LENGTH; i++) out->geometry[i] += share.more[number * more + i];
            for (int64_t i = 0; i < scene.source_count * SOURCE_LENGTH; i++)
                out->sources[i] += share.more[number * more + GEOMETRY_LENGTH + i];
        }
    }
    close_share(&share);
    return failed;
}
