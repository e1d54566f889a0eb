/* Lattice amplitude of the four shapes (specification: intensity.md 4). */
#ifndef LATTICE_H
#define LATTICE_H

#include "crystal.h"

/* Factors of the square shape along the axes; 1 where the count is 1. */
void square_factors(const Crystal *crystal, const double off[3], double factor[3]);
/* off: fractional indices minus the nearest integers. */
double lattice_amplitude(const Crystal *crystal, const double off[3]);

#endif
