/* The adjoint of a panel's geometry for one block.
 *
 * Gradients by the geometry and the sources are collected in one of two ways: one sum over all lanes, at[index]; or,
 * where `each` is not TOTALS, one sum per lane, at[index * STRIDE + lane]. `each` and the curvature are constants
 * wherever these functions are used. */
#ifndef NANOBRAG_GEOMETRY_VJP_H
#define NANOBRAG_GEOMETRY_VJP_H

#include "geometry.h"

/* How gradients are collected: over all lanes; one sum per lane, which a card adds up at the end; or one per lane and
 * along directions, for directional derivatives of every pixel. */
enum collecting { TOTALS, PER_LANE, ALONG };

#define COLLECT(AT, INDEX, TOTAL, VALUE)                       \
    {                                                          \
        const double collected = (VALUE);                      \
        if (each) (AT)[(INDEX) * STRIDE + lane] += collected;   \
        else (TOTAL) += collected;                             \
    }

/* Derivatives of the loss by what the loops need of one sub-pixel. */
struct sub_pixel_turn {
    double x[LANES], y[LANES], z[LANES], omega[LANES], kappa[LANES];
};

INLINE void clear_turn(struct sub_pixel_turn *t) { memset(t, 0, sizeof *t); }

/* From the derivative by p of one source: those by the direction, and by the source and K (added to). */
INLINE void polarize_vjp(int each, const struct scene *scene, const struct sub_pixel *restrict at,
                         const double *source, const double *restrict by_p, struct sub_pixel_turn *restrict turn,
                         double *restrict by_source, double *restrict by_geometry) {
    const double K = scene->geometry[KAHN];
    const double *I = source + INCIDENT, *E = source + ELECTRIC, *B = source + MAGNETIC;
    const double along = axis_along(E);
    double ix = 0, iy = 0, iz = 0, ex = 0, ey = 0, ez = 0, bx = 0, by = 0, bz = 0, kahn = 0;
    REDUCE(+ : ix, iy, iz, ex, ey, ez, bx, by, bz, kahn)
    for (int lane = 0; lane < LANES; lane++) {
        double x = at->x[lane], y = at->y[lane], z = at->z[lane], g = by_p[lane];
        double c = x * I[0] + y * I[1] + z * I[2];
        double e = x * E[0] + y * E[1] + z * E[2], b = x * B[0] + y * B[1] + z * B[2];
        double gc = g * c * (1.0 + K * along), ge = -g * K * e, gb = g * K * b;
        COLLECT(by_geometry, KAHN, kahn, -0.5 * g * (e * e - b * b + along * (1.0 - c * c)))
        turn->x[lane] += gc * I[0] + ge * E[0] + gb * B[0];
        turn->y[lane] += gc * I[1] + ge * E[1] + gb * B[1];
        turn->z[lane] += gc * I[2] + ge * E[2] + gb * B[2];
        COLLECT(by_source, INCIDENT, ix, gc * x)
        COLLECT(by_source, INCIDENT + 1, iy, gc * y)
        COLLECT(by_source, INCIDENT + 2, iz, gc * z)
        COLLECT(by_source, ELECTRIC, ex, ge * x)
        COLLECT(by_source, ELECTRIC + 1, ey, ge * y)
        COLLECT(by_source, ELECTRIC + 2, ez, ge * z)
        COLLECT(by_source, MAGNETIC, bx, gb * x)
        COLLECT(by_source, MAGNETIC + 1, by, gb * y)
        COLLECT(by_source, MAGNETIC + 2, bz, gb * z)
    }
    if (each) return;
    by_geometry[KAHN] += kahn;
    double *o = by_source + INCIDENT;
    o[0] += ix, o[1] += iy, o[2] += iz;
    o = by_source + ELECTRIC;
    o[0] += ex, o[1] += ey, o[2] += ez;
    o = by_source + MAGNETIC;
    o[0] += bx, o[1] += by, o[2] += bz;
}

