/* Poisson and normal deviates of many pixels, each a function of seed, frame, purpose and pixel; the same arithmetic as
 * nanobrag_torch/random.py.
 *
 * Philox4x32-10 (Salmon et al., 2011). Counter: block, frame low, frame high, purpose and stage; key: the seed. Stage 0:
 * word i of block b is the deviate of pixel 4 b + i, for inversion. Stage a = 1, 2, ...: block b holds attempt a of
 * pixel b; a normal deviate takes the first. Compiled without contraction of products and sums, so that every compiler
 * gives the same bits.
 */
#include <math.h>
#include <stdint.h>

#define ROUNDS 10
#define CHUNK 256 /* pixels; a multiple of 4 */
#define LARGEST_INVERTED 12.0
#define MOST_STEPS 80 /* P(n > 80 | 12) < 1e-37, far below 2^-32 */
#define LARGEST_MEAN 1e15
#define MOST_ATTEMPTS 1000
#define PI 3.14159265358979323846

/* What the numbers of one call have in common. */
typedef struct {
    uint32_t key[2], frame[2], purpose; /* the purpose in the highest 8 bits */
} stream;

/* The same code for several instruction sets; without contraction they agree in every bit. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__ELF__) && __GNUC__ >= 12
#define CLONED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONED
#endif

static inline void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[0] = n0;
        c[1] = (uint32_t)p1;
        c[2] = n2;
        c[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* CHUNK / 4 blocks side by side, so that the compiler can use vectors. */
CLONED static void words(uint32_t first, const stream *s, uint32_t out[CHUNK]) {
    enum { N = CHUNK / 4 };
    uint32_t a[N], b[N], c[N], d[N];
    for (int i = 0; i < N; i++) {
        a[i] = first + (uint32_t)i;
        b[i] = s->frame[0];
        c[i] = s->frame[1];
        d[i] = s->purpose;
    }
    uint32_t k0 = s->key[0], k1 = s->key[1];
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < N; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * a[i], p1 = (uint64_t)0xCD9E8D57u * c[i];
            uint32_t n0 = (uint32_t)(p1 >> 32) ^ b[i] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ d[i] ^ k1;
            a[i] = n0;
            b[i] = (uint32_t)p1;
            c[i] = n2;
            d[i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < N; i++) {
        out[4 * i] = a[i];
        out[4 * i + 1] = b[i];
        out[4 * i + 2] = c[i];
        out[4 * i + 3] = d[i];
    }
}

/* exp(-x) of 0 <= x <= 12 to 2e-16: (exp(-x/64))^64 by a polynomial and six squarings. */
static inline double exp_minus(double x) {
    double t = x * (-1.0 / 64.0);
    double p = 1.0 + t * (1.0 / 10.0);
    p = 1.0 + t * (1.0 / 9.0) * p;
    p = 1.0 + t * (1.0 / 8.0) * p;
    p = 1.0 + t * (1.0 / 7.0) * p;
    p = 1.0 + t * (1.0 / 6.0) * p;
    p = 1.0 + t * (1.0 / 5.0) * p;
    p = 1.0 + t * (1.0 / 4.0) * p;
    p = 1.0 + t * (1.0 / 3.0) * p;
    p = 1.0 + t * (1.0 / 2.0) * p;
    p = 1.0 + t * p;
    p = p * p;
    p = p * p;
    p = p * p;
    p = p * p;
    p = p * p;
    p = p * p;
    return p;
}

/* The number of n with P(N <= n) < u, for CHUNK pixels together; means out of range count as 0 here. */
CLONED static void invert(const double mean[CHUNK], const uint32_t u[CHUNK], double out[CHUNK]) {
    double term[CHUNK], sum[CHUNK], deviate[CHUNK], m[CHUNK];
    for (int i = 0; i < CHUNK; i++) {
        m[i] = (mean[i] > 0.0) & (mean[i] < LARGEST_INVERTED) ? mean[i] : 0.0;
        term[i] = exp_minus(m[i]);
        sum[i] = term[i];
        deviate[i] = ((double)u[i] + 0.5) * (1.0 / 4294967296.0);
        out[i] = 0.0;
    }
    for (int n = 1; n < MOST_STEPS; n++) {
        double inverse = 1.0 / (double)n, more = 0.0;
        for (int i = 0; i < CHUNK; i++) {
            double beyond = deviate[i] > sum[i] ? 1.0 : 0.0;
            out[i] += beyond;
            term[i] = term[i] * (m[i] * inverse);
            sum[i] = sum[i] + term[i];
            deviate[i] = beyond > 0.0 ? deviate[i] : -1.0; /* once passed, passed for good */
        }
        for (int i = 0; i < CHUNK; i++) /* exact: whole numbers */
            more += deviate[i] > 0.0 ? 1.0 : 0.0;
        if (more == 0.0)
            break;
    }
}

