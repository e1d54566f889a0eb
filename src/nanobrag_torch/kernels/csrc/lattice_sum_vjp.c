/* The vector-Jacobian product of the lattice sum of a list of scattering vectors. */
#include <omp.h>

#include "points.h"
#include "slices.h"

/* From g [points], derivatives by S [points,3] (set; null if not wanted) and those of `out` (added to; a null
 * table or lattice is not wanted). Returns 0, or 1 when there is no memory. */
int JOIN(lattice_sum_vjp, LEVEL)(const struct lattice_inputs *in, const double *g, const double *S, int64_t points,
                                 double *by_S, const struct lattice_gradients *out) {
    const struct lattice l = lattice_of(in);
    struct share share;
    int failed = open_share(&share, in->config, (points + LANES - 1) / LANES, 0, out);
    if (!failed) {
#pragma omp parallel for schedule(static, 1) num_threads(share.threads)
        for (int64_t slice = 0; slice < share.slices; slice++) {
            struct lattice_slice own = slice_of(&share, slice, omp_get_thread_num());
            for (int64_t block = slice_start(&share, slice); block < slice_start(&share, slice + 1); block++) {
                const int64_t first = block * LANES;
                struct vectors v, turn;
                double sum[LANES], weight[LANES];
                load_vectors(S, first, points, &v);
                for (int lane = 0; lane < LANES; lane++) weight[lane] = first + lane < points ? g[first + lane] : 0.0;
                lattice_vjp_block(0, &l, all_of(&l), &v, weight, sum, &turn, &own);
                for (int lane = 0; by_S && lane < LANES && first + lane < points; lane++) {
                    by_S[3 * (first + lane)] = turn.x[lane];
                    by_S[3 * (first + lane) + 1] = turn.y[lane];
                    by_S[3 * (first + lane) + 2] = turn.z[lane];
                }
            }
            share.numbers[slice] = own.numbers;
        }
        gather(&share, in, out);
    }
    close_share(&share);
    return failed;
}