/* From derivatives by the scattering vectors: those by the direction and by the source. */
INLINE void scatter_vjp(int each, const struct vectors *restrict S, const struct vectors *restrict by_S,
                        const double *source, struct sub_pixel_turn *restrict turn, double *restrict by_source) {
    const double by_wavelength = RATIO(1.0, source[WAVELENGTH]);
    double ix = 0, iy = 0, iz = 0, wavelength = 0;
    REDUCE(+ : ix, iy, iz, wavelength)
    for (int lane = 0; lane < LANES; lane++) {
        double x = by_S->x[lane] * by_wavelength, y = by_S->y[lane] * by_wavelength, z = by_S->z[lane] * by_wavelength;
        turn->x[lane] += x;
        turn->y[lane] += y;
        turn->z[lane] += z;
        COLLECT(by_source, INCIDENT, ix, -x)
        COLLECT(by_source, INCIDENT + 1, iy, -y)
        COLLECT(by_source, INCIDENT + 2, iz, -z)
        COLLECT(by_source, WAVELENGTH, wavelength, -(x * S->x[lane] + y * S->y[lane] + z * S->z[lane]))
    }
    if (each) return;
    by_source[INCIDENT] += ix;
    by_source[INCIDENT + 1] += iy;
    by_source[INCIDENT + 2] += iz;
    by_source[WAVELENGTH] += wavelength;
}

/* From derivatives by the capture fraction: those by the direction (through the obliquity, which the exact curved
 * detector does not have) and the sensor. */
INLINE void capture_vjp(int each, int curvature, const double *g, const struct sub_pixel *restrict at, double layer,
                        struct sub_pixel_turn *restrict turn, double *restrict by_geometry) {
    const double step = g[LAYER_STEP], mu = g[ATTENUATION];
    const int oblique = curvature != CURVED_EXACT;
    double by_step = 0, by_mu = 0, nx = 0, ny = 0, nz = 0;
    REDUCE(+ : by_step, by_mu, nx, ny, nz)
    for (int lane = 0; lane < LANES; lane++) {
        double x = at->x[lane], y = at->y[lane], z = at->z[lane];
        double rho = oblique ? x * g[NORMAL] + y * g[NORMAL + 1] + z * g[NORMAL + 2] : 1.0;
        double by_cosine = RATIO(1.0, rho), a = step * mu * by_cosine, before = exponential(-layer * a), after = exponential(-(layer + 1.0) * a);
        double by_a = turn->kappa[lane] * ((layer + 1.0) * after - layer * before);
        double by_rho = oblique ? -by_a * a * by_cosine : 0.0;
        COLLECT(by_geometry, LAYER_STEP, by_step, by_a * mu * by_cosine)
        COLLECT(by_geometry, ATTENUATION, by_mu, by_a * step * by_cosine)
        COLLECT(by_geometry, NORMAL, nx, by_rho * x)
        COLLECT(by_geometry, NORMAL + 1, ny, by_rho * y)
        COLLECT(by_geometry, NORMAL + 2, nz, by_rho * z)
        turn->x[lane] += by_rho * g[NORMAL];
        turn->y[lane] += by_rho * g[NORMAL + 1];
        turn->z[lane] += by_rho * g[NORMAL + 2];
    }
    if (each) return;
    by_geometry[LAYER_STEP] += by_step;
    by_geometry[ATTENUATION] += by_mu;
    by_geometry[NORMAL] += nx, by_geometry[NORMAL + 1] += ny, by_geometry[NORMAL + 2] += nz;
}

