/* The grid of amplitudes: text file, binary dump, look-up (specification: structure_factors.md). */
#ifndef STRUCTURE_FACTORS_H
#define STRUCTURE_FACTORS_H

#include "request.h"

typedef struct {
    int low[3], high[3];
    double *value; /* [h][k][l]; none without a grid */
    long long entries; /* hkls */
    double default_f;
    bool interpolate;
    const char *dump_to; /* file to be written after all checks, once announced */
} Amplitudes;

/* The automatic choice of structure_factors.md 4; prints its message. */
bool settle_interpolation(const Request *request);
Amplitudes settle_amplitudes(const Request *request, bool interpolate);

double nearest_amplitude(const Amplitudes *f, int h0, int k0, int l0);
bool interpolation_reaches(const Amplitudes *f, const double hkl[3]);
double interpolated_amplitude(const Amplitudes *f, const double hkl[3]);

static inline long long span(const Amplitudes *f, int axis) { return (long long)f->high[axis] - f->low[axis] + 1; }
static inline double *grid_point(const Amplitudes *f, long long h, long long k, long long l)
{
    return &f->value[((h - f->low[0]) * span(f, 1) + (k - f->low[1])) * span(f, 2) + (l - f->low[2])];
}

#endif
