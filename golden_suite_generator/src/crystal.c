#include "crystal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "defects.h"
#include "flags.h"
#include "defects.h"
#include "refuse.h"

static double or_else(Real said, double otherwise) { return said.given ? said.value : otherwise; }

/* The six numbers of -cell with the rules for what is left out; false without -cell. */
static bool requested_cell(const Request *r, double cell[6])
{
    if (!r->cell[0].given || r->cell[0].value == 0.0) return false;
    for (int i = 0; i < 6; i++) cell[i] = or_else(r->cell[i], 0.0);
    for (int i = 1; i < 3; i++)
        if (cell[i] <= 0.0) cell[i] = cell[0];
    for (int i = 3; i < 6; i++)
        if (cell[i] <= 0.0) cell[i] = 90.0;
    return true;
}

static Basis read_matrix(const char *name, double wavelength)
{
    size_t size;
    char *text = read_file(name, "matrix file", &size), *save = text;
    double number[9];
    for (int i = 0; i < 9; i++) {
        char *word = strtok(i ? 0 : text, " \t\r\n");
        if (!word || !parse_number(word, &number[i])) refuse("matrix file %s: number %d is missing or bad", name, i + 1);
        number[i] *= 1e-10 / wavelength;
    }
    free(save);
    return (Basis){{number[0], number[3], number[6]},
                   {number[1], number[4], number[7]},
                   {number[2], number[5], number[8]}};
}

static Vec misset_from_matrix(const Mat *u)
{
    Vec x = unit(u->row[0]), y = unit(u->row[1]), z = unit(u->row[2]);
    if (z.x * z.x < 1.0)
        return vec(atan2(z.y, z.z), atan2(-z.x, sqrt(z.y * z.y + z.z * z.z)), atan2(y.x, x.x));
    return vec(PI, PI / 2.0, atan2(x.y, -y.y));
}

static Vec misset_angles(const Request *r)
{
    if (r->misset == MISSET_NONE) return vec(0, 0, 0);
    if (r->misset == MISSET_ANGLES) return r->misset_angles;
    Stream stream = r->misset_seed.given ? -(Stream)r->misset_seed.value : -(Stream)time(0);
    if (!r->misset_seed.given) printf("random orientation misset seed: %lld\n", -stream);
    Mat u = draw_rotation(90.0f, &stream);
    Vec angles = misset_from_matrix(&u);
    printf("random orientation misset angles: %f %f %f deg\n", angles.x * DEGREES_PER_RADIAN,
           angles.y * DEGREES_PER_RADIAN, angles.z * DEGREES_PER_RADIAN);
    return angles;
}

static Vec rescale(Vec a, double size) { return scale(size / length(a), a); }

/* Direct cell (Angstrom) and the recomputed reciprocal cell; crystal.md 6. */
static Basis direct_cell(Basis *reciprocal, bool has_cell, const double cell[6], double cell_volume, double *volume)
{
    Basis *q = reciprocal;
    Vec a = cross(q->b, q->c), b = cross(q->c, q->a), c = cross(q->a, q->b);
    double recip_volume = dot(q->a, a);
    if (recip_volume == 0.0 || !isfinite(recip_volume)) refuse("the orientation matrix is singular");
    if (has_cell) {
        if (recip_volume < 0.0)
            remark("WARNING: left-handed matrix with -cell: reflections become their Friedel mates (D55)");
        a = rescale(a, cell[0] / cell_volume);
        b = rescale(b, cell[1] / cell_volume);
        c = rescale(c, cell[2] / cell_volume);
        recip_volume = 1.0 / cell_volume;
    }
    *volume = 1.0 / recip_volume;
    Basis direct = {scale(*volume, a), scale(*volume, b), scale(*volume, c)};
    q->a = scale(recip_volume, cross(direct.b, direct.c));
    q->b = scale(recip_volume, cross(direct.c, direct.a));
    q->c = scale(recip_volume, cross(direct.a, direct.b));
    return direct;
}

static void print_basis(const char *title, const Basis *q, const char *star)
{
    printf("%s\n     a%-10s b%-10s c%s\n", title, star, star, star);
    printf("X: %11.8f %11.8f %11.8f\n", q->a.x, q->b.x, q->c.x);
    printf("Y: %11.8f %11.8f %11.8f\n", q->a.y, q->b.y, q->c.y);
    printf("Z: %11.8f %11.8f %11.8f\n", q->a.z, q->b.z, q->c.z);
}

static void print_cell(const Basis *direct, const Basis *reciprocal, double volume, bool has_cell,
                       const double said[6], bool has_matrix)
{
    double cell[6], recip[6];
    cell_numbers(direct, reciprocal, volume, cell);
    cell_numbers(reciprocal, direct, 1.0 / volume, recip);
    printf("Unit Cell: %g %g %g %g %g %g\n", cell[0], cell[1], cell[2], cell[3], cell[4], cell[5]);
    printf("Recp Cell: %g %g %g %g %g %g\n", recip[0], recip[1], recip[2], recip[3], recip[4], recip[5]);
    printf("volume = %g A^3\n", volume);
    print_basis("real-space cell vectors (Angstrom):", direct, "");
    print_basis("reciprocal-space cell vectors (Angstrom^-1):", reciprocal, "*");
    double off = 0.0;
    for (int i = 3; has_cell && i < 6; i++) off = fmax(off, fabs(cell[i] - said[i]));
    if (off > 0.001)
        remark("WARNING: the simulated cell angles are %g %g %g (%s)", cell[3], cell[4], cell[5],
               has_matrix ? "D56: angles come from the matrix, lengths from -cell"
                          : "D26: inexact for general triclinic -cell; -mat is exact");
}

