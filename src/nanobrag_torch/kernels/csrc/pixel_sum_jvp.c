/* Values of pixels and their derivatives in several directions of the scene's tensors at once. */
#include <omp.h>
#include <stdlib.h>

#include "pixel_jvp_block.h"

/* Returns 0, or 1 when there is no memory. */
int JOIN(pixel_sum_jvp, LEVEL)(const struct scene_inputs *in, const struct scene_directions *d,
                               const struct pixel_derivatives *out) {
    const struct scene scene = scene_of(in);
    const int64_t blocks = (in->count + LANES - 1) / LANES, length = jvp_space_length(&scene, d);
    const int threads = (int)in->lattice.config[THREADS];
    double slopes[NUMBERS * LATTICE_LENGTH];
    double *memory = malloc((size_t)(threads * length + 1) * sizeof(double));
    if (!memory) return 1;
    number_slopes(&scene.lattice, slopes);
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads)
    for (int64_t block = 0; block < blocks; block++) {
        const struct jvp_space space = jvp_space_at(memory + omp_get_thread_num() * length, &scene, d);
        jvp_of_block(in, &scene, d, slopes, block * LANES, &space, out);
    }
    free(memory);
    return 0;
}
