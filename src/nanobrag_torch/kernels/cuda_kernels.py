"""Triton programs of the lattice sum and its vector-Jacobian product; imported only when they are called.

One program takes a block of scattering vectors and walks through the orientations. The formulas are those of csrc/:
h and its split in double, sines as polynomials of reduced arguments, squares alone, so that signs do not count.
`numbers` [14] are N (3), their product, W (9) and the scale of the radial shapes: u = scale |Wᵀd|².
"""

# mypy: ignore-errors
# Triton reads these functions as a language of its own, in which annotations mean something else.

from __future__ import annotations

import triton
import triton.language as tl

PI = tl.constexpr(3.141592653589793)
SQUARE, ROUND, GAUSS = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
CONSTANT, NEAREST, TRICUBIC = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
ROUND_FACTOR = tl.constexpr(0.723601254558268)
GAUSS_RADIUS = tl.constexpr(0.63)
TOPHAT_CUT = tl.constexpr(0.3969)
NEAR = tl.constexpr(0.003)


@triton.jit
def _sine_quotient(u):
    """sin(πt)/t from u = t² <= 1/4."""
    p = u * -2.113362735205297e-05 + 0.0004659870158043378
    p = p * u - 0.0073703643265304155
    p = p * u + 0.08214587881631043
    p = p * u - 0.599264528825224
    p = p * u + 2.5501640398618677
    p = p * u - 5.1677127800497855
    return p * u + 3.1415926535897927


@triton.jit
def _cosine(u):
    """cos(πt) from u = t² <= 1/4."""
    p = u * 4.149564504842947e-06 - 0.00010456655352897176
    p = p * u + 0.001929556272535366
    p = p * u - 0.025806888737012743
    p = p * u + 0.235330630129534
    p = p * u - 1.335262768843447
    p = p * u + 4.058712126416497
    p = p * u - 4.934802200544676
    return p * u + 1.0


@triton.jit
def _reduced(t):
    return t - tl.floor(t + 0.5)


@triton.jit
def _split(a, b, c, x, y, z):
    h = a * x + b * y + c * z
    whole = tl.ceil(h - 0.5)
    return h, whole, h - whole


@triton.jit
def _away(d, SINGLE: tl.constexpr):
    """d kept away from 0, with its sign."""
    if SINGLE:
        least = 1e-9
    else:
        least = 1e-20
    size = tl.maximum(tl.abs(d), least)
    return tl.where(d < 0, -size, size)


@triton.jit
def _sphere(u):
    """B and its derivative by u = x²: 3 (sin x/x − cos x)/x², a series below 1; both up to one sign."""
    far_u = tl.maximum(u, 1.0)
    x = tl.sqrt(far_u)
    t = _reduced(x * (1.0 / PI))
    sine = t * _sine_quotient(t * t) / x
    far = 3.0 * (sine - _cosine(t * t)) / far_u
    slope = 1.5 * (sine - far) / far_u
    v = tl.minimum(u, 1.0)
    near = 1.0 - v * (1 / 10 - v * (1 / 280 - v * (1 / 15120 - v * (1 / 1330560 - v * (1 / 172972800)))))
    near_slope = -(1 / 10 - v * (2 / 280 - v * (3 / 15120 - v * (4 / 1330560 - v * (5 / 172972800)))))
    return tl.where(u > 1.0, far, near), tl.where(u > 1.0, slope, near_slope)


@triton.jit
def _square_of_radius(dh, dk, dl, n):
    x = dh * tl.load(n + 4) + dk * tl.load(n + 7) + dl * tl.load(n + 10)
    y = dh * tl.load(n + 5) + dk * tl.load(n + 8) + dl * tl.load(n + 11)
    z = dh * tl.load(n + 6) + dk * tl.load(n + 9) + dl * tl.load(n + 12)
    return x, y, z, x * x + y * y + z * z


@triton.jit
def _ratio(d, N, SINGLE: tl.constexpr):
    a = _away(d, SINGLE)
    t = _reduced(N * a)
    return t * _sine_quotient(t * t) / (a * _sine_quotient(a * a))


