#include "trace.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "lattice.h"
#include "refuse.h"

/* "TRACE_C: <place>.<name> v v v"; count numbers follow as doubles. */
static void say(const char *place, const char *name, int count, ...)
{
    va_list values;
    va_start(values, count);
    printf("TRACE_C: %s.%s", place, name);
    for (int i = 0; i < count; i++) printf(" %.17g", va_arg(values, double));
    putchar('\n');
    va_end(values);
}

static void say_vector(const char *place, const char *name, Vec v) { say(place, name, 3, v.x, v.y, v.z); }

static Mat rotation_matrix(Vec angles)
{
    Vec x = rotate_xyz(vec(1, 0, 0), angles), y = rotate_xyz(vec(0, 1, 0), angles), z = rotate_xyz(vec(0, 0, 1), angles);
    return (Mat){{{x.x, y.x, z.x}, {x.y, y.y, z.y}, {x.z, y.z, z.z}}};
}

static void say_rotation(const char *name, Vec angles)
{
    Mat m = rotation_matrix(angles);
    say("setup", name, 9, m.row[0].x, m.row[0].y, m.row[0].z, m.row[1].x, m.row[1].y, m.row[1].z, m.row[2].x,
        m.row[2].y, m.row[2].z);
}

static void trace_placement(const Detector *d)
{
    const DetectorStages *g = &d->stages;
    say("setup", "distance_m", 1, g->distance);
    if (d->pivot == PIVOT_SAMPLE) {
        say("setup", "Fclose_m", 1, g->f_center);
        say("setup", "Sclose_m", 1, g->s_center);
        say("setup", "close_distance_m", 1, g->close_distance);
        say("setup", "ratio", 1, g->ratio);
        say_vector("setup", "term_fast_before_rot", g->term_fast);
        say_vector("setup", "term_slow_before_rot", g->term_slow);
        say_vector("setup", "term_close_before_rot", g->term_along);
        say_vector("setup", "pix0_before_rotation", g->origin_before);
        say_vector("setup", "pix0_after_rotz", g->origin_after_rot);
        say_vector("setup", "pix0_after_twotheta", d->origin);
        return;
    }
    say_rotation("Rx", vec(d->rot.x, 0, 0));
    say_rotation("Ry", vec(0, d->rot.y, 0));
    say_rotation("Rz", vec(0, 0, d->rot.z));
    say_rotation("R_total", d->rot);
    say("setup", "Fbeam_m", 1, g->f_center);
    say("setup", "Sbeam_m", 1, g->s_center);
    say_vector("setup", "term_fast", g->term_fast);
    say_vector("setup", "term_slow", g->term_slow);
    say_vector("setup", "term_beam", g->term_along);
    say_vector("setup", "pix0_vector", d->origin);
}

static void trace_setup(const Detector *d)
{
    say("setup", "angles_rad.rotx", 1, d->rot.x);
    say("setup", "angles_rad.roty", 1, d->rot.y);
    say("setup", "angles_rad.rotz", 1, d->rot.z);
    say("setup", "angles_rad.twotheta", 1, d->twotheta);
    say_vector("setup", "fdet_after_rotz", d->stages.fast_rot);
    say_vector("setup", "sdet_after_rotz", d->stages.slow_rot);
    say_vector("setup", "odet_after_rotz", d->stages.normal_rot);
    say_vector("setup", "twotheta_axis", d->twotheta_axis);
    say_vector("setup", "fdet_after_twotheta", d->fast);
    say_vector("setup", "sdet_after_twotheta", d->slow);
    say_vector("setup", "odet_after_twotheta", d->normal);
    say_vector("setup", "fdet_final", d->fast);
    say_vector("setup", "sdet_final", d->slow);
    say_vector("setup", "odet_final", d->normal);
    trace_placement(d);
    say_vector("setup", "pix0_final_m", d->origin);
}

/* What depends on the orientation; the same names in a term (first orientation) and in a step. */
static void trace_orientation(const Scene *s, const char *place, const Basis *cell, Vec q)
{
    Sample x = lattice_sample(s, cell, q);
    say_vector(place, "a_angstroms", scale(1e10, cell->a));
    say_vector(place, "b_angstroms", scale(1e10, cell->b));
    say_vector(place, "c_angstroms", scale(1e10, cell->c));
    say(place, "hkl_frac", 3, x.hkl[0], x.hkl[1], x.hkl[2]);
    say(place, "hkl_rounded", 3, (double)x.nearest[0], (double)x.nearest[1], (double)x.nearest[2]);
    if (s->crystal.shape == SQUARE) {
        double factor[3];
        square_factors(&s->crystal, x.off, factor);
        say(place, "F_latt_a", 1, factor[0]);
        say(place, "F_latt_b", 1, factor[1]);
        say(place, "F_latt_c", 1, factor[2]);
    }
    say(place, "F_latt", 1, x.f_latt);
    say(place, "F_cell", 1, x.f_cell);
    say(place, "F_latt_squared", 1, x.f_latt * x.f_latt);
    say(place, "F_cell_squared", 1, x.f_cell * x.f_cell);
    say(place, "I_contribution", 1, x.f_cell * x.f_cell * x.f_latt * x.f_latt);
}

