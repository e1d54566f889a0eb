/* The lattice sum of a list of scattering vectors. */
#include "points.h"

/* out[p] = sum over orientations of F^2 L^2 at S[p]; bits do not depend on the number of threads or the place in S. */
void JOIN(lattice_sum, LEVEL)(const struct lattice_inputs *in, const double *S, int64_t points, double *out) {
    const struct lattice l = lattice_of(in);
    const int64_t blocks = (points + LANES - 1) / LANES;
#pragma omp parallel for schedule(dynamic, 64) num_threads((int)in->config[THREADS])
    for (int64_t block = 0; block < blocks; block++) {
        struct vectors v;
        double sum[LANES];
        load_vectors(S, block * LANES, points, &v);
        lattice_block(&l, all_of(&l), &v, sum);
        for (int lane = 0; lane < LANES && block * LANES + lane < points; lane++) 
            out[block * LANES + lane] = l.common * sum[lane];
    }
}
