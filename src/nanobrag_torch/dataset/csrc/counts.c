/* Poisson deviates of many pixels, each a function of seed, image and pixel; the same arithmetic as noise.py.
 *
 * Philox4x32-10 (Salmon et al., 2011). Counter: block, image low, image high, stage; key: the seed. Stage 0: word i of
 * block b is the deviate of pixel 4 b + i, for inversion. Stage a = 1, 2, ...: block b holds attempt a of pixel b.
 * Compiled without contraction of products and sums, so that every compiler gives the same bits.
 */
#include <math.h>
#include <stdint.h>

#define ROUNDS 10
#define CHUNK 256 /* pixels; a multiple of 4 */
#define LARGEST_INVERTED 12.0
#define MOST_STEPS 80 /* P(n > 80 | 12) < 1e-37, far below 2^-32 */
#define LARGEST_MEAN 1e15

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
CLONED static void words(uint32_t first, const uint32_t image[2], const uint32_t key[2], uint32_t out[CHUNK]) {
    enum { N = CHUNK / 4 };
    uint32_t a[N], b[N], c[N], d[N];
    for (int i = 0; i < N; i++) {
        a[i] = first + (uint32_t)i;
        b[i] = image[0];
        c[i] = image[1];
        d[i] = 0;
    }
    uint32_t k0 = key[0], k1 = key[1];
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

static double log_factorial(double n) { return lgamma(n + 1.0); }

/* Transformed rejection with squeeze (PTRS; Hörmann, Insurance Math. Econom. 12 (1993) 39). */
static double rejected(double mean, uint32_t pixel, const uint32_t image[2], const uint32_t key[2]) {
    double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2.0), log_mean = log(mean);
    for (uint32_t attempt = 1;; attempt++) {
        uint32_t c[4] = {pixel, image[0], image[1], attempt};
        philox(c, key[0], key[1]);
        double u = ((double)c[0] + ((double)c[1] + 0.5) * (1.0 / 4294967296.0)) * (1.0 / 4294967296.0) - 0.5;
        double v = ((double)c[2] + ((double)c[3] + 0.5) * (1.0 / 4294967296.0)) * (1.0 / 4294967296.0);
        double us = 0.5 - fabs(u);
        double k = floor((2.0 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= v_r)
            return k;
        if (k < 0.0 || (us < 0.013 && v > us))
            continue;
        if (log(v * inverse_alpha / (a / (us * us) + b)) <= k * log_mean - mean - log_factorial(k))
            return k;
    }
}

/* Deviates of `count` pixels of one image. Means that are not positive give 0, those above 1e15 themselves. */
void nanobrag_poisson(const double *mean, int64_t count, uint64_t seed, uint64_t number, double *out) {
    const uint32_t image[2] = {(uint32_t)number, (uint32_t)(number >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    double means[CHUNK], found[CHUNK];
    uint32_t u[CHUNK];
    for (int64_t start = 0; start < count; start += CHUNK) {
        int64_t size = count - start < CHUNK ? count - start : CHUNK;
        int any_large = 0;
        for (int i = 0; i < CHUNK; i++) {
            means[i] = i < size ? mean[start + i] : 0.0;
            any_large |= means[i] >= LARGEST_INVERTED;
        }
        words((uint32_t)(start / 4), image, key, u);
        invert(means, u, found);
        if (any_large)
            for (int i = 0; i < size; i++)
                if (means[i] >= LARGEST_INVERTED)
                    found[i] = means[i] <= LARGEST_MEAN ? rejected(means[i], (uint32_t)(start + i), image, key)
                                                        : floor(means[i]);
        for (int i = 0; i < size; i++)
            out[start + i] = found[i];
    }
}
