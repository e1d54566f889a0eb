#include "image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "defects.h"
#include "refuse.h"

typedef struct {
    double solid_angle;
    bool outside;
    Sample first_outside;
} RowNotes;

static RowNotes render_row(const Scene *scene, int slow, float *row)
{
    RowNotes notes = {0};
    for (int fast = 0; fast < scene->detector.pixels[FAST]; fast++) {
        if (!rendered(scene, fast, slow)) continue;
        Pixel pixel = pixel_value(scene, fast, slow);
        row[fast] = (float)pixel.value;
        notes.solid_angle += pixel.solid_angle;
        if (pixel.outside && !notes.outside) {
            notes.outside = true;
            notes.first_outside = pixel.first_outside;
        }
    }
    return notes;
}

static void tell_progress(int done, int total)
{
    int percent = (int)(100LL * done / total), before = (int)(100LL * (done - 1) / total);
    if (percent != before) printf("%d%% done\n", percent);
}

static void find_maximum(const Scene *scene, Image *image)
{
    const Detector *d = &scene->detector;
    int n = scene->oversample;
    for (int slow = 0; slow < d->pixels[SLOW]; slow++)
        for (int fast = 0; fast < d->pixels[FAST]; fast++) {
            double x = image->value[(size_t)slow * (size_t)d->pixels[FAST] + (size_t)fast];
            if (!(x > image->max)) continue;
            image->max = x;
            image->max_fast = along_axis(d, n, fast, n - 1);
            image->max_slow = along_axis(d, n, slow, n - 1);
        }
}

static void find_moments(const Scene *scene, Image *image)
{
    int nf = scene->detector.pixels[FAST], ns = scene->detector.pixels[SLOW];
    double sum = 0.0, squares = 0.0, deviations = 0.0;
    double visited = 0.0, in_box = 0.0;
    for (int slow = 0; slow < ns; slow++)
        for (int fast = 0; fast < nf; fast++) {
            if (!rendered(scene, fast, slow)) continue;
            double x = image->value[(size_t)slow * (size_t)nf + (size_t)fast];
            sum += x;
            squares += x * x;
            visited += 1.0;
        }
    image->mean = sum / fmax(visited, 1.0);
    image->rms = sqrt(squares / fmax(visited - 1.0, 1.0));
    for (int slow = 0; slow < ns; slow++)
        for (int fast = 0; fast < nf; fast++) {
            if (!in_region(scene, fast, slow)) continue;
            double off = image->value[(size_t)slow * (size_t)nf + (size_t)fast] - image->mean;
            deviations += off * off;
            in_box += 1.0;
        }
    image->rmsd = sqrt(deviations / fmax(in_box - 1.0, 1.0));
}

/* Every pixel is a finite number of photons, not below 0; else nothing is written (deviations.md D22). */
static void check_values(const float *value, size_t pixels)
{
    for (size_t i = 0; !DEFECTS && i < pixels; i++)
        if (!(value[i] >= 0.0f && isfinite(value[i])))
            refuse("pixel %zu of the image is %g: no image has such a value", i, (double)value[i]);
}

Image render(const Scene *scene, bool show_progress)
{
    int nf = scene->detector.pixels[FAST], ns = scene->detector.pixels[SLOW];
    Image image = {0};
    image.value = allocate((size_t)nf * (size_t)ns, sizeof *image.value);
    RowNotes *notes = allocate((size_t)ns, sizeof *notes);
    int done = 0;
#pragma omp parallel for schedule(dynamic)
    for (int slow = 0; slow < ns; slow++) {
        notes[slow] = render_row(scene, slow, image.value + (size_t)slow * (size_t)nf);
        if (!show_progress) continue;
#pragma omp critical
        tell_progress(++done, ns);
    }
    for (int slow = 0; slow < ns; slow++) {
        image.solid_angle += notes[slow].solid_angle;
        if (notes[slow].outside && !image.outside) {
            image.outside = true;
            image.first_outside = notes[slow].first_outside;
        }
    }
    image.solid_angle /= scene->steps;
    free(notes);
    check_values(image.value, (size_t)nf * (size_t)ns);
    find_maximum(scene, &image);
    find_moments(scene, &image);
    return image;
}