void clip_sample(Request *r)
{
    double beam = or_else(r->beam_size, 1e-4);
    for (int i = 1; i < 3; i++)
        if (beam >= 0.0 && r->sample[i].given && r->sample[i].value > beam) {
            printf("WARNING: clipping sample (%g m %s) with beam (%g m)\n", r->sample[i].value,
                   i == 1 ? "high" : "wide", beam);
            r->sample[i].value = beam;
        }
}

/* Counts from the sample sizes, which win over -N; crystal.md 7. */
static void settle_size(Crystal *crystal, const Request *r)
{
    double edge[3] = {length(crystal->direct.a), length(crystal->direct.b), length(crystal->direct.c)};
    for (int i = 0; i < 3; i++) {
        double size = or_else(r->sample[i], 0.0);
        double cells = r->count[i].given ? r->count[i].value : 1;
        if (size > 0.0) cells = ceil(size / edge[i]);
        if (cells > 2147483647.0) refuse("the crystal has too many cells");
        crystal->count[i] = cells <= 1.0 ? 1 : (int)cells;
        crystal->extent[i] = edge[i] * crystal->count[i];
    }
}

Crystal settle_crystal(const Request *r, double wavelength)
{
    Crystal crystal = {0};
    double cell[6], cell_volume = 0.0;
    bool has_cell = requested_cell(r, cell);
    Basis reciprocal = {0};
    if (has_cell) reciprocal = reciprocal_from_cell(cell, &cell_volume);
    if (r->mat) {
        printf("reading %s\n", r->mat);
        reciprocal = read_matrix(r->mat, wavelength);
    }
    Vec misset = misset_angles(r);
    if (r->misset == MISSET_RANDOM)
        remark("WARNING: -misset random is not uniformly distributed (D25)");
    reciprocal.a = rotate_xyz(reciprocal.a, misset);
    reciprocal.b = rotate_xyz(reciprocal.b, misset);
    reciprocal.c = rotate_xyz(reciprocal.c, misset);
    Basis direct = direct_cell(&reciprocal, has_cell, cell, cell_volume, &crystal.volume);
    print_cell(&direct, &reciprocal, crystal.volume, has_cell, cell, r->mat != 0);
    crystal.reciprocal = reciprocal;
    crystal.direct = (Basis){scale(1e-10, direct.a), scale(1e-10, direct.b), scale(1e-10, direct.c)};
    crystal.shape = (Shape)r->shape;
    crystal.fudge = or_else(r->fudge, 1.0);
    settle_size(&crystal, r);
    printf("crystal is %g x %g x %g microns\n", crystal.extent[0] * 1e6, crystal.extent[1] * 1e6,
           crystal.extent[2] * 1e6);
    return crystal;
}

static Basis turned_by(const Orientations *o, double phi)
{
    return (Basis){rotate_about(o->rest.a, o->spindle, phi), rotate_about(o->rest.b, o->spindle, phi),
                   rotate_about(o->rest.c, o->spindle, phi)};
}

Basis cell_at_phi(const Orientations *o, int step)
{
    double phi = o->start + o->phi.step * step;
    static _Thread_local Basis before;
    static _Thread_local bool turned;
    if (DEFECTS && phi == 0.0 && turned) return before; /* D01 */
    before = turned_by(o, phi);
    turned = true;
    return before;
}

Basis cell_of_domain(const Orientations *o, const Basis *at_phi, int domain)
{
    if (domain == 0) return *at_phi; /* the first domain is the unrotated one */
    const Mat *u = &o->domain[domain];
    return (Basis){transform(u, at_phi->a), transform(u, at_phi->b), transform(u, at_phi->c)};
}

Orientations settle_orientations(const Crystal *crystal, const Request *r, Steps phi, Domains mosaic, Vec spindle)
{
    Orientations o = {or_else(r->phi, 0.0), phi, mosaic, spindle, crystal->direct, 0};
    if ((double)phi.count * mosaic.count > 1e8) refuse("%d phi steps x %d domains are too many", phi.count, mosaic.count);
    Stream stream = -(r->mosaic_seed.given ? (Stream)r->mosaic_seed.value : 12345678);
    o.domain = allocate((size_t)mosaic.count, sizeof *o.domain);
    for (int m = 0; m < mosaic.count; m++) o.domain[m] = draw_rotation((float)mosaic.spread, &stream);
    return o;
}

int settle_oversample(const Crystal *crystal, const Request *r, double wavelength, double distance, double pixel)
{
    double largest = fmax(crystal->extent[0], fmax(crystal->extent[1], crystal->extent[2]));
    double reciprocal_pixel = wavelength * distance / pixel;
    double advice = ceil(3.0 * largest / reciprocal_pixel);
    if (!(advice > 0.0)) advice = 1.0;
    if (advice > 1e6) refuse("the automatic oversampling would be %g", advice);
    int chosen = r->oversample.given ? r->oversample.value : 0;
    if (chosen <= 0) {
        chosen = (int)advice;
        printf("auto-selected %d-fold oversampling\n", chosen);
    }
    if (chosen < (int)advice) {
        printf("WARNING: maximum dimension of sample is %g A\n", largest * 1e10);
        printf("         but reciprocal pixel size is %g A\n", reciprocal_pixel * 1e10);
        printf("         intensity may vary significantly across a pixel!\n");
        printf("         recommend -oversample %d to work around this\n", (int)advice);
    }
    double mass = crystal->extent[0] * crystal->extent[1] * crystal->extent[2] * 1.2e6 * 6.02214179e23;
    printf("approximate MW = %g\n",
           mass / ((double)crystal->count[0] * crystal->count[1] * crystal->count[2]));
    return chosen;
}
