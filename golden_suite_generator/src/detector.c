#include "detector.h"

#include <math.h>
#include <stdio.h>

#include "refuse.h"

typedef struct {
    const char *name;
    Vec beam, fast, slow, normal, twotheta, polar, spindle;
    Pivot pivot;
} ConventionRow;

static const ConventionRow convention_rows[] = {
    [ADXV] = {"adxv", {0, 0, 1}, {1, 0, 0}, {0, -1, 0}, {0, 0, 1}, {-1, 0, 0}, {1, 0, 0}, {1, 0, 0}, PIVOT_BEAM},
    [MOSFLM] = {"mosflm", {1, 0, 0}, {0, 0, 1}, {0, -1, 0}, {1, 0, 0}, {0, 0, -1}, {0, 0, 1}, {0, 0, 1}, PIVOT_BEAM},
    [DENZO] = {"denzo", {1, 0, 0}, {0, 0, 1}, {0, -1, 0}, {1, 0, 0}, {0, 0, -1}, {0, 0, 1}, {0, 0, 1}, PIVOT_BEAM},
    [XDS] = {"xds", {0, 0, 1}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}, PIVOT_SAMPLE},
    [DIALS] = {"dials", {0, 0, 1}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}, PIVOT_SAMPLE},
    [CUSTOM] = {"custom", {1, 0, 0}, {0, 0, 1}, {0, -1, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 0, 1}, PIVOT_BEAM},
};

static double or_else(Real said, double otherwise) { return said.given ? said.value : otherwise; }

static void settle_size(Detector *d, const Request *r)
{
    d->pixel = or_else(r->pixel, 1e-4);
    if (d->pixel <= 0.0) refuse("the pixel size must be positive");
    for (int i = 0; i < 2; i++) {
        int count = r->det_pixels[i].given ? r->det_pixels[i].value : 0;
        d->size[i] = count ? d->pixel * count : or_else(r->det_size[i], 0.1024);
        double rounded = ceil(d->size[i] / d->pixel - 0.5);
        if (!(rounded > 0.0) || rounded > 2147483647.0) refuse("the detector has no usable number of pixels");
        d->pixels[i] = (int)rounded;
    }
    if ((double)d->pixels[FAST] * d->pixels[SLOW] > 2147483647.0)
        refuse("%d x %d pixels are too many", d->pixels[FAST], d->pixels[SLOW]);
}

static Vec chosen(Axis said, bool custom, Vec otherwise) { return custom && said.given ? said.value : otherwise; }

static void settle_vectors(Detector *d, const Request *r)
{
    const ConventionRow *row = &convention_rows[r->convention];
    bool custom = r->convention == CUSTOM;
    d->convention = (Convention)r->convention;
    d->pivot = custom ? (Pivot)r->pivot : row->pivot;
    d->beam = unit(chosen(r->beam, custom, row->beam));
    d->fast = unit(chosen(r->fast, custom, row->fast));
    d->slow = unit(chosen(r->slow, custom, row->slow));
    d->polar_axis = unit(chosen(r->polar_axis, custom, row->polar));
    d->spindle = unit(chosen(r->spindle, custom, row->spindle));
    d->twotheta_axis = chosen(r->twotheta_axis, custom, row->twotheta);
    d->vertical = unit(cross(d->beam, d->polar_axis));
    if (length(d->beam) == 0.0) refuse("the beam vector is zero");
    if (length(d->fast) == 0.0) refuse("the fast detector axis is zero");
    if (length(d->slow) == 0.0) refuse("the slow detector axis is zero");
    Vec normal = chosen(r->normal, custom, row->normal);
    d->normal = unit(normal);
    if (length(normal) != 1.0) {
        printf("WARNING: auto-generating odet_vector\n");
        d->normal = unit(cross(d->fast, d->slow));
    }
    printf("%s convention selected.\n", row->name);
    printf("pivoting detector around %s\n", d->pivot == PIVOT_SAMPLE ? "sample" : "direct beam spot");
}

static void settle_centers(Detector *d, const Request *r)
{
    double p = d->pixel, lf = d->size[FAST], ls = d->size[SLOW];
    d->f_close = r->org_x.given ? (r->org_x.value - 0.5) * p : lf / 2.0;
    d->s_close = r->org_y.given ? (r->org_y.value - 0.5) * p : ls / 2.0;
    d->x_close = or_else(r->x_close, d->f_close);
    d->y_close = or_else(r->y_close, d->s_close);
    switch (d->convention) {
    case ADXV:
        d->x_beam = or_else(r->x_beam, (lf + p) / 2.0);
        d->y_beam = or_else(r->y_beam, (ls - p) / 2.0);
        d->f_beam = d->x_beam;
        d->s_beam = ls - d->y_beam;
        break;
    case MOSFLM:
    case DENZO: {
        double half = d->convention == MOSFLM ? p / 2.0 : 0.0;
        d->x_beam = or_else(r->x_beam, (ls + p) / 2.0);
        d->y_beam = or_else(r->y_beam, (lf + p) / 2.0);
        d->f_beam = d->y_beam + half;
        d->s_beam = d->x_beam + half;
        break;
    }
    default:
        d->x_beam = or_else(r->x_beam, d->x_close);
        d->y_beam = or_else(r->y_beam, d->y_close);
        d->f_beam = d->x_beam;
        d->s_beam = d->y_beam;
        if (d->convention == CUSTOM) {
            d->f_close = d->x_beam;
            d->s_close = d->y_beam;
        }
    }
}

