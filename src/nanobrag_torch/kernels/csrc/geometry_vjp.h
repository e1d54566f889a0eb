/* The adjoint of a flat panel's geometry for one block. */
#ifndef NANOBRAG_GEOMETRY_VJP_H
#define NANOBRAG_GEOMETRY_VJP_H

#include "geometry.h"

/* Derivatives of the loss by what the loops need of one sub-pixel. */
struct sub_pixel_turn {
    double x[LANES], y[LANES], z[LANES], omega[LANES], kappa[LANES];
};

INLINE void clear_turn(struct sub_pixel_turn *t) { memset(t, 0, sizeof *t); }

/* From the derivative by p of one source: those by the direction, and by the source and K (added to). */
INLINE void polarize_vjp(const struct scene *scene, const struct sub_pixel *restrict at, const double *source,
                         const double *restrict by_p, struct sub_pixel_turn *restrict turn, double *by_source,
                         double *by_geometry) {
    const double K = scene->geometry[KAHN];
    const double *I = source + INCIDENT, *E = source + ELECTRIC, *B = source + MAGNETIC;
    const double along = axis_along(E);
    double ix = 0, iy = 0, iz = 0, ex = 0, ey = 0, ez = 0, bx = 0, by = 0, bz = 0, kahn = 0;
#pragma omp simd reduction(+ : ix, iy, iz, ex, ey, ez, bx, by, bz, kahn)
    for (int lane = 0; lane < LANES; lane++) {
        double x = at->x[lane], y = at->y[lane], z = at->z[lane], g = by_p[lane];
        double c = x * I[0] + y * I[1] + z * I[2];
        double e = x * E[0] + y * E[1] + z * E[2], b = x * B[0] + y * B[1] + z * B[2];
        double gc = g * c * (1.0 + K * along), ge = -g * K * e, gb = g * K * b;
        kahn += -0.5 * g * (e * e - b * b + along * (1.0 - c * c));
        turn->x[lane] += gc * I[0] + ge * E[0] + gb * B[0];
        turn->y[lane] += gc * I[1] + ge * E[1] + gb * B[1];
        turn->z[lane] += gc * I[2] + ge * E[2] + gb * B[2];
        ix += gc * x, iy += gc * y, iz += gc * z;
        ex += ge * x, ey += ge * y, ez += ge * z;
        bx += gb * x, by += gb * y, bz += gb * z;
    }
    by_geometry[KAHN] += kahn;
    double *o = by_source + INCIDENT;
    o[0] += ix, o[1] += iy, o[2] += iz;
    o = by_source + ELECTRIC;
    o[0] += ex, o[1] += ey, o[2] += ez;
    o = by_source + MAGNETIC;
    o[0] += bx, o[1] += by, o[2] += bz;
}

/* From derivatives by the scattering vectors: those by the direction and by the source. */
INLINE void scatter_vjp(const struct vectors *restrict S, const struct vectors *restrict by_S, const double *source,
                        struct sub_pixel_turn *restrict turn, double *by_source) {
    const double by_wavelength = 1.0 / source[WAVELENGTH];
    double ix = 0, iy = 0, iz = 0, wavelength = 0;
#pragma omp simd reduction(+ : ix, iy, iz, wavelength)
    for (int lane = 0; lane < LANES; lane++) {
        double x = by_S->x[lane] * by_wavelength, y = by_S->y[lane] * by_wavelength, z = by_S->z[lane] * by_wavelength;
        turn->x[lane] += x;
        turn->y[lane] += y;
        turn->z[lane] += z;
        ix -= x, iy -= y, iz -= z;
        wavelength -= x * S->x[lane] + y * S->y[lane] + z * S->z[lane];
    }
    by_source[INCIDENT] += ix;
    by_source[INCIDENT + 1] += iy;
    by_source[INCIDENT + 2] += iz;
    by_source[WAVELENGTH] += wavelength;
}