/* ln n!: a table, then Stirling's series, good to 1e-10 from n = 10 on. lgamma is not safe among threads. */
static double log_factorial(double n) {
    static const double small[10] = {0.0, 0.0, 0.69314718055994531, 1.791759469228055, 3.1780538303479456,
                                     4.787491742782046, 6.579251212010101, 8.525161361065415, 10.60460290274525,
                                     12.801827480081469};
    if (n < 10.0) return small[(int)n];
    double r = 1.0 / n, q = r * r;
    return (n + 0.5) * log(n) - n + 0.91893853320467274 + r * (1.0 / 12.0 - q * (1.0 / 360.0 - q * (1.0 / 1260.0)));
}

/* Two deviates in (0, 1) of one pixel and stage. */
static inline void uniforms(uint32_t pixel, uint32_t stage, const stream *s, double *u, double *v) {
    uint32_t c[4] = {pixel, s->frame[0], s->frame[1], s->purpose | stage};
    philox(c, s->key[0], s->key[1]);
    *u = ((double)(c[0] >> 5) * 67108864.0 + (double)(c[1] >> 6) + 0.5) * (1.0 / 9007199254740992.0);
    *v = ((double)(c[2] >> 5) * 67108864.0 + (double)(c[3] >> 6) + 0.5) * (1.0 / 9007199254740992.0);
}

/* Transformed rejection with squeeze (PTRS; Hörmann, Insurance Math. Econom. 12 (1993) 39). */
static double rejected(double mean, uint32_t pixel, const stream *s) {
    double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2.0), log_mean = log(mean);
    for (uint32_t attempt = 1; attempt < MOST_ATTEMPTS; attempt++) {
        double u, v;
        uniforms(pixel, attempt, s, &u, &v);
        u -= 0.5;
        double us = 0.5 - fabs(u), k = floor((2.0 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= v_r) return k;
        if (k < 0.0 || (us < 0.013 && v > us)) continue;
        if (log(v * inverse_alpha / (a / (us * us) + b)) <= k * log_mean - mean - log_factorial(k)) return k;
    }
    return floor(mean);
}

static stream stream_of(uint64_t seed, uint64_t frame, uint32_t purpose) {
    const stream s = {{(uint32_t)seed, (uint32_t)(seed >> 32)}, {(uint32_t)frame, (uint32_t)(frame >> 32)},
                      purpose << 24};
    return s;
}

/* Deviates of the pixels start .. start + CHUNK - 1 that lie among first .. first + count - 1. */
static void chunk(const double *mean, int64_t first, int64_t count, int64_t start, const stream *s, double *out) {
    double means[CHUNK], found[CHUNK];
    uint32_t u[CHUNK];
    int any_large = 0;
    for (int i = 0; i < CHUNK; i++) {
        const int64_t at = start + i - first;
        means[i] = at >= 0 && at < count ? mean[at] : 0.0;
        any_large |= means[i] >= LARGEST_INVERTED;
    }
    words((uint32_t)(start / 4), s, u);
    invert(means, u, found);
    for (int i = 0; any_large && i < CHUNK; i++)
        if (means[i] >= LARGEST_INVERTED)
            found[i] = means[i] <= LARGEST_MEAN ? rejected(means[i], (uint32_t)(start + i), s) : floor(means[i]);
    for (int i = 0; i < CHUNK; i++) {
        const int64_t at = start + i - first;
        if (at >= 0 && at < count) out[at] = found[i];
    }
}

/* Poisson deviates of the means [count] of pixels first, first + 1, ... Means that are not positive give 0, those above
 * 1e15 themselves. */
void nanobrag_philox_poisson(const double *mean, int64_t count, int64_t first, uint64_t seed, uint64_t frame,
                             uint32_t purpose, int threads, double *out) {
    const stream s = stream_of(seed, frame, purpose);
    const int64_t aligned = first - first % 4, chunks = (first + count - aligned + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < chunks; i++) chunk(mean, first, count, aligned + i * CHUNK, &s, out);
    (void)threads;
}

/* Normal deviates [count] of pixels first, first + 1, ... (Box and Muller). */
void nanobrag_philox_normal(int64_t count, int64_t first, uint64_t seed, uint64_t frame, uint32_t purpose, int threads,
                            double *out) {
    const stream s = stream_of(seed, frame, purpose);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < count; i++) {
        double u, v;
        uniforms((uint32_t)(first + i), 1, &s, &u, &v);
        out[i] = sqrt(-2.0 * log(u)) * cos(2.0 * PI * v);
    }
    (void)threads;
}

/* Uniform deviates [count] in (0, 1) of pixels first, first + 1, ...: the first of the two of stage 1. */
void nanobrag_philox_uniform(int64_t count, int64_t first, uint64_t seed, uint64_t frame, uint32_t purpose, int threads,
                             double *out) {
    const stream s = stream_of(seed, frame, purpose);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < count; i++) {
        double v;
        uniforms((uint32_t)(first + i), 1, &s, &out[i], &v);
    }
    (void)threads;
}
