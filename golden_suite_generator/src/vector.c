#include "vector.h"

#include <math.h>

double length(Vec a) { return sqrt(dot(a, a)); }

Vec unit(Vec a)
{
    double size = length(a);
    return size > 0.0 ? over(a, size) : a;
}

Vec rotate_xyz(Vec a, Vec angles)
{
    if (angles.x != 0.0) {
        double c = cos(angles.x), s = sin(angles.x);
        a = vec(a.x, c * a.y - s * a.z, s * a.y + c * a.z);
    }
    if (angles.y != 0.0) {
        double c = cos(angles.y), s = sin(angles.y);
        a = vec(c * a.x + s * a.z, a.y, -s * a.x + c * a.z);
    }
    if (angles.z != 0.0) {
        double c = cos(angles.z), s = sin(angles.z);
        a = vec(c * a.x - s * a.y, s * a.x + c * a.y, a.z);
    }
    return a;
}

Vec rotate_about(Vec a, Vec axis, double angle)
{
    double c = cos(angle), s = sin(angle);
    double along = dot(axis, a) * (1.0 - c);
    return add(add(scale(along, axis), scale(c, a)), scale(s, cross(axis, a)));
}
