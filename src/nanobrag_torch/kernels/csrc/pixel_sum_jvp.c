/* Values of pixels and their derivatives in several directions of the scene's tensors at once. */
#include <omp.h>

#include "bounds.h"
#include "pixel_jvp_block.h"

/* Returns 0, or 1 when there is no memory. */
int JOIN(pixel_sum_jvp, LEVEL)(const struct scene_inputs *in, const struct scene_directions *d,
                               const struct pixel_derivatives *out) {
    const struct scene scene = scene_of(in);
    const struct tiles tiles = tiles_of(in, &scene);
    const struct law law = law_of(&scene.lattice);
    const int64_t length = jvp_space_length(&scene, d);
    double slopes[NUMBERS * LATTICE_LENGTH];
    int failed = 0;
    number_slopes(&scene.lattice, slopes);
#pragma omp parallel num_threads((int)in->lattice.config[THREADS]) reduction(| : failed)
    {
        struct choice choice;
        double *memory = (double *)malloc((size_t)(length + 1) * sizeof(double));
        failed |= open_choice(&scene, &choice) || !memory;
#pragma omp for schedule(dynamic, 4)
        for (int64_t block = 0; block < tiles.blocks; block++) {
            if (failed) continue;
            const struct jvp_space space = jvp_space_at(memory, &scene, d);
            struct pixels pixels;
            struct span span;
            open_block(in, &scene, &tiles, &law, block, 0, &choice, &span, &pixels);
            jvp_of_block(&scene, d, slopes, &pixels, &span, &space, out);
        }
        close_choice(&choice);
        free(memory);
    }
    return failed;
}