/* A flat panel: from derivatives by one sub-pixel's direction and solid angle, those by the geometry (added to). */
INLINE void flat_vjp(int each, const double *g, double point, const struct sub_pixel *restrict at, double layer,
                     const struct sub_pixel_turn *restrict turn, double *restrict o) {
    const double depth = layer * g[LAYER_STEP], size = g[PIXEL_SIZE], close = g[CLOSE_DISTANCE];
    const double by_power = point - 3.0, by_pixel = RATIO(1.0, size);
    const double *f = g + FAST, *s = g + SLOW, *n = g + NORMAL;
    double px = 0, py = 0, pz = 0, fx = 0, fy = 0, fz = 0, sx = 0, sy = 0, sz = 0;
    double by_size = 0, by_close = 0, by_area = 0;
    REDUCE(+ : px, py, pz, fx, fy, fz, sx, sy, sz, by_size, by_close, by_area)
    for (int lane = 0; lane < LANES; lane++) {
        double x = at->x[lane], y = at->y[lane], z = at->z[lane], inverse = at->inverse[lane];
        double dx = turn->x[lane], dy = turn->y[lane], dz = turn->z[lane], by_omega = turn->omega[lane];
        double along = x * dx + y * dy + z * dz - by_power * at->omega[lane] * by_omega;
        dx = (dx - x * along) * inverse, dy = (dy - y * along) * inverse, dz = (dz - z * along) * inverse;
        double F = at->f[lane], D = at->s[lane], square = inverse * inverse * by_omega;
        COLLECT(o, ORIGIN, px, dx)
        COLLECT(o, ORIGIN + 1, py, dy)
        COLLECT(o, ORIGIN + 2, pz, dz)
        COLLECT(o, FAST, fx, F * dx)
        COLLECT(o, FAST + 1, fy, F * dy)
        COLLECT(o, FAST + 2, fz, F * dz)
        COLLECT(o, SLOW, sx, D * dx)
        COLLECT(o, SLOW + 1, sy, D * dy)
        COLLECT(o, SLOW + 2, sz, D * dz)
        COLLECT(o, CLOSE_DISTANCE, by_close, (1.0 - point) * size * size * inverse * square)
        COLLECT(o, POINT_AREA, by_area, point * square)
        double own = (1.0 - point) * 2.0 * size * close * inverse * square;
        if (!each) {
            by_size += own;
            continue;
        }
        double by_fast = f[0] * dx + f[1] * dy + f[2] * dz, by_slow = s[0] * dx + s[1] * dy + s[2] * dz;
        o[PIXEL_SIZE * STRIDE + lane] += own + (F * by_fast + D * by_slow) * by_pixel;
        o[NORMAL * STRIDE + lane] += depth * dx;
        o[(NORMAL + 1) * STRIDE + lane] += depth * dy;
        o[(NORMAL + 2) * STRIDE + lane] += depth * dz;
        o[LAYER_STEP * STRIDE + lane] += layer * (n[0] * dx + n[1] * dy + n[2] * dz);
    }
    if (each) return;
    by_size += (fx * f[0] + fy * f[1] + fz * f[2] + sx * s[0] + sy * s[1] + sz * s[2]) * by_pixel;
    o[ORIGIN] += px, o[ORIGIN + 1] += py, o[ORIGIN + 2] += pz;
    o[FAST] += fx, o[FAST + 1] += fy, o[FAST + 2] += fz;
    o[SLOW] += sx, o[SLOW + 1] += sy, o[SLOW + 2] += sz;
    o[NORMAL] += depth * px, o[NORMAL + 1] += depth * py, o[NORMAL + 2] += depth * pz;
    o[LAYER_STEP] += layer * (px * n[0] + py * n[1] + pz * n[2]);
    o[PIXEL_SIZE] += by_size;
    o[CLOSE_DISTANCE] += by_close;
    o[POINT_AREA] += by_area;
}

#define ADD_LANE(INDEX, VALUE) o[(INDEX) * STRIDE + lane] += (VALUE);
#define ADD_LANES(INDEX, V) ADD_LANE(INDEX, (V).x) ADD_LANE((INDEX) + 1, (V).y) ADD_LANE((INDEX) + 2, (V).z)

