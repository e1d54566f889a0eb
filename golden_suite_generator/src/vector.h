/* Three-vectors and rotations (specification: README, notation). */
#ifndef VECTOR_H
#define VECTOR_H

#define PI 3.14159265358979323846
#define DEGREES_PER_RADIAN (180.0 * (1.0 / PI))

typedef struct {
    double x, y, z;
} Vec;

typedef struct {
    Vec row[3];
} Mat;

static inline Vec vec(double x, double y, double z) { return (Vec){x, y, z}; }
static inline Vec add(Vec a, Vec b) { return (Vec){a.x + b.x, a.y + b.y, a.z + b.z}; }
static inline Vec sub(Vec a, Vec b) { return (Vec){a.x - b.x, a.y - b.y, a.z - b.z}; }
static inline Vec scale(double f, Vec a) { return (Vec){f * a.x, f * a.y, f * a.z}; }
static inline Vec over(Vec a, double f) { return (Vec){a.x / f, a.y / f, a.z / f}; }
static inline double dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline Vec cross(Vec a, Vec b)
{
    return (Vec){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
static inline Vec transform(const Mat *m, Vec a)
{
    return (Vec){dot(m->row[0], a), dot(m->row[1], a), dot(m->row[2], a)};
}

double length(Vec a);
/* a/|a|; the zero vector stays zero. */
Vec unit(Vec a);
/* About lab x, then y, then z, by angles (radians); an angle of exactly 0 is skipped. */
Vec rotate_xyz(Vec a, Vec angles);
/* Right-handed about an axis that is used as given, not normalised. */
Vec rotate_about(Vec a, Vec axis, double angle);

#endif
