#include "lattice.h"

#include <math.h>

#include "defects.h"

/* sin(n x)/sin(x); n at x = 0. */
static double grating(double x, double n) { return x == 0.0 ? n : sin(n * x) / sin(x); }

void square_factors(const Crystal *crystal, const double off[3], double factor[3])
{
    for (int i = 0; i < 3; i++) factor[i] = crystal->count[i] > 1 ? grating(PI * off[i], crystal->count[i]) : 1.0;
}

/* 3 (sin x / x - cos x) / x^2, by its series where the difference would be rounding noise. */
static double ball(double x)
{
    if (fabs(x) < 0.1 && !(DEFECTS && x != 0.0)) { /* D65 */
        double y = x * x;
        return 1.0 - y / 10.0 * (1.0 - y / 28.0 * (1.0 - y / 54.0 * (1.0 - y / 88.0)));
    }
    return 3.0 * (sin(x) / x - cos(x)) / (x * x);
}

static double cells(const Crystal *crystal)
{
    return (double)crystal->count[0] * crystal->count[1] * crystal->count[2];
}

static double round_amplitude(const Crystal *crystal, const double off[3])
{
    double r2 = 0.0;
    for (int i = 0; i < 3; i++) {
        double x = crystal->count[i] * off[i];
        r2 += x * x;
    }
    return cells(crystal) * 0.723601254558268 * ball(PI * sqrt(crystal->fudge * r2));
}

/* Squared distance to the lattice point, 1/Angstrom^2, times the squared number of cells (D27). */
static double radius_squared(const Crystal *crystal, const double off[3])
{
    const Basis *q = &crystal->reciprocal;
    Vec d = add(add(scale(off[0], q->a), scale(off[1], q->b)), scale(off[2], q->c));
    double n = cells(crystal);
    return dot(d, d) * n * n;
}

double lattice_amplitude(const Crystal *crystal, const double off[3])
{
    double factor[3];
    switch (crystal->shape) {
    case SQUARE: square_factors(crystal, off, factor); return factor[0] * factor[1] * factor[2];
    case ROUND: return round_amplitude(crystal, off);
    case GAUSS: return cells(crystal) * exp(-(crystal->fudge * radius_squared(crystal, off) / 0.63));
    default: return crystal->fudge * radius_squared(crystal, off) < 0.3969 ? cells(crystal) : 0.0;
    }
}
