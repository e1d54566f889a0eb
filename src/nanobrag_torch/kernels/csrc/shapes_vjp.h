/* Derivatives of L^2 for one lane, in double. */
#ifndef NANOBRAG_SHAPES_VJP_H
#define NANOBRAG_SHAPES_VJP_H

#include "shapes.h"

#define NEAR 0.003 /* N d below which the series of the derivative is the more accurate formula */

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

/* d, kept away from 0 with its sign. */
INLINE double nonzero(double d) { return copysign(away_from_zero(d), d); }

/* Ratio r = sin(pi N d)/sin(pi d) from d and 1/sin(pi d), and its derivatives by d and N. Near d = 0 the derivative by
 * d would cancel, so the series -r d (c1 + c2 d^2) takes over, with its coefficients in `near`. */
INLINE double ratio(double d, double N, const double *near, double by_sine, double *by_d, double *by_N) {
    double t = N * d, u = d * d;
    const int close = fabs(t) < NEAR;
    t = t - rint(t);
    double wide_cosine = short_pi_cosine(t * t), r = t * short_sine_quotient(t * t) * by_sine;
    double far = (N * wide_cosine - r * short_pi_cosine(u)) * by_sine;
    *by_d = close ? -r * d * (near[0] + near[1] * u) : far;
    *by_N = d * wide_cosine * by_sine;
    return r;
}

/* L^2, and g times its derivatives by the three distances; those by the numbers are added to the lane's sums. */
INLINE double square_vjp(int wants_numbers, double dh, double dk, double dl, const struct shape_numbers *s, double g,
                         int lane, double *by_h, double *by_k, double *by_l, struct number_lanes *restrict sums) {
    double a = nonzero(dh), b = nonzero(dk), c = nonzero(dl);
    double sa = a * short_sine_quotient(a * a), sb = b * short_sine_quotient(b * b);
    double sc = c * short_sine_quotient(c * c), sab = sa * sb, a_d, a_N, b_d, b_N, c_d, c_N;
    double inverse = 1.0 / (sab * sc), rest = inverse * sc;
    double ra = ratio(a, s->N[0], s->near[0], rest * sb, &a_d, &a_N);
    double rb = ratio(b, s->N[1], s->near[1], rest * sa, &b_d, &b_N);
    double rc = ratio(c, s->N[2], s->near[2], inverse * sab, &c_d, &c_N);
    double rbc = rb * rc, L = ra * rbc, G = (g + g) * L;
    double bc = G * rbc, ac = G * (ra * rc), ab = G * (ra * rb);
    *by_h = bc * a_d;
    *by_k = ac * b_d;
    *by_l = ab * c_d;
    if (wants_numbers) {
        sums->N[0][lane] += bc * a_N;
        sums->N[1][lane] += ac * b_N;
        sums->N[2][lane] += ab * c_N;
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

#endif