@triton.jit
def _amplitude(dh, dk, dl, n, SHAPE: tl.constexpr, SINGLE: tl.constexpr):
    """L up to sign."""
    if SHAPE == SQUARE:
        L = _ratio(dh, tl.load(n), SINGLE) * _ratio(dk, tl.load(n + 1), SINGLE) * _ratio(dl, tl.load(n + 2), SINGLE)
    else:
        _x, _y, _z, square = _square_of_radius(dh, dk, dl, n)
        u = square * tl.load(n + 13)
        cells = tl.load(n + 3)
        if SHAPE == ROUND:
            B, _slope = _sphere(u)
            L = cells * ROUND_FACTOR * B
        elif SHAPE == GAUSS:
            L = cells * tl.exp(u * (-1.0 / GAUSS_RADIUS))
        else:
            L = tl.where(u < TOPHAT_CUT, cells, u * 0.0)
    return L


@triton.jit
def _place(h, k, l, grid):
    """Place in the table; `grid` holds first (3) and size (3) as whole numbers in double."""
    i, j, m = h - tl.load(grid), k - tl.load(grid + 1), l - tl.load(grid + 2)
    H, K, L = tl.load(grid + 3), tl.load(grid + 4), tl.load(grid + 5)
    inside = (i >= 0) & (i < H) & (j >= 0) & (j < K) & (m >= 0) & (m < L)
    return tl.where(inside, (i * K + j) * L + m, H * K * L).to(tl.int64)


@triton.jit
def _in_range(x, first, size):
    return (x >= first + 2) & (x <= first + size - 3)


@triton.jit
def _weight(f, node: tl.constexpr):
    if node == 0:
        w = f * (f - 1.0) * (f - 2.0) * (-1.0 / 6.0)
    elif node == 1:
        w = (f + 1.0) * (f - 1.0) * (f - 2.0) * 0.5
    elif node == 2:
        w = (f + 1.0) * f * (f - 2.0) * -0.5
    else:
        w = (f + 1.0) * f * (f - 1.0) * (1.0 / 6.0)
    return w


@triton.jit
def _slope(f, node: tl.constexpr):
    if node == 0:
        w = (3.0 * f * f - 6.0 * f + 2.0) * (-1.0 / 6.0)
    elif node == 1:
        w = (3.0 * f * f - 4.0 * f - 1.0) * 0.5
    elif node == 2:
        w = (3.0 * f * f - 2.0 * f - 2.0) * -0.5
    else:
        w = (3.0 * f * f - 1.0) * (1.0 / 6.0)
    return w


@triton.jit
def _tricubic(h, k, l, table, grid):
    """F and its three derivatives; outside the range the table's last entry, without derivatives."""
    H, K, L = tl.load(grid + 3), tl.load(grid + 4), tl.load(grid + 5)
    inside = _in_range(h, tl.load(grid), H) & _in_range(k, tl.load(grid + 1), K) & _in_range(l, tl.load(grid + 2), L)
    fh, fk, fl = h - tl.floor(h), k - tl.floor(k), l - tl.floor(l)
    F, by_h, by_k, by_l = h * 0.0, h * 0.0, h * 0.0, h * 0.0
    for i in tl.static_range(4):
        for j in tl.static_range(4):
            for m in tl.static_range(4):
                at = _place(tl.floor(h) + (i - 1), tl.floor(k) + (j - 1), tl.floor(l) + (m - 1), grid)
                Y = tl.load(table + at)
                F += _weight(fh, i) * _weight(fk, j) * _weight(fl, m) * Y
                by_h += _slope(fh, i) * _weight(fk, j) * _weight(fl, m) * Y
                by_k += _weight(fh, i) * _slope(fk, j) * _weight(fl, m) * Y
                by_l += _weight(fh, i) * _weight(fk, j) * _slope(fl, m) * Y
    default = tl.load(table + (H * K * L).to(tl.int64))
    by_h, by_k, by_l = tl.where(inside, by_h, 0.0), tl.where(inside, by_k, 0.0), tl.where(inside, by_l, 0.0)
    return tl.where(inside, F, default), by_h, by_k, by_l, inside


