/* Derivatives of L^2 for one lane, in double. */
#ifndef NANOBRAG_SHAPES_VJP_H
#define NANOBRAG_SHAPES_VJP_H

#include "shapes.h"

#define NEAR 1e-4 /* N d below which the series of the derivative is the more accurate formula */

/* Gradients by the shape's numbers, one sum per lane, so that nothing is added across lanes until the end. */
struct number_lanes {
    double N[3][LANES], cells[LANES], W[9][LANES], scale[LANES];
};

INLINE double lane_total(const double *lanes) {
    double sum = 0.0;
    for (int lane = 0; lane < LANES; lane++) sum += lanes[lane];
    return sum;
}

INLINE struct shape_numbers number_totals(const struct number_lanes *lanes) {
    struct shape_numbers s;
    for (int i = 0; i < 3; i++) s.N[i] = lane_total(lanes->N[i]);
    for (int i = 0; i < 9; i++) s.W[i] = lane_total(lanes->W[i]);
    s.cells = lane_total(lanes->cells);
    s.scale = lane_total(lanes->scale);
    return s;
}

/* One axis: r = sin(pi N d)/sin(pi d), cot(pi d) and cos(pi N d)/sin(pi d) from 1/(wide.norm narrow.half_sine). */
struct axis {
    double r, cotangent, wide; /* the last two doubled */
};

INLINE struct axis axis_of(struct angle wide, struct angle narrow, double inverse) {
    double by_sine = narrow.norm * inverse;
    struct axis a = {wide.half_sine * by_sine, narrow.cosine * (wide.norm * inverse), wide.cosine * by_sine};
    return a;
}

/* g times the derivative of L^2 by d, from k = g (pi/2) dL^2/dr wide and Z = g pi L^2. Near d = 0 its two parts cancel
 * and a series takes over. */
INLINE double by_distance(double t, double d, double N, double near, double k, double Z, double cotangent) {
    const int close = fabs(t) < NEAR;
    return N * (close ? 0.0 : k) - Z * (close ? near * d : cotangent);
}

/* L^2, and g times its derivatives by the three distances; those by the numbers are added to the lane's sums. */
INLINE double square_vjp(int wants_numbers, double dh, double dk, double dl, const struct shape_numbers *s, double g,
                         int lane, double *by_h, double *by_k, double *by_l, struct number_lanes *restrict sums) {
    double a = copysign(away_from_zero(dh), dh), b = copysign(away_from_zero(dk), dk);
    double c = copysign(away_from_zero(dl), dl);
    double ta = s->N[0] * a, tb = s->N[1] * b, tc = s->N[2] * c;
    struct angle na = angle_of(a), nb = angle_of(b), nc = angle_of(c);
    struct angle wa = angle_of(ta - rint(ta)), wb = angle_of(tb - rint(tb)), wc = angle_of(tc - rint(tc));
    double ya = wa.norm * na.half_sine, yb = wb.norm * nb.half_sine, yc = wc.norm * nc.half_sine, yab = ya * yb;
    double inverse = RATIO(1.0, yab * yc), rest = inverse * yc;
    struct axis A = axis_of(wa, na, rest * yb), B = axis_of(wb, nb, rest * ya), C = axis_of(wc, nc, inverse * yab);
    double rbc = B.r * C.r, L = A.r * rbc, Y = PI * g * L, Z = Y * L;
    double ka = Y * rbc * A.wide, kb = Y * (A.r * C.r) * B.wide, kc = Y * (A.r * B.r) * C.wide;
    *by_h = by_distance(ta, a, s->N[0], s->near[0], ka, Z, A.cotangent);
    *by_k = by_distance(tb, b, s->N[1], s->near[1], kb, Z, B.cotangent);
    *by_l = by_distance(tc, c, s->N[2], s->near[2], kc, Z, C.cotangent);
    if (wants_numbers) {
        sums->N[0][lane] += a * ka;
        sums->N[1][lane] += b * kb;
        sums->N[2][lane] += c * kc;
    }
    return L * L;
}

