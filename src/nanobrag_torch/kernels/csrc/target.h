/* What the code is compiled for: a processor, whose loops over LANES become vectors; a card, on which a thread has one
 * lane and a group of threads adds up together; or a card's code on a processor (EMULATED), a group of one thread.
 *
 * INLINE       part of its caller          NOINLINE   compiled once per file
 * LOCAL        a copy of numbers that a vectorised loop keeps in registers; a card reads them where they are
 * SIMD         the lanes are independent   REDUCE     the same but for sums over them
 * ROLLED       the next loop stays a loop on a card, whose registers it would exhaust
 * STRIDE       from one number to the next where every lane has its own
 * GROUP_ANY    whether a condition holds for any thread of the group
 * GROUP_ADD    add a number of every thread of the group at one place, always in the same order
 * SHARED_ADD   add at a place that threads of several groups share
 * RATIO, ROOT  quotient and square root, on a card without the branches for numbers that do not occur
 * CHOICE       a choice of the scene: a constant where the code is compiled for one scene (FIXED)
 * TAP          a number that the tracing build (trace.c) writes down; nothing elsewhere */
#ifndef NANOBRAG_TARGET_H
#define NANOBRAG_TARGET_H

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define ON_CARD
#endif

#ifdef __CUDACC_RTC__
typedef long long int64_t;
typedef int int32_t;
typedef unsigned long long uint64_t;
typedef unsigned int uint32_t;
#else
#include <math.h>
#include <stdint.h>
#include <string.h>
#endif

#ifdef ON_CARD
#define WARP 32
#define INLINE static __device__ __forceinline__
#define NOINLINE INLINE
#define SIMD
#define REDUCE(...)
#define restrict __restrict__
#define ROLLED _Pragma("unroll 1")
#else
#define PRAGMA(...) _Pragma(#__VA_ARGS__)
#define ROLLED
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline, unused))
#ifdef EMULATED
#define WARP 1
#define SIMD
#define REDUCE(...)
#else
#define SIMD PRAGMA(omp simd)
#define REDUCE(...) PRAGMA(omp simd reduction(__VA_ARGS__))
#endif
#endif

#ifdef WARP
#define LANES 1
#ifndef THREADS_PER_BLOCK
#define THREADS_PER_BLOCK 128
#endif
#define STRIDE THREADS_PER_BLOCK
#define LOCAL(NAME, FROM, LENGTH) const double *const NAME = (FROM);
#else
#ifndef LANES
#define LANES 128
#endif
#define STRIDE LANES
#define LOCAL(NAME, FROM, LENGTH) \
    double NAME[LENGTH];          \
    memcpy(NAME, FROM, sizeof NAME);
#endif

#ifdef ON_CARD
INLINE double group_sum(double x) {
    for (int step = WARP / 2; step; step /= 2) x += __shfl_down_sync(0xffffffffu, x, step);
    return x; /* in the group's first thread */
}
#define GROUP_ANY(CONDITION) __any_sync(0xffffffffu, (CONDITION))
#define GROUP_ADD(PLACE, VALUE)                                        \
    {                                                                  \
        const double whole = group_sum(VALUE);                         \
        if (threadIdx.x % WARP == 0) (PLACE) += whole;                 \
    }
#define SHARED_ADD(PLACE, VALUE) atomicAdd(&(PLACE), (VALUE))
/* A guess of 20 bits or more, and Newton's steps. */
INLINE double ratio(double a, double b) {
    double y, q;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(b));
    y = fma(fma(-b, y, 1.0), y, y);
    y = fma(fma(-b, y, 1.0), y, y);
    q = a * y;
    return fma(fma(-b, q, a), y, q);
}
INLINE double root(double x) {
    double y, r;
    asm("rsqrt.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
    y = fma(y, fma(-0.5 * x * y, y, 0.5), y);
    y = fma(y, fma(-0.5 * x * y, y, 0.5), y);
    r = x * y;
    return x > 0.0 ? fma(fma(-r, r, x), 0.5 * y, r) : 0.0;
}
#define RATIO(A, B) ratio((A), (B))
#define RATIOF(A, B) __fdividef((A), (B))
#define ROOT(X) root(X)
#else
#define RATIO(A, B) ((A) / (B))
#define RATIOF(A, B) ((A) / (B))
#define ROOT(X) sqrt(X)
#define GROUP_ANY(CONDITION) (CONDITION)
#define GROUP_ADD(PLACE, VALUE) (PLACE) += (VALUE);
#define SHARED_ADD(PLACE, VALUE) (PLACE) += (VALUE)
#endif

#ifdef TRACED
#define TAP(NAME, VALUE) { tap(NAME, (double)(VALUE)); }
#else
#define TAP(NAME, VALUE) {}
#endif
#define TAP3(NAME, A, B, C) TAP(NAME, A) TAP(NAME, B) TAP(NAME, C)

#ifdef FIXED
#define CHOICE(CONFIG, NAME) FIXED_##NAME
#else
#define CHOICE(CONFIG, NAME) ((int)(CONFIG)[NAME])
#endif

#endif
