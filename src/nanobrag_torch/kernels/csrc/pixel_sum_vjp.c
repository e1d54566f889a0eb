/* The vector-Jacobian product of the sum over a pixel. */
#include <omp.h>

#include "pixel_vjp_block.h"
#include "slices.h"

/* From derivatives by totals and backgrounds, add derivatives to `out` (a null table or lattice is not wanted).
 * Returns 0, or 1 when there is no memory. */
int JOIN(pixel_sum_vjp, LEVEL)(const struct scene_inputs *in, const struct pixel_turns *by,
                               const struct pixel_gradients *out) {
    const struct scene scene = scene_of(in);
    const int simple = has_one_term(&scene);
    const int64_t more = GEOMETRY_LENGTH + scene.source_count * SOURCE_LENGTH;
    struct share share;
    int failed = open_share(&share, in->lattice.config, in->count, more, &out->lattice);
    if (!failed) {
#pragma omp parallel for schedule(static, 1) num_threads(share.threads)
        for (int64_t number = 0; number < share.slices; number++) {
            struct slice slice = {slice_of(&share, number, omp_get_thread_num()), share.more + number * more,
                                  share.more + number * more + GEOMETRY_LENGTH};
            for (int64_t block = slice_start(&share, number); block < slice_start(&share, number + 1); block++) {
                const int64_t first = block * LANES;
                struct pixels pixels;
                double total[LANES], background[LANES];
                load_pixels(in, &scene, first, &pixels);
                for (int lane = 0; lane < LANES; lane++) {
                    const int there = first + lane < in->count;
                    total[lane] = there ? by->scale * by->total[by->stride * (first + lane)] : 0.0;
                    background[lane] = there && by->background ? by->background[first + lane] : 0.0;
                }
                if (simple)
                    simple_vjp_block(TOTALS, &scene, &pixels, total, &slice.lattice, slice.geometry, slice.sources, 0);
                else block_vjp(TOTALS, &scene, &pixels, total, background, &slice, 0, 0);
            }
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
