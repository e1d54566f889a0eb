#include "intensity.h"

#include <math.h>
#include <stdatomic.h>

#include "defects.h"
#include "lattice.h"

static double capture_fraction(const Scene *scene, Vec direction, int layer)
{
    const Layers *layers = &scene->layers;
    if (layers->thickness <= 0.0) return 1.0;
    double obliquity = dot(direction, scene->detector.normal);
    return exp(-layer * layers->step * layers->mu / obliquity)
           - exp(-(layer + 1) * layers->step * layers->mu / obliquity);
}

SubPixel sub_pixel(const Scene *scene, int fast, int slow, int layer, int sub_slow, int sub_fast)
{
    const Detector *detector = &scene->detector;
    SubPixel s;
    s.position = pixel_position(detector, along_axis(detector, scene->oversample, fast, sub_fast),
                                along_axis(detector, scene->oversample, slow, sub_slow),
                                layer * scene->layers.step);
    s.distance = length(s.position);
    s.direction = over(s.position, s.distance);
    s.omega = solid_angle(detector, s.distance);
    s.capture = capture_fraction(scene, s.direction, layer);
    return s;
}

double polarization(const Scene *scene, Vec incident, Vec direction)
{
    if (!scene->polarized) return 1.0;
    double c = dot(incident, direction), twist = 0.0;
    if (scene->kahn != 0.0) {
        Vec b = unit(cross(scene->detector.polar_axis, incident));
        Vec e = unit(cross(incident, b));
        twist = -atan2(dot(direction, b), dot(direction, e));
    }
    return 0.5 * (1.0 + c * c - scene->kahn * cos(2.0 * twist) * (1.0 - c * c));
}

bool cut_by_dmin(const Scene *scene, Vec q)
{
    double size = length(q);
    return scene->dmin > 0.0 && size > 0.0 && scene->dmin > 1.0 / size;
}

/* D03: the first sample outside the table ends interpolation for the whole run. */
static atomic_bool left_the_table;

Sample lattice_sample(const Scene *scene, const Basis *cell, Vec q)
{
    Sample s;
    s.hkl[0] = dot(cell->a, q);
    s.hkl[1] = dot(cell->b, q);
    s.hkl[2] = dot(cell->c, q);
    for (int i = 0; i < 3; i++) {
        double nearest = ceil(s.hkl[i] - 0.5);
        s.nearest[i] = (int)nearest;
        s.off[i] = s.hkl[i] - nearest;
    }
    s.f_latt = lattice_amplitude(&scene->crystal, s.off);
    s.outside = false;
    const Amplitudes *f = &scene->amplitudes;
    bool outside = f->interpolate && !interpolation_reaches(f, s.hkl);
    if (DEFECTS && outside && !atomic_exchange(&left_the_table, true)) s.outside = true;
    if (!f->interpolate || (DEFECTS && atomic_load(&left_the_table))) {
        s.f_cell = nearest_amplitude(f, s.nearest[0], s.nearest[1], s.nearest[2]);
    } else if (!outside) {
        s.f_cell = interpolated_amplitude(f, s.hkl);
    } else {
        s.f_cell = f->default_f;
        s.outside = true;
    }
    return s;
}

/* D02: the running sum, background included, takes the factors again with every term. */
static void add_to_running_sum(const Scene *scene, const SubPixel *at, double polar, double term, Pixel *pixel)
{
    pixel->sum += term;
    if (scene->per_term_thick) pixel->sum *= at->capture;
    if (scene->per_term_polar) pixel->sum *= polar;
    if (scene->per_term_omega) pixel->sum *= at->omega;
}

/* Sum of F_cell^2 F_latt^2 over phi steps and domains at one scattering vector. */
static double orientation_sum(const Scene *scene, Vec q, const SubPixel *at, double polar, Pixel *pixel)
{
    const Orientations *o = &scene->orientations;
    double sum = 0.0;
    Sample s;
    for (int t = 0; t < o->phi.count; t++) {
        Basis at_phi = cell_at_phi(o, t);
        for (int m = 0; m < o->mosaic.count; m++) {
            Basis cell = cell_of_domain(o, &at_phi, m);
            s = lattice_sample(scene, &cell, q);
            double term = s.f_cell * s.f_cell * s.f_latt * s.f_latt;
            sum += term;
            if (DEFECTS) add_to_running_sum(scene, at, polar, term, pixel);
            if (s.outside && !pixel->outside) {
                pixel->outside = true;
                pixel->first_outside = s;
            }
        }
    }
    pixel->last = s;
    return sum;
}

/* Adds the terms of all sources for one sub-pixel, with the factors that go with each term. */
static void add_sub_pixel(const Scene *scene, const SubPixel *at, Pixel *pixel)
{
    double factor = (scene->per_term_omega ? at->omega : 1.0) * (scene->per_term_thick ? at->capture : 1.0);
    for (int i = 0; i < scene->sources.count; i++) {
        const Source *source = &scene->sources.list[i];
        Vec q = over(sub(at->direction, source->incident), source->wavelength);
        pixel->last_cos_2theta = dot(source->incident, at->direction);
        if (cut_by_dmin(scene, q)) continue;
        double polar = 1.0;
        if (pixel->polar == 0.0 || scene->per_term_polar) {
            polar = polarization(scene, source->incident, at->direction);
            if (pixel->polar == 0.0) pixel->polar = polar;
        }
        double sum = orientation_sum(scene, q, at, polar, pixel) * source->factor;
        if (!DEFECTS) pixel->sum += sum * factor * (scene->per_term_polar ? polar : 1.0);
        pixel->last_q = length(q);
    }
    pixel->last_position = at->position;
}

Pixel pixel_value(const Scene *scene, int fast, int slow)
{
    Pixel p = {0};
    if (!scene->polarized) p.polar = 1.0;
    if (DEFECTS) p.sum = scene->background;
    for (int layer = 0; layer < scene->layers.count; layer++)
        for (int ss = 0; ss < scene->oversample; ss++)
            for (int sf = 0; sf < scene->oversample; sf++) {
                SubPixel sub = sub_pixel(scene, fast, slow, layer, ss, sf);
                if (ss == 0 && sf == 0) {
                    if (layer == 0) p.omega = sub.omega;
                    p.capture = sub.capture;
                }
                p.solid_angle += scene->per_term_omega ? sub.omega : p.omega;
                add_sub_pixel(scene, &sub, &p);
            }
    double background = DEFECTS ? 0.0 : scene->background;
    if (scene->per_term_thick) background *= p.capture;
    if (scene->per_term_polar) background *= p.polar;
    if (scene->per_term_omega) background *= p.omega;
    p.sum = background + p.sum;
    p.value = ELECTRON_RADIUS_SQUARED * scene->fluence * p.sum / scene->steps;
    if (!scene->per_term_thick) p.value *= p.capture;
    if (!scene->per_term_polar) p.value *= p.polar;
    if (!scene->per_term_omega) p.value *= p.omega;
    return p;
}