INLINE double dot(struct vector a, struct vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

INLINE struct vector cross(struct vector a, struct vector b) {
    struct vector v = {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
    return v;
}

INLINE struct vector times(double k, struct vector a) {
    struct vector v = {k * a.x, k * a.y, k * a.z};
    return v;
}

/* a u + b v + c w */
INLINE struct vector combine(double a, struct vector u, double b, struct vector v, double c, struct vector w) {
    struct vector out = {a * u.x + b * v.x + c * w.x, a * u.y + b * v.y + c * w.y, a * u.z + b * v.z + c * w.z};
    return out;
}

/* The adjoint of rot(w, n, angle): from `by` the derivatives by w (returned), the axis and the angle. */
INLINE struct vector rotate_vjp(struct vector w, struct vector n, double angle, struct vector by,
                                struct vector *by_axis, double *by_angle) {
    double s, c;
    sine_cosine(angle, &s, &c);
    const double nw = dot(n, w), nb = dot(n, by);
    const struct vector wb = cross(w, by);
    *by_axis = combine((1.0 - c) * nw, by, (1.0 - c) * nb, w, s, wb);
    *by_angle = s * (nw * nb - dot(w, by)) + c * dot(n, wb);
    return combine((1.0 - c) * nb, n, c, by, -s, cross(n, by));
}

/* One lane of the exact curved detector: from derivatives by the position and sin rho/rho, those by the geometry and,
 * returned, by the coordinates f and s. */
INLINE void sphere_vjp(const double *g, double f, double s, struct vector by, double by_sinc, int lane,
                       double *restrict o, double *by_f, double *by_s) {
    const struct vector beam = at_offset(g + BEAM), first = at_offset(g + SPHERE_FAST);
    const struct vector second = at_offset(g + SPHERE_SLOW);
    const double radius = fabs(g[DISTANCE]), u = f - g[BEAM_CENTRE], v = s - g[BEAM_CENTRE + 1];
    const double by_square = RATIO(1.0, radius * radius), square = (u * u + v * v) * by_square, rho = ROOT(square);
    double sine, c;
    sine_cosine(rho, &sine, &c);
    const double sinc = rho > 1e-9 ? RATIO(sine, rho > 1e-9 ? rho : 1.0) : 1.0;
    /* (cos rho - sin rho/rho)/rho^2 cancels near 0, where its series is exact to rounding */
    const double bend = square > 1e-3 ? RATIO(c - sinc, square > 1e-3 ? square : 1.0)
                                      : -1.0 / 3.0 + square * (1.0 / 30.0 - square * (1.0 / 840.0 - square * (1.0 / 45360.0)));
    const double a1 = dot(by, first), a2 = dot(by, second), along = dot(by, beam);
    const double whole = by_sinc + u * a1 + v * a2;
    const double q = (whole * bend - radius * along * sinc) * by_square; /* derivative by rho, over rho R^2 */
    *by_f = sinc * a1 + q * u;
    *by_s = sinc * a2 + q * v;
    ADD_LANES(BEAM, times(c * radius, by))
    ADD_LANES(SPHERE_FAST, times(sinc * u, by))
    ADD_LANES(SPHERE_SLOW, times(sinc * v, by))
    ADD_LANE(DISTANCE, (g[DISTANCE] < 0.0 ? -1.0 : 1.0) * (c * along - q * square * radius))
    ADD_LANE(BEAM_CENTRE, -*by_f)
    ADD_LANE(BEAM_CENTRE + 1, -*by_s)
}

/* One lane of the curved detector of the C program: a beam of length d turned about the slow and the fast axis. */
INLINE void bent_vjp(const double *g, double f, double s, double layer, struct vector by, int lane,
                     double *restrict o, double *by_f, double *by_s) {
    const struct vector fast = at_offset(g + FAST), slow = at_offset(g + SLOW), normal = at_offset(g + NORMAL);
    const struct vector beam = at_offset(g + BEAM), origin = at_offset(g + ORIGIN);
    const double d = g[DISTANCE], by_d = RATIO(1.0, d), depth = layer * g[LAYER_STEP];
    const double by_slow = (f * fast.y + s * slow.y + depth * normal.y + origin.y) * by_d;
    const double by_fast = (f * fast.z + s * slow.z + depth * normal.z + origin.z) * by_d;
    struct vector by_fast_axis, by_slow_axis;
    double by_first, by_second;
    const struct vector start = times(d, beam), once = rotate(start, slow, by_slow);
    const struct vector back = rotate_vjp(once, fast, by_fast, by, &by_fast_axis, &by_second);
    const struct vector by_start = rotate_vjp(start, slow, by_slow, back, &by_slow_axis, &by_first);
    const struct vector flat = {0.0, by_first * by_d, by_second * by_d}; /* by the flat position */
    *by_f = dot(flat, fast);
    *by_s = dot(flat, slow);
    ADD_LANES(ORIGIN, flat)
    ADD_LANES(FAST, combine(1.0, by_fast_axis, f, flat, 0.0, flat))
    ADD_LANES(SLOW, combine(1.0, by_slow_axis, s, flat, 0.0, flat))
    ADD_LANES(BEAM, times(d, by_start))
    ADD_LANE(DISTANCE, dot(beam, by_start) - (by_slow * by_first + by_fast * by_second) * by_d)
    ADD_LANES(NORMAL, times(depth, flat))
    ADD_LANE(LAYER_STEP, layer * dot(flat, normal))
}

/* A curved panel, one sum per lane. */
INLINE void curved_vjp(int curvature, const double *g, double point, const struct sub_pixel *restrict at, double layer,
                       const struct sub_pixel_turn *restrict turn, double *restrict o) {
    const double size = g[PIXEL_SIZE], by_pixel = RATIO(1.0, size);
    const int sphere = curvature == CURVED_EXACT;
    const double power = point > 0.0 || sphere ? 2.0 : 3.0;
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double x = at->x[lane], y = at->y[lane], z = at->z[lane], inverse = at->inverse[lane];
        double dx = turn->x[lane], dy = turn->y[lane], dz = turn->z[lane], by_omega = turn->omega[lane];
        double along = x * dx + y * dy + z * dz + power * at->omega[lane] * by_omega;
        struct vector by = {(dx - x * along) * inverse, (dy - y * along) * inverse, (dz - z * along) * inverse};
        double f = at->f[lane], s = at->s[lane], square = inverse * inverse * by_omega, by_f, by_s;
        double by_size = (1.0 - point) * 2.0 * at->omega[lane] * by_omega * by_pixel;
        ADD_LANE(POINT_AREA, point * square)
        if (sphere) {
            sphere_vjp(g, f, s, by, (1.0 - point) * size * size * square, lane, o, &by_f, &by_s);
        } else {
            ADD_LANE(CLOSE_DISTANCE, (1.0 - point) * size * size * inverse * square)
            bent_vjp(g, f, s, layer, by, lane, o, &by_f, &by_s);
        }
        ADD_LANE(PIXEL_SIZE, by_size + (f * by_f + s * by_s) * by_pixel)
    }
}

/* The same with one sum per lane or, over a copy that has one, over all lanes. */
INLINE void curved_panel_vjp(int each, int curvature, const double *g, double point,
                             const struct sub_pixel *restrict at, double layer,
                             const struct sub_pixel_turn *restrict turn, double *restrict by_geometry) {
    if (each) {
        curved_vjp(curvature, g, point, at, layer, turn, by_geometry);
        return;
    }
    double lanes[GEOMETRY_LENGTH * STRIDE];
    memset(lanes, 0, sizeof lanes);
    curved_vjp(curvature, g, point, at, layer, turn, lanes);
    for (int i = 0; i < GEOMETRY_LENGTH; i++)
        for (int lane = 0; lane < LANES; lane++) by_geometry[i] += lanes[i * STRIDE + lane];
}

INLINE void panel_vjp(int each, const struct scene *scene, const struct sub_pixel *restrict at, int64_t layer,
                      struct sub_pixel_turn *restrict turn, double *restrict by_geometry) {
    LOCAL(g, scene->geometry, GEOMETRY_LENGTH)
    const double depth = (double)layer, point = scene->point_pixel ? 1.0 : 0.0;
    if (scene->has_sensor && scene->curvature == CURVED_EXACT)
        capture_vjp(each, CURVED_EXACT, g, at, depth, turn, by_geometry);
    else if (scene->has_sensor) capture_vjp(each, FLAT, g, at, depth, turn, by_geometry);
    if (scene->curvature == FLAT) flat_vjp(each, g, point, at, depth, turn, by_geometry);
    else if (scene->curvature == CURVED_EXACT)
        curved_panel_vjp(each, CURVED_EXACT, g, point, at, depth, turn, by_geometry);
    else curved_panel_vjp(each, CURVED_NANOBRAGG, g, point, at, depth, turn, by_geometry);
}

/* From derivatives by one sub-pixel's direction, solid angle and capture fraction: those by the geometry (added to). */
NOINLINE void sub_pixel_vjp_total(const struct scene *scene, const struct sub_pixel *at, int64_t layer,
                                  struct sub_pixel_turn *turn, double *by_geometry) {
    panel_vjp(TOTALS, scene, at, layer, turn, by_geometry);
}

NOINLINE void sub_pixel_vjp_each(const struct scene *scene, const struct sub_pixel *at, int64_t layer,
                                 struct sub_pixel_turn *turn, double *by_geometry) {
    panel_vjp(PER_LANE, scene, at, layer, turn, by_geometry);
}

INLINE void sub_pixel_vjp(int each, const struct scene *scene, const struct sub_pixel *at, int64_t layer,
                          struct sub_pixel_turn *turn, double *by_geometry) {
    if (each) sub_pixel_vjp_each(scene, at, layer, turn, by_geometry);
    else sub_pixel_vjp_total(scene, at, layer, turn, by_geometry);
}

#endif
