/* Derivatives of L^2 for one lane, in double. */
#ifndef NANOBRAG_SHAPES_VJP_H
#define NANOBRAG_SHAPES_VJP_H

#include "shapes.h"

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

/* One axis of SQUARE: what sin(pi N d)/sin(pi d) is made of. */
struct axis {
    double wide_sine, wide_cosine, sine, cosine, d;
};

INLINE struct axis axis_of(double d, double N) {
    struct axis x;
    x.d = copysign(away_from_zero(d), d);
    double t = N * x.d;
    t = t - rint(t);
    x.wide_sine = t * sine_quotient(t * t);
    x.wide_cosine = cosine(t * t);
    x.sine = x.d * sine_quotient(x.d * x.d);
    x.cosine = cosine(x.d * x.d);
    return x;
}

/* -(cot x - 1/x)/x for small x, from u = x^2. */
INLINE double cotangent_rest(double u) {
    return 1.0 / 3.0 + u * (1.0 / 45.0 + u * (2.0 / 945.0 + u * (1.0 / 4725.0 + u * (2.0 / 93555.0))));
}

/* Ratio r, and its derivatives by d and N; near d = 0 the derivative by d would cancel, so a series takes over. */
INLINE double ratio(const struct axis *x, double N, double by_sine, double *by_d, double *by_N) {
    double r = x->wide_sine * by_sine;
    double far = PI * (N * x->wide_cosine - r * x->cosine) * by_sine;
    double narrow = PI * x->d, wide = N * narrow;
    double near = -PI * r * (N * wide * cotangent_rest(wide * wide) - narrow * cotangent_rest(narrow * narrow));
    *by_d = (fabs(N * x->d) < 0.02) & (fabs(x->d) < 0.02) ? near : far;
    *by_N = PI * x->wide_cosine * x->d * by_sine;
    return r;
}

/* L^2, its derivatives by d [3]; those by the numbers, times g, are added to the lane's sums. */
INLINE double square_vjp(double dh, double dk, double dl, const struct shape_numbers *s, double g, int lane,
                         double *by_d, struct number_lanes *restrict sums) {
    struct axis a = axis_of(dh, s->N[0]), b = axis_of(dk, s->N[1]), c = axis_of(dl, s->N[2]);
    double inverse = 1.0 / (a.sine * b.sine * c.sine), a_d, a_N, b_d, b_N, c_d, c_N;
    double ra = ratio(&a, s->N[0], inverse * b.sine * c.sine, &a_d, &a_N);
    double rb = ratio(&b, s->N[1], inverse * a.sine * c.sine, &b_d, &b_N);
    double rc = ratio(&c, s->N[2], inverse * a.sine * b.sine, &c_d, &c_N);
    double L = ra * rb * rc, bc = 2.0 * L * rb * rc, ac = 2.0 * L * ra * rc, ab = 2.0 * L * ra * rb;
    by_d[0] = bc * a_d;
    by_d[1] = ac * b_d;
    by_d[2] = ab * c_d;
    sums->N[0][lane] += g * bc * a_N;
    sums->N[1][lane] += g * ac * b_N;
    sums->N[2][lane] += g * ab * c_N;
    return L * L;
}

/* The same for ROUND, GAUSS and TOPHAT: L = cells f(u), u = scale |W^T d|^2. */
INLINE double radial_vjp(int shape, double dh, double dk, double dl, const struct shape_numbers *s, double g, int lane,
                         double *by_d, struct number_lanes *restrict sums) {
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
    double by_u = 2.0 * s->cells * s->cells * f * slope, step = 2.0 * s->scale * by_u;
    by_d[0] = step * (W[0] * x + W[1] * y + W[2] * z);
    by_d[1] = step * (W[3] * x + W[4] * y + W[5] * z);
    by_d[2] = step * (W[6] * x + W[7] * y + W[8] * z);
    sums->cells[lane] += g * 2.0 * s->cells * f * f;
    if (shape == TOPHAT) return s->cells * s->cells * f;
    double gx = g * step * x, gy = g * step * y, gz = g * step * z;
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