/* The same for ROUND, GAUSS and TOPHAT: L = cells f(u), u = scale |W^T d|^2. */
INLINE double radial_vjp(int shape, double dh, double dk, double dl, const struct shape_numbers *s, double g, int lane,
                         double *by_h, double *by_k, double *by_l, struct number_lanes *restrict sums) {
    const double *W = s->W;
    double x = dh * W[0] + dk * W[3] + dl * W[6];
    double y = dh * W[1] + dk * W[4] + dl * W[7];
    double z = dh * W[2] + dk * W[5] + dl * W[8];
    double square = x * x + y * y + z * z, u = s->scale * square, f, slope;
    if (shape == ROUND) {
        f = ROUND_FACTOR * sphere(u, &slope);
        slope *= ROUND_FACTOR;
    } else if (shape == GAUSS) {
        f = exponential(u * (-1.0 / GAUSS_RADIUS));
        slope = f * (-1.0 / GAUSS_RADIUS);
    } else {
        f = u < TOPHAT_CUT ? 1.0 : 0.0;
        slope = 0.0;
    }
    double by_u = 2.0 * s->cells * s->cells * f * slope, step = g * 2.0 * s->scale * by_u;
    *by_h = step * (W[0] * x + W[1] * y + W[2] * z);
    *by_k = step * (W[3] * x + W[4] * y + W[5] * z);
    *by_l = step * (W[6] * x + W[7] * y + W[8] * z);
    sums->cells[lane] += g * 2.0 * s->cells * f * f;
    if (shape == TOPHAT) return s->cells * s->cells * f;
    double gx = step * x, gy = step * y, gz = step * z;
    sums->scale[lane] += g * by_u * square;
    sums->W[0][lane] += gx * dh;
    sums->W[1][lane] += gy * dh;
    sums->W[2][lane] += gz * dh;
    sums->W[3][lane] += gx * dk;
    sums->W[4][lane] += gy * dk;
    sums->W[5][lane] += gz * dk;
    sums->W[6][lane] += gx * dl;
    sums->W[7][lane] += gy * dl;
    sums->W[8][lane] += gz * dl;
    return s->cells * s->cells * f * f;
}

/* The intensity of DIFFUSE, and g times its derivatives by h, k, l. */
INLINE double diffuse_vjp(double h, double k, double l, double dh, double dk, double dl, const struct shape_numbers *s,
                          double g, int lane, double *by_h, double *by_k, double *by_l,
                          struct number_lanes *restrict sums) {
    const double *N = s->N, *W = s->W;
    double X = form(N, W, h, k, l), by_below = RATIO(1.0, 1.0 + form(W + 3, W + 6, dh, dk, dl));
    double part = by_below * by_below, by_X = g * s->scale * part, by_Y = -2.0 * by_X * X * by_below;
    *by_h = 2.0 * (by_X * (N[0] * h + W[0] * k + W[1] * l) + by_Y * (W[3] * dh + W[6] * dk + W[7] * dl));
    *by_k = 2.0 * (by_X * (W[0] * h + N[1] * k + W[2] * l) + by_Y * (W[6] * dh + W[4] * dk + W[8] * dl));
    *by_l = 2.0 * (by_X * (W[1] * h + W[2] * k + N[2] * l) + by_Y * (W[7] * dh + W[8] * dk + W[5] * dl));
    sums->scale[lane] += g * X * part;
    sums->N[0][lane] += by_X * h * h;
    sums->N[1][lane] += by_X * k * k;
    sums->N[2][lane] += by_X * l * l;
    sums->W[0][lane] += 2.0 * by_X * h * k;
    sums->W[1][lane] += 2.0 * by_X * h * l;
    sums->W[2][lane] += 2.0 * by_X * k * l;
    sums->W[3][lane] += by_Y * dh * dh;
    sums->W[4][lane] += by_Y * dk * dk;
    sums->W[5][lane] += by_Y * dl * dl;
    sums->W[6][lane] += 2.0 * by_Y * dh * dk;
    sums->W[7][lane] += 2.0 * by_Y * dh * dl;
    sums->W[8][lane] += 2.0 * by_Y * dk * dl;
    return s->scale * X * part;
}

#endif