static void trace_sub_pixel(const Scene *s, const char *place, const SubPixel *sub, const Pixel *pixel)
{
    const Detector *d = &s->detector;
    say_vector(place, "pix0_vector_meters", d->origin);
    say_vector(place, "fdet_vec", d->fast);
    say_vector(place, "sdet_vec", d->slow);
    say_vector(place, "pixel_pos_meters", sub->position);
    say(place, "R_distance_meters", 1, sub->distance);
    say(place, "omega_pixel_sr", 1, s->per_term_omega ? sub->omega : pixel->omega);
    say(place, "capture_fraction", 1, s->per_term_thick ? sub->capture : pixel->capture);
    say(place, "close_distance_meters", 1, d->close_distance);
    say(place, "obliquity_factor", 1, d->close_distance / sub->distance);
    say_vector(place, "diffracted_vec", sub->direction);
}

/* One source at one sub-pixel: index holds layer, slow, fast, source. */
static void trace_term(const Scene *s, const SubPixel *sub_at, const Pixel *pixel, const int index[4], bool all)
{
    char place[96];
    const Source *source = &s->sources.list[index[3]];
    const Basis *star = &s->crystal.reciprocal;
    const Orientations *o = &s->orientations;
    Vec q = over(sub(sub_at->direction, source->incident), source->wavelength);
    snprintf(place, sizeof place, "term[%d,%d,%d,%d]", index[0], index[1], index[2], index[3]);
    trace_sub_pixel(s, place, sub_at, pixel);
    say(place, "source_index", 1, (double)index[3]);
    say_vector(place, "incident_vec", source->incident);
    say(place, "lambda_meters", 1, source->wavelength);
    say(place, "lambda_angstroms", 1, source->wavelength * 1e10);
    say_vector(place, "scattering_vec_per_m", q);
    say(place, "cut_by_dmin", 1, (double)cut_by_dmin(s, q));
    say(place, "polar", 1, s->per_term_polar ? polarization(s, source->incident, sub_at->direction) : pixel->polar);
    say(place, "cos2theta", 1, dot(source->incident, sub_at->direction));
    say_vector(place, "a_star_unrotated_per_A", star->a);
    say_vector(place, "b_star_unrotated_per_A", star->b);
    say_vector(place, "c_star_unrotated_per_A", star->c);
    Basis first = cell_at_phi(o, 0);
    trace_orientation(s, place, &first, q);
    for (int t = 0; t < o->phi.count; t++) {
        Basis at_phi = cell_at_phi(o, t);
        for (int m = 0; m < (all ? o->mosaic.count : 1); m++) {
            Basis cell = cell_of_domain(o, &at_phi, m);
            snprintf(place, sizeof place, "step[%d,%d,%d,%d,%d,%d]", index[0], index[1], index[2], index[3], t, m);
            say(place, "phi_tic", 1, (double)t);
            say(place, "phi_deg", 1, (o->start + o->phi.step * t) * DEGREES_PER_RADIAN);
            say(place, "k_frac", 1, dot(cell.b, q));
            trace_orientation(s, place, &cell, q);
        }
    }
}

static void trace_result(const Scene *s, const Pixel *p)
{
    say("pixel", "I_before_scaling", 1, p->sum);
    say("pixel", "r_e_meters", 1, sqrt(ELECTRON_RADIUS_SQUARED));
    say("pixel", "r_e_sqr", 1, ELECTRON_RADIUS_SQUARED);
    say("pixel", "fluence_photons_per_m2", 1, s->fluence);
    say("pixel", "steps", 1, s->steps);
    say("pixel", "oversample_thick", 1, (double)s->per_term_thick);
    say("pixel", "oversample_polar", 1, (double)s->per_term_polar);
    say("pixel", "oversample_omega", 1, (double)s->per_term_omega);
    say("pixel", "capture_fraction", 1, p->capture);
    say("pixel", "polar", 1, p->polar);
    say("pixel", "omega_pixel", 1, p->omega);
    say("pixel", "cos_2theta", 1, p->last_cos_2theta);
    say("pixel", "I_pixel_final", 1, p->value);
    say("pixel", "floatimage_accumulated", 1, (double)(float)p->value);
}

void trace_pixel(const Scene *s, int slow, int fast, bool all)
{
    const int *n = s->detector.pixels;
    if (slow < 0 || slow >= n[SLOW] || fast < 0 || fast >= n[FAST])
        refuse("-trace_pixel %d %d is not on the detector", slow, fast);
    trace_setup(&s->detector);
    Pixel pixel = pixel_value(s, fast, slow);
    for (int layer = 0; layer < s->layers.count; layer++)
        for (int ss = 0; ss < s->oversample; ss++)
            for (int sf = 0; sf < s->oversample; sf++) {
                SubPixel at = sub_pixel(s, fast, slow, layer, ss, sf);
                for (int i = 0; i < s->sources.count; i++)
                    if (all || i == 0 || i == 2) trace_term(s, &at, &pixel, (int[]){layer, ss, sf, i}, all);
            }
    trace_result(s, &pixel);
}
