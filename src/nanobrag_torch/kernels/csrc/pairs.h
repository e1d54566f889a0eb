/* The phase in pairs of singles, for cards whose double arithmetic is slow: h = a.S to about 1e-13 of its largest term,
 * its nearest whole number, and the fraction in single precision; the sum over orientations in a pair. Cells come as
 * pairs in the place of doubles. Only for dtype float32, and not for interpolation, which needs h itself. */
#ifndef NANOBRAG_PAIRS_H
#define NANOBRAG_PAIRS_H

#include "target.h"

struct pair {
    float high, low; /* the number is their sum; |low| is at most half a unit in the last place of high */
};

INLINE struct pair pair_of(double x) {
    struct pair p;
    p.high = (float)x;
    p.low = (float)(x - (double)p.high);
    return p;
}

INLINE struct pair pair_product(struct pair a, struct pair b) {
    struct pair p;
    p.high = a.high * b.high;
    p.low = fmaf(a.low, b.high, fmaf(a.high, b.low, fmaf(a.high, b.high, -p.high)));
    return p;
}

INLINE struct pair pair_sum(struct pair a, struct pair b) {
    float sum = a.high + b.high, part = sum - a.high;
    float wrong = (a.high - (sum - part)) + (b.high - part) + (a.low + b.low);
    struct pair p;
    p.high = sum + wrong;
    p.low = wrong - (p.high - sum);
    return p;
}

/* h = a.S, its nearest whole number ceil(h - 1/2), and what is left. */
INLINE float split_pairs(const struct pair *a, const struct pair *S, float *whole) {
    struct pair h = pair_sum(pair_sum(pair_product(a[0], S[0]), pair_product(a[1], S[1])), pair_product(a[2], S[2]));
    float nearest = ceilf(h.high - 0.5f), left = (h.high - nearest) + h.low;
    float step = left > 0.5f ? 1.0f : left <= -0.5f ? -1.0f : 0.0f;
    *whole = nearest + step;
    return left - step;
}

#endif