@triton.jit
def forward(  # noqa: PLR0913 - a program takes flat arguments
    S, A, numbers, table, grid, out, points, orientations,
    SHAPE: tl.constexpr, LOOKUP: tl.constexpr, SINGLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out[p] = Σ_m (F L)²; `numbers` and `table` are single where SINGLE, the sum is double."""
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = p < points
    x = tl.load(S + 3 * p, mask=there, other=0.0)
    y = tl.load(S + 3 * p + 1, mask=there, other=0.0)
    z = tl.load(S + 3 * p + 2, mask=there, other=0.0)
    total = x * 0.0
    for m in range(orientations):
        a = A + 9 * m
        h, h0, dh = _split(tl.load(a), tl.load(a + 1), tl.load(a + 2), x, y, z)
        k, k0, dk = _split(tl.load(a + 3), tl.load(a + 4), tl.load(a + 5), x, y, z)
        l, l0, dl = _split(tl.load(a + 6), tl.load(a + 7), tl.load(a + 8), x, y, z)
        if SINGLE:
            dh, dk, dl = dh.to(tl.float32), dk.to(tl.float32), dl.to(tl.float32)
        L = _amplitude(dh, dk, dl, numbers, SHAPE, SINGLE)
        if LOOKUP == TRICUBIC:
            F, _h, _k, _l, _inside = _tricubic(h, k, l, table, grid)
            product = L.to(tl.float64) * F
        else:
            product = (L * tl.load(table + _place(h0, k0, l0, grid))).to(tl.float64)
        total += product * product
    tl.store(out + p, total, mask=there)


@triton.jit
def _ratio_vjp(d, N):
    """sin(πNd)/sin(πd), and its derivatives by d and N; near 0 the series of the derivative."""
    a = _away(d, False)
    t = _reduced(N * a)
    by_sine = 1.0 / (a * _sine_quotient(a * a))
    wide_cosine = _cosine(t * t)
    r = t * _sine_quotient(t * t) * by_sine
    far = PI * (N * wide_cosine - r * _cosine(a * a)) * by_sine
    c1 = PI * PI * (N * N - 1.0) / 3.0
    c2 = PI * PI * PI * PI * (N * N * N * N - 1.0) / 45.0
    near = -r * a * (c1 + c2 * a * a)
    return r, tl.where(tl.abs(N * a) < NEAR, near, far), PI * a * wide_cosine * by_sine


@triton.jit
def _add(place, values):
    tl.atomic_add(place, tl.sum(values, axis=0))


@triton.jit
def _shape_vjp(dh, dk, dl, g, n, by_n, SHAPE: tl.constexpr):
    """L², g times its derivatives by the distances; those by the numbers are added to `by_n`."""
    if SHAPE == SQUARE:
        ra, a_d, a_N = _ratio_vjp(dh, tl.load(n))
        rb, b_d, b_N = _ratio_vjp(dk, tl.load(n + 1))
        rc, c_d, c_N = _ratio_vjp(dl, tl.load(n + 2))
        L = ra * rb * rc
        bc, ac, ab = 2.0 * g * L * rb * rc, 2.0 * g * L * ra * rc, 2.0 * g * L * ra * rb
        _add(by_n, bc * a_N)
        _add(by_n + 1, ac * b_N)
        _add(by_n + 2, ab * c_N)
        L2, gh, gk, gl = L * L, bc * a_d, ac * b_d, ab * c_d
    else:
        x, y, z, square = _square_of_radius(dh, dk, dl, n)
        scale, cells = tl.load(n + 13), tl.load(n + 3)
        u = square * scale
        if SHAPE == ROUND:
            f, slope = _sphere(u)
            f, slope = f * ROUND_FACTOR, slope * ROUND_FACTOR
        elif SHAPE == GAUSS:
            f = tl.exp(u * (-1.0 / GAUSS_RADIUS))
            slope = f * (-1.0 / GAUSS_RADIUS)
        else:
            f = tl.where(u < TOPHAT_CUT, u * 0.0 + 1.0, u * 0.0)
            slope = u * 0.0
        by_u = 2.0 * g * cells * cells * f * slope
        gx, gy, gz = 2.0 * scale * by_u * x, 2.0 * scale * by_u * y, 2.0 * scale * by_u * z
        gh = gx * tl.load(n + 4) + gy * tl.load(n + 5) + gz * tl.load(n + 6)
        gk = gx * tl.load(n + 7) + gy * tl.load(n + 8) + gz * tl.load(n + 9)
        gl = gx * tl.load(n + 10) + gy * tl.load(n + 11) + gz * tl.load(n + 12)
        _add(by_n + 3, 2.0 * g * cells * f * f)
        _add(by_n + 13, by_u * square)
        _add_outer(by_n + 4, dh, gx, gy, gz)
        _add_outer(by_n + 7, dk, gx, gy, gz)
        _add_outer(by_n + 10, dl, gx, gy, gz)
        L2 = cells * cells * f * f
    return L2, gh, gk, gl


@triton.jit
def _add_outer(place, g, x, y, z):
    _add(place, g * x)
    _add(place + 1, g * y)
    _add(place + 2, g * z)


@triton.jit
def vjp(  # noqa: PLR0913
    grad, S, A, numbers, table, grid, by_S, by_A, by_numbers, by_table, points, orientations,
    SHAPE: tl.constexpr, LOOKUP: tl.constexpr, TABLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Derivatives in double: by S stored, the others added up atomically."""
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = p < points
    x = tl.load(S + 3 * p, mask=there, other=0.0)
    y = tl.load(S + 3 * p + 1, mask=there, other=0.0)
    z = tl.load(S + 3 * p + 2, mask=there, other=0.0)
    g = tl.load(grad + p, mask=there, other=0.0)
    sx, sy, sz = x * 0.0, x * 0.0, x * 0.0
    for m in range(orientations):
        a = A + 9 * m
        h, h0, dh = _split(tl.load(a), tl.load(a + 1), tl.load(a + 2), x, y, z)
        k, k0, dk = _split(tl.load(a + 3), tl.load(a + 4), tl.load(a + 5), x, y, z)
        l, l0, dl = _split(tl.load(a + 6), tl.load(a + 7), tl.load(a + 8), x, y, z)
        at = _place(h0, k0, l0, grid)
        if LOOKUP == TRICUBIC:
            F, F_h, F_k, F_l, inside = _tricubic(h, k, l, table, grid)
        else:
            F = tl.load(table + at)
        L2, gh, gk, gl = _shape_vjp(dh, dk, dl, g * F * F, numbers, by_numbers, SHAPE)
        by_F = 2.0 * g * F * L2
        if LOOKUP == TRICUBIC:
            gh, gk, gl = gh + by_F * F_h, gk + by_F * F_k, gl + by_F * F_l
            if TABLE:
                _scatter(by_F, h, k, l, inside, by_table, grid)
        elif TABLE:
            tl.atomic_add(by_table + at, by_F)
        sx += gh * tl.load(a) + gk * tl.load(a + 3) + gl * tl.load(a + 6)
        sy += gh * tl.load(a + 1) + gk * tl.load(a + 4) + gl * tl.load(a + 7)
        sz += gh * tl.load(a + 2) + gk * tl.load(a + 5) + gl * tl.load(a + 8)
        _add_outer(by_A + 9 * m, gh, x, y, z)
        _add_outer(by_A + 9 * m + 3, gk, x, y, z)
        _add_outer(by_A + 9 * m + 6, gl, x, y, z)
    tl.store(by_S + 3 * p, sx, mask=there)
    tl.store(by_S + 3 * p + 1, sy, mask=there)
    tl.store(by_S + 3 * p + 2, sz, mask=there)


@triton.jit
def _scatter(by_F, h, k, l, inside, by_table, grid):
    """Adjoint of the tricubic look-up."""
    fh, fk, fl = h - tl.floor(h), k - tl.floor(k), l - tl.floor(l)
    last = (tl.load(grid + 3) * tl.load(grid + 4) * tl.load(grid + 5)).to(tl.int64)
    _add(by_table + last, tl.where(inside, 0.0, by_F))
    for i in tl.static_range(4):
        for j in tl.static_range(4):
            for m in tl.static_range(4):
                at = _place(tl.floor(h) + (i - 1), tl.floor(k) + (j - 1), tl.floor(l) + (m - 1), grid)
                part = by_F * _weight(fh, i) * _weight(fk, j) * _weight(fl, m)
                tl.atomic_add(by_table + at, tl.where(inside, part, 0.0))