/* From derivatives by the capture fraction: those by the direction (through the obliquity) and the sensor. */
INLINE void capture_vjp(const double *g, const struct sub_pixel *restrict at, double layer,
                        struct sub_pixel_turn *restrict turn, double *by_geometry) {
    const double step = g[LAYER_STEP], mu = g[ATTENUATION];
    double by_step = 0, by_mu = 0, nx = 0, ny = 0, nz = 0;
#pragma omp simd reduction(+ : by_step, by_mu, nx, ny, nz)
    for (int lane = 0; lane < LANES; lane++) {
        double rho = at->x[lane] * g[NORMAL] + at->y[lane] * g[NORMAL + 1] + at->z[lane] * g[NORMAL + 2];
        double a = step * mu / rho, before = exponential(-layer * a), after = exponential(-(layer + 1.0) * a);
        double by_a = turn->kappa[lane] * ((layer + 1.0) * after - layer * before), by_rho = -by_a * a / rho;
        by_step += by_a * mu / rho;
        by_mu += by_a * step / rho;
        nx += by_rho * at->x[lane], ny += by_rho * at->y[lane], nz += by_rho * at->z[lane];
        turn->x[lane] += by_rho * g[NORMAL];
        turn->y[lane] += by_rho * g[NORMAL + 1];
        turn->z[lane] += by_rho * g[NORMAL + 2];
    }
    by_geometry[LAYER_STEP] += by_step;
    by_geometry[ATTENUATION] += by_mu;
    by_geometry[NORMAL] += nx, by_geometry[NORMAL + 1] += ny, by_geometry[NORMAL + 2] += nz;
}

/* From derivatives by one sub-pixel's direction, solid angle and capture fraction: those by the geometry (added to). */
NOINLINE void sub_pixel_vjp(const struct scene *scene, const struct sub_pixel *restrict at, int64_t layer,
                            struct sub_pixel_turn *restrict turn, double *by_geometry) {
    double g[GEOMETRY_LENGTH];
    memcpy(g, scene->geometry, sizeof g);
    if (scene->has_sensor) capture_vjp(g, at, (double)layer, turn, by_geometry);
    const double depth = (double)layer * g[LAYER_STEP], size = g[PIXEL_SIZE], close = g[CLOSE_DISTANCE];
    const double point = scene->point_pixel ? 1.0 : 0.0, by_power = point - 3.0;
    const double *f = g + FAST, *s = g + SLOW, *n = g + NORMAL;
    double px = 0, py = 0, pz = 0, fx = 0, fy = 0, fz = 0, sx = 0, sy = 0, sz = 0;
    double by_size = 0, by_close = 0, by_area = 0;
#pragma omp simd reduction(+ : px, py, pz, fx, fy, fz, sx, sy, sz, by_size, by_close, by_area)
    for (int lane = 0; lane < LANES; lane++) {
        double x = at->x[lane], y = at->y[lane], z = at->z[lane], inverse = at->inverse[lane];
        double dx = turn->x[lane], dy = turn->y[lane], dz = turn->z[lane], by_omega = turn->omega[lane];
        double along = x * dx + y * dy + z * dz - by_power * at->omega[lane] * by_omega;
        dx = (dx - x * along) * inverse, dy = (dy - y * along) * inverse, dz = (dz - z * along) * inverse;
        double F = at->f[lane], D = at->s[lane], square = inverse * inverse * by_omega;
        px += dx, py += dy, pz += dz;
        fx += F * dx, fy += F * dy, fz += F * dz;
        sx += D * dx, sy += D * dy, sz += D * dz;
        by_size += (1.0 - point) * 2.0 * size * close * inverse * square;
        by_close += (1.0 - point) * size * size * inverse * square;
        by_area += point * square;
    }
    by_size += (fx * f[0] + fy * f[1] + fz * f[2] + sx * s[0] + sy * s[1] + sz * s[2]) / size;
    double *o = by_geometry;
    o[ORIGIN] += px, o[ORIGIN + 1] += py, o[ORIGIN + 2] += pz;
    o[FAST] += fx, o[FAST + 1] += fy, o[FAST + 2] += fz;
    o[SLOW] += sx, o[SLOW + 1] += sy, o[SLOW + 2] += sz;
    o[NORMAL] += depth * px, o[NORMAL + 1] += depth * py, o[NORMAL + 2] += depth * pz;
    o[LAYER_STEP] += (double)layer * (px * n[0] + py * n[1] + pz * n[2]);
    o[PIXEL_SIZE] += by_size;
    o[CLOSE_DISTANCE] += by_close;
    o[POINT_AREA] += by_area;
}

#endif