static void settle_distances(Detector *d, const Request *r)
{
    double said = or_else(r->distance, 0.1);
    if (said <= 0.0) refuse("the distance must be positive");
    if (r->close_distance.given && r->close_distance.value <= 0.0) refuse("the close distance must be positive");
    d->stages.ratio = dot(d->beam, rotate_xyz(d->normal, d->rot));
    if (d->stages.ratio == 0.0) refuse("the detector is parallel to the beam");
    d->close_distance = or_else(r->close_distance, fabs(d->stages.ratio * said));
    d->distance = d->close_distance / d->stages.ratio;
    if (r->close_distance.given && r->distance.given
        && !(r->header_distance.given && r->header_distance.value == r->distance.value))
        remark("note: -distance has no effect, a close distance is known (D35)");
    d->stages.distance = d->distance;
    d->stages.close_distance = d->close_distance;
    d->stages.f_center = d->pivot == PIVOT_SAMPLE ? d->f_close : d->f_beam;
    d->stages.s_center = d->pivot == PIVOT_SAMPLE ? d->s_close : d->s_beam;
}

static Vec place_origin(const Detector *d, Vec along, DetectorStages *stages)
{
    stages->term_fast = scale(-stages->f_center, d->fast);
    stages->term_slow = scale(-stages->s_center, d->slow);
    stages->term_along = along;
    return add(add(stages->term_fast, stages->term_slow), along);
}

static void rotate_and_place(Detector *d)
{
    DetectorStages *stages = &d->stages;
    Vec origin = vec(0, 0, 0);
    if (d->pivot == PIVOT_SAMPLE) {
        stages->origin_before = place_origin(d, scale(d->close_distance, d->normal), stages);
        stages->origin_after_rot = rotate_xyz(stages->origin_before, d->rot);
        origin = rotate_about(stages->origin_after_rot, d->twotheta_axis, d->twotheta);
    }
    stages->fast_rot = rotate_xyz(d->fast, d->rot);
    stages->slow_rot = rotate_xyz(d->slow, d->rot);
    stages->normal_rot = rotate_xyz(d->normal, d->rot);
    d->fast = rotate_about(stages->fast_rot, d->twotheta_axis, d->twotheta);
    d->slow = rotate_about(stages->slow_rot, d->twotheta_axis, d->twotheta);
    d->normal = rotate_about(stages->normal_rot, d->twotheta_axis, d->twotheta);
    if (d->pivot == PIVOT_BEAM) origin = place_origin(d, scale(d->distance, d->beam), stages);
    d->origin = origin;
}

static void derive(Detector *d)
{
    double ratio = d->stages.ratio;
    Vec p0 = d->origin;
    d->f_close = -dot(p0, d->fast);
    d->s_close = -dot(p0, d->slow);
    d->close_distance = dot(p0, d->normal);
    d->distance = d->close_distance / ratio;
    Vec spot = sub(scale(d->distance, d->beam), p0);
    d->f_beam = dot(d->fast, spot);
    d->s_beam = dot(d->slow, spot);
    d->org_x = d->f_close / d->pixel + 0.5;
    d->org_y = d->s_close / d->pixel + 0.5;
    d->dials_origin = vec(1000.0 * p0.z, 1000.0 * p0.y, 1000.0 * -p0.x);
    d->xds_beam = vec(dot(d->beam, d->fast), dot(d->beam, d->slow), dot(d->beam, d->normal));
    if (d->distance == 0.0 || !isfinite(d->distance)) refuse("the final detector distance is %g", d->distance);
    printf("XDS incident beam: %g %g %g\n", d->xds_beam.x, d->xds_beam.y, d->xds_beam.z);
}

Detector settle_detector(const Request *r)
{
    Detector d = {0};
    settle_size(&d, r);
    settle_vectors(&d, r);
    settle_centers(&d, r);
    d.rot = vec(or_else(r->rot[0], 0.0), or_else(r->rot[1], 0.0), or_else(r->rot[2], 0.0));
    d.twotheta = or_else(r->twotheta, 0.0);
    d.curved = r->curved;
    d.point_pixel = r->point_pixel;
    if (d.twotheta != 0.0 && fabs(length(d.twotheta_axis) - 1.0) > 1e-6)
        refuse("the two-theta axis must be a unit vector (D52)");
    settle_distances(&d, r);
    rotate_and_place(&d);
    if (r->pix0_override.given) d.origin = r->pix0_override.value;
    derive(&d);
    if (d.curved && (d.beam.x != 1.0 || d.beam.y != 0.0 || d.beam.z != 0.0))
        remark("WARNING: the curved detector is bent as if the beam ran along x; pixels are misplaced (D28)");
    return d;
}

Vec pixel_position(const Detector *d, double along_fast, double along_slow, double depth)
{
    Vec flat = add(add(add(scale(along_fast, d->fast), scale(along_slow, d->slow)), scale(depth, d->normal)),
                   d->origin);
    if (!d->curved) return flat;
    Vec bent = rotate_about(scale(d->distance, d->beam), d->slow, flat.y / d->distance);
    return rotate_about(bent, d->fast, flat.z / d->distance);
}

double solid_angle(const Detector *d, double distance)
{
    if (d->point_pixel) return 1.0 / (distance * distance);
    return d->pixel * d->pixel / (distance * distance) * (d->close_distance / distance);
}
