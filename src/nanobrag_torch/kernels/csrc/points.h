/* Loading a block of a list of scattering vectors. */
#ifndef NANOBRAG_POINTS_H
#define NANOBRAG_POINTS_H

#include "lattice_block.h"

/* Vectors first .. first + LANES - 1 of S [points,3], the last one repeated beyond the end. */
INLINE void load_vectors(const double *S, int64_t first, int64_t points, struct vectors *out) {
    for (int lane = 0; lane < LANES; lane++) {
        int64_t at = first + lane < points ? first + lane : points - 1;
        out->x[lane] = S[3 * at];
        out->y[lane] = S[3 * at + 1];
        out->z[lane] = S[3 * at + 2];
    }
}

#endif
