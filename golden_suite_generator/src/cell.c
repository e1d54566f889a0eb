#include <math.h>
#include <stdbool.h>

#include "crystal.h"
#include "refuse.h"

static double clipped(double x) { return x > 1.0 ? 1.0 : x < -1.0 ? -1.0 : x; }

/* The z component of c* is the inherited one, exact only with two right angles (D26). */
Basis reciprocal_from_cell(const double cell[6], double *volume)
{
    double a = cell[0], b = cell[1], c = cell[2];
    double al = cell[3] / DEGREES_PER_RADIAN, be = cell[4] / DEGREES_PER_RADIAN, ga = cell[5] / DEGREES_PER_RADIAN;
    double half = (al + be + ga) / 2.0;
    double w = sin(half) * sin(half - al) * sin(half - be) * sin(half - ga);
    bool usable = a > 0.0 && b > 0.0 && c > 0.0 && w > 0.0;
    for (int i = 3; i < 6; i++) usable = usable && cell[i] < 180.0;
    if (!usable)
        refuse("impossible unit cell %g %g %g %g %g %g (D18)", a, b, c, cell[3], cell[4], cell[5]);
    double v = 2.0 * a * b * c * sqrt(w);
    double as = b * c * sin(al) / v, bs = c * a * sin(be) / v, cs = a * b * sin(ga) / v;
    double cos_al = clipped((cos(be) * cos(ga) - cos(al)) / (sin(be) * sin(ga)));
    double cos_be = clipped((cos(ga) * cos(al) - cos(be)) / (sin(ga) * sin(al)));
    double cos_ga = clipped((cos(al) * cos(be) - cos(ga)) / (sin(al) * sin(be)));
    double sin_ga = clipped(c / (v * as * bs));
    *volume = v;
    return (Basis){
        {as, 0.0, 0.0},
        {bs * cos_ga, bs * sin_ga, 0.0},
        {cs * cos_be, cs * (cos_al - cos_be * cos_ga) / sin_ga, cs * v / (a * b * c * sin_ga)},
    };
}

/* Angle at which p and q meet, from the length of the dual of the third axis; negative in a left-handed cell. */
static double angle_between(Vec p, Vec q, Vec dual, double volume)
{
    double size = length(p) * length(q);
    return atan2(length(dual) * volume / size, dot(p, q) / size) * DEGREES_PER_RADIAN;
}

void cell_numbers(const Basis *basis, const Basis *dual, double volume, double cell[6])
{
    cell[0] = length(basis->a);
    cell[1] = length(basis->b);
    cell[2] = length(basis->c);
    cell[3] = angle_between(basis->b, basis->c, dual->a, volume);
    cell[4] = angle_between(basis->c, basis->a, dual->b, volume);
    cell[5] = angle_between(basis->a, basis->b, dual->c, volume);
}
