/* Elementary functions without branches, in double and single precision, so that loops over lanes become vectors.
 * Sines and cosines are of pi times a number that was reduced to [-1/2, 1/2] before. */
#ifndef NANOBRAG_POLYNOMIALS_H
#define NANOBRAG_POLYNOMIALS_H

#include "problem.h"

/* sin(pi t)/t as a function of u = t*t <= 1/4; relative error below 2e-16. */
INLINE double sine_quotient(double u) {
    double p = -2.113362735205297e-05;
    p = p * u + 0.0004659870158043378;
    p = p * u - 0.0073703643265304155;
    p = p * u + 0.08214587881631043;
    p = p * u - 0.599264528825224;
    p = p * u + 2.5501640398618677;
    p = p * u - 5.1677127800497855;
    return p * u + 3.1415926535897927;
}

/* The same in single precision; relative error of the polynomial 7e-9. */
INLINE float sine_quotientf(float u) {
    float p = 0.07765591227601387f;
    p = p * u - 0.5982904112834275f;
    p = p * u + 2.550077386528912f;
    p = p * u - 5.167710076668315f;
    return p * u + 3.1415926400772034f;
}

/* cos(pi t) as a function of u = t*t <= 1/4; error below 1e-16. */
INLINE double cosine(double u) {
    double p = 4.149564504842947e-06;
    p = p * u - 0.00010456655352897176;
    p = p * u + 0.001929556272535366;
    p = p * u - 0.025806888737012743;
    p = p * u + 0.235330630129534;
    p = p * u - 1.335262768843447;
    p = p * u + 4.058712126416497;
    p = p * u - 4.934802200544676;
    return p * u + 1.0;
}

/* The same in single precision; error of the polynomial 2e-10. */
INLINE float cosinef(float u) {
    float p = -0.02439593347284767f;
    p = p * u + 0.23493706936898423f;
    p = p * u - 1.3352119495411017f;
    p = p * u + 4.0587091547749035f;
    p = p * u - 4.934802136929261f;
    return p * u + 1.0f;
}

/* The angle pi t, |t| <= 1/2, for derivatives: tan(pi t/2) = p/q with a relative error of 2.4e-14 gives sine, cosine
 * and their ratios without a division each: sin(pi t) = 2 half_sine/norm, cos(pi t) = cosine/norm. */
struct angle {
    double half_sine, cosine, norm;
};

INLINE struct angle angle_of(double t) {
    double u = t * t;
    double p = t * ((321.19420853459737 - 13.276775132628223 * u) * u - 1072.77325089831342);
    double q = ((u - 84.2327514307495794) * u + 766.18134459245654) * u - 682.948662788930794;
    double square = p * p;
    struct angle a = {p * q, q * q - square, q * q + square};
    return a;
}

/* Sine and cosine of any angle (rad) below about 1e8. */
INLINE void sine_cosine(double angle, double *sine_out, double *cosine_out) {
    double turns = angle * (1.0 / PI), whole = rint(turns), t = turns - whole;
    double odd = fabs(whole - 2.0 * rint(0.5 * whole)), sign = 1.0 - 2.0 * odd;
    *sine_out = sign * t * sine_quotient(t * t);
    *cosine_out = sign * cosine(t * t);
}

/* exp(x); x below -708 counts as -708. Relative error about 2e-16. */
INLINE double exponential(double x) {
    const double shift = 6755399441055744.0; /* 1.5 * 2^52: adding it leaves the rounded number in the low bits */
    double bounded = x > -708.0 ? x : -708.0;
    double shifted = bounded * 1.4426950408889634 + shift, n = shifted - shift;
    double r = bounded - n * 6.93147180369123816490e-01;
    r = r - n * 1.90821492927058770002e-10;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023u) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* exp(x) in single precision; x below -87 counts as -87. */
INLINE float exponentialf(float x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    float bounded = x > -87.0f ? x : -87.0f;
    float shifted = bounded * 1.44269504f + shift, n = shifted - shift;
    float r = bounded - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* 1/sqrt(x) of a positive x: a guess from the exponent, then steps that each cube or square its error (0.035, 1e-4,
 * 3e-12, rounding). The last one is left out where 3e-12 is enough. */
INLINE double inverse_root(double x, int precise) {
    uint64_t bits;
    double y, wrong;
    memcpy(&bits, &x, sizeof bits);
    bits = 0x5fe6eb50c7b537a9u - (bits >> 1);
    memcpy(&y, &bits, sizeof y);
    wrong = 1.0 - x * y * y;
    y += y * (wrong * (0.5 + 0.375 * wrong));
    wrong = 1.0 - x * y * y;
    y += y * (wrong * (0.5 + 0.375 * wrong));
    if (!precise) return y;
    wrong = 1.0 - x * y * y;
    return y + 0.5 * y * wrong;
}

/* B = 3 (sin x/x - cos x)/x^2 up to sign, from u = x^2 and the reduced sine and cosine; a series below x = 1. */
INLINE double sphere_series(double u) {
    double p = 6.0 * 9 / 121645100408832000.0;
    p = 6.0 * 8 / 355687428096000.0 - p * u;
    p = 6.0 * 7 / 1307674368000.0 - p * u;
    p = 6.0 * 6 / 6227020800.0 - p * u;
    p = 6.0 * 5 / 39916800.0 - p * u;
    p = 6.0 * 4 / 362880.0 - p * u;
    p = 6.0 * 3 / 5040.0 - p * u;
    p = 6.0 * 2 / 120.0 - p * u;
    return 1.0 - p * u;
}

/* Derivative of the series by u. */
INLINE double sphere_series_slope(double u) {
    double p = 8 * 6.0 * 9 / 121645100408832000.0;
    p = 7 * 6.0 * 8 / 355687428096000.0 - p * u;
    p = 6 * 6.0 * 7 / 1307674368000.0 - p * u;
    p = 5 * 6.0 * 6 / 6227020800.0 - p * u;
    p = 4 * 6.0 * 5 / 39916800.0 - p * u;
    p = 3 * 6.0 * 4 / 362880.0 - p * u;
    p = 2 * 6.0 * 3 / 5040.0 - p * u;
    return -(6.0 * 2 / 120.0 - p * u);
}

#endif
