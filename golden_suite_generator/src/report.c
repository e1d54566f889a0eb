#include "report.h"

#include <stdio.h>

static void print_vector(const char *title, Vec v) { printf("  %s= %g %g %g\n", title, v.x, v.y, v.z); }

static void print_crystal_and_beam(const Scene *s)
{
    static const char *const shape_name[] = {
        [SQUARE] = "parallelpiped", [ROUND] = "ellipsoidal", [GAUSS] = "gaussian", [TOPHAT] = "tophat-spot"};
    const Crystal *c = &s->crystal;
    const Sources *b = &s->sources;
    printf("  %lld initialized hkls (all others =%g)\n", s->amplitudes.entries, s->amplitudes.default_f);
    printf("  %s xtal: %dx%dx%d cells\n", shape_name[c->shape], c->count[0], c->count[1], c->count[2]);
    printf("  wave=%g meters +/- %g%% in %d steps\n", b->wavelength, b->dispersion.range * 100.0, b->dispersion.count);
    if (!s->polarized)
        printf("  polarization effect disabled\n");
    else
        printf("  Kahn polarization factor: %f\n", s->kahn);
    if (s->detector.curved) printf("  curved detector: all pixels same distance from origin\n");
    if (s->detector.point_pixel) printf("  pixel obliquity effect disabled\n");
    printf("  incident fluence: %g photons/m^2\n", s->fluence);
}

static void print_detector(const Scene *s)
{
    const Detector *d = &s->detector;
    printf("  distance=%g detsize=%gx%g  pixel=%g meters (%dx%d pixels)\n", d->distance, d->size[FAST], d->size[SLOW],
           d->pixel, d->pixels[FAST], d->pixels[SLOW]);
    printf("  sensor is %g m thick in %d layers with mu= %g\n", s->layers.thickness, s->layers.count, s->layers.mu);
    printf("  Xbeam=%g Ybeam=%g\n", d->x_beam, d->y_beam);
    printf("  Fbeam=%g Sbeam=%g\n", d->f_beam, d->s_beam);
    printf("  Xclose=%g Yclose=%g\n", d->x_close, d->y_close);
    printf("  Fclose=%g Sclose=%g\n", d->f_close, d->s_close);
    print_vector("DIRECTION_OF_DETECTOR_X-AXIS", d->fast);
    print_vector("DIRECTION_OF_DETECTOR_Y-AXIS", d->slow);
    print_vector("DIRECTION_OF_DETECTOR_Z-AXIS", d->normal);
    print_vector("INCIDENT_BEAM_DIRECTION", d->beam);
    print_vector("spindle ROTATION_AXIS", d->spindle);
    print_vector("POLARIZATION_PLANE_NORMAL", cross(d->beam, d->polar_axis));
    print_vector("dials origin", d->dials_origin);
}

static void print_sampling(const Scene *s)
{
    const Orientations *o = &s->orientations;
    const Sources *b = &s->sources;
    const double deg = DEGREES_PER_RADIAN;
    printf("  roi: %d < x < %d && %d < y < %d\n", s->region.x_min, s->region.x_max, s->region.y_min, s->region.y_max);
    printf("  hdivrange=%g hdivstep=%g  radians\n", b->horizontal.range, b->horizontal.step);
    printf("  vdivrange=%g vdivstep=%g  radians\n", b->vertical.range, b->vertical.step);
    printf("  %d divergence steps\n", b->from_file ? -1 : b->count / b->dispersion.count);
    printf("  %d sources\n", b->count);
    printf("  %d mosaic domains over mosaic spread of %g degrees\n", o->mosaic.count, o->mosaic.spread * deg);
    printf("  %d phi steps from %g to %g degrees\n", o->phi.count, o->start * deg, (o->start + o->phi.range) * deg);
    printf("  %dx%d pixel oversample steps%s%s%s\n", s->oversample, s->oversample, s->per_term_thick ? " +thick" : "",
           s->per_term_polar ? " +polar" : "", s->per_term_omega ? " +omega" : "");
    if (s->mask) printf("  skipping zero-flagged pixels in %s\n", s->mask_name);
}

void print_summary(const Scene *s, const Request *r)
{
    print_crystal_and_beam(s);
    print_detector(s);
    print_sampling(s);
    if (r->no_noise) return;
    printf("\n  noise image paramters:\n");
    printf("  seed: %lld\n", noise_seed(r));
    printf("  water droplet size: %g m\n", s->water);
}

void print_render_notes(const Scene *s, const Image *image)
{
    (void)s;
    if (image->outside) {
        const Sample *o = &image->first_outside;
        printf("WARNING: out of range for three point interpolation: h,k,l,h0,k0,l0: %g,%g,%g,%d,%d,%d \n", o->hkl[0],
               o->hkl[1], o->hkl[2], o->nearest[0], o->nearest[1], o->nearest[2]);
        printf("WARNING: further warnings will not be printed!\n");
    }
    printf("\nsolid angle subtended by detector = %g steradian ( %g%% sphere)\n", image->solid_angle,
           100.0 * image->solid_angle / (4.0 * PI));
}

static void print_pixel(const Scene *s, int fast, int slow)
{
    Pixel p = pixel_value(s, fast, slow);
    const Sample *last = &p.last;
    const Orientations *o = &s->orientations;
    Basis at_phi = cell_at_phi(o, o->phi.count - 1);
    Basis final = cell_of_domain(o, &at_phi, o->mosaic.count - 1);
    const Basis *cell = &final;
    printf("%4d %4d : stol = %g\n", fast, slow, p.last_q / 2.0);
    printf("at %g %g %g\n", p.last_position.x, p.last_position.y, p.last_position.z);
    printf("hkl= %f %f %f  hkl0= %d %d %d\n", last->hkl[0], last->hkl[1], last->hkl[2], last->nearest[0],
           last->nearest[1], last->nearest[2]);
    printf(" F_cell=%g  F_latt=%g   I = %g\n", last->f_cell, last->f_latt, p.sum);
    printf("I/steps %15.10g\n", p.sum / s->steps);
    printf("polar   %15.10g\n", p.polar);
    printf("omega   %15.10g\n", p.omega);
    printf("capfrac %15.10g\n", p.capture);
    printf("pixel   %15.10g\n", p.value);
    printf("real-space cell vectors (Angstrom):\n");
    printf("X: %11.8f %11.8f %11.8f\n", cell->a.x * 1e10, cell->b.x * 1e10, cell->c.x * 1e10);
    printf("Y: %11.8f %11.8f %11.8f\n", cell->a.y * 1e10, cell->b.y * 1e10, cell->c.y * 1e10);
    printf("Z: %11.8f %11.8f %11.8f\n", cell->a.z * 1e10, cell->b.z * 1e10, cell->c.z * 1e10);
}

void print_pixels(const Scene *s, const Request *r)
{
    const Int *only = r->printout_pixel;
    for (int slow = 0; slow < s->detector.pixels[SLOW]; slow++)
        for (int fast = 0; fast < s->detector.pixels[FAST]; fast++) {
            if (!rendered(s, fast, slow)) continue;
            if (only[0].given && (only[0].value != fast || only[1].value != slow)) continue;
            print_pixel(s, fast, slow);
        }
}
