#include "structure_factors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "flags.h"
#include "refuse.h"

typedef struct {
    int index[3];
    double value;
} Reflection;

bool settle_interpolation(const Request *r)
{
    if (r->interpolate == INTERPOLATE_ON) return true;
    if (r->interpolate == INTERPOLATE_OFF) return false;
    bool small = false;
    for (int i = 0; i < 3; i++) small = small || !r->count[i].given || r->count[i].value <= 2;
    printf("auto-selected %s interpolation%s\n", small ? "tricubic" : "no",
           small ? " of structure factors" : "");
    return small;
}

static void allocate_grid(Amplitudes *f, const char *name)
{
    double cells = (double)span(f, 0) * (double)span(f, 1) * (double)span(f, 2);
    if (cells > 4e9) refuse("%s: the index ranges span %g grid points", name, cells);
    f->value = allocate((size_t)cells, sizeof(double));
}

/* One line "h k l F"; false for a blank line or a comment. */
static bool parse_reflection(char *line, Reflection *reflection, const char *name, long number)
{
    double field[4];
    int found = 0;
    if (line[strspn(line, " \t\r")] == '#') return false;
    for (char *word = strtok(line, " \t\r"); word; word = strtok(0, " \t\r"), found++)
        if (found == 4 || !parse_number(word, &field[found]))
            refuse("%s line %ld: four numbers h k l F are needed, not '%s'", name, number, word);
    if (found == 0) return false;
    if (found != 4) refuse("%s line %ld: four numbers h k l F are needed", name, number);
    for (int i = 0; i < 3; i++) {
        if (field[i] != floor(field[i]) || fabs(field[i]) > 1e8)
            refuse("%s line %ld: index %g is not a usable integer", name, number, field[i]);
        reflection->index[i] = (int)field[i];
    }
    reflection->value = field[3];
    return true;
}

static Reflection *read_reflections(const char *name, long long *count)
{
    size_t size;
    char *text = read_file(name, "file", &size);
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    Reflection *list = allocate(lines, sizeof *list);
    long number = 0;
    *count = 0;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        *count += parse_reflection(line, &list[*count], name, ++number);
    }
    free(text);
    if (*count == 0) refuse("not enough HKL indices in %s", name);
    return list;
}

static void amplitudes_from_text(Amplitudes *f, const char *name)
{
    printf("counting entries in %s\n", name);
    Reflection *list = read_reflections(name, &f->entries);
    for (int i = 0; i < 3; i++) {
        f->low[i] = f->high[i] = list[0].index[i];
        for (long long n = 1; n < f->entries; n++) {
            int x = list[n].index[i];
            if (x < f->low[i]) f->low[i] = x;
            if (x > f->high[i]) f->high[i] = x;
        }
    }
    allocate_grid(f, name);
    if (f->default_f != 0.0) {
        printf("initializing to default_F = %f:\n", f->default_f);
        long long cells = span(f, 0) * span(f, 1) * span(f, 2);
        for (long long n = 0; n < cells; n++) f->value[n] = f->default_f;
        printf("done initializing:\n");
    }
    printf("re-reading %s\n", name);
    for (long long n = 0; n < f->entries; n++) {
        const int *x = list[n].index;
        *grid_point(f, x[0], x[1], x[2]) = list[n].value;
    }
    free(list);
}

static void amplitudes_from_dump(Amplitudes *f, FILE *file, const char *name)
{
    printf("reading Fs from %s\n", name);
    bool fine = fscanf(file, "%d %d %d %d %d %d", &f->low[0], &f->high[0], &f->low[1], &f->high[1], &f->low[2],
                       &f->high[2]) == 6;
    fine = fine && fgetc(file) == 0x0A && fgetc(file) == 0x0C;
    for (int i = 0; i < 3; i++) fine = fine && f->high[i] >= f->low[i];
    if (!fine) refuse("%s is not a structure-factor dump", name);
    allocate_grid(f, name);
    long long nk = span(f, 1) + 1, nl = span(f, 2) + 1;
    double *row = allocate((size_t)nl, sizeof *row);
    for (long long h = f->low[0]; h <= (long long)f->high[0] + 1; h++)
        for (long long k = 0; k < nk; k++) {
            if (fread(row, sizeof *row, (size_t)nl, file) != (size_t)nl) refuse("the dump %s is too short", name);
            if (h <= f->high[0] && k < nk - 1)
                memcpy(grid_point(f, h, k + f->low[1], f->low[2]), row, (size_t)(nl - 1) * sizeof *row);
        }
    if (fgetc(file) != EOF) refuse("the dump %s is too long", name);
    free(row);
    f->entries = span(f, 0) * span(f, 1) * span(f, 2);
}

Amplitudes settle_amplitudes(const Request *r, bool interpolate)
{
    Amplitudes f = {0};
    f.default_f = r->default_f.given ? r->default_f.value : 0.0;
    const char *dump = r->dump ? r->dump : "Fdump.bin";
    if (r->hkl) {
        amplitudes_from_text(&f, r->hkl);
        f.dump_to = dump;
    } else {
        FILE *file = fopen(dump, "rb");
        if (!file && f.default_f == 0.0) usage(STATUS_REFUSED);
        if (file) {
            amplitudes_from_dump(&f, file, dump);
            fclose(file);
        }
    }
    f.interpolate = interpolate && f.entries > 0;
    return f;
}

double nearest_amplitude(const Amplitudes *f, int h0, int k0, int l0)
{
    if (f->entries == 0 || h0 < f->low[0] || h0 > f->high[0] || k0 < f->low[1] || k0 > f->high[1] || l0 < f->low[2]
        || l0 > f->high[2])
        return f->default_f;
    return *grid_point(f, h0, k0, l0);
}

bool interpolation_reaches(const Amplitudes *f, const double hkl[3])
{
    for (int i = 0; i < 3; i++)
        if (hkl[i] < f->low[i] + 2.0 || hkl[i] > f->high[i] - 2.0) return false;
    return true;
}

/* Weights of the cubic through four neighbouring nodes, the first at floor(x) - 1. */
static int cubic_weights(double x, double weight[4])
{
    int first = (int)floor(x) - 1;
    for (int i = 0; i < 4; i++) {
        weight[i] = 1.0;
        for (int j = 0; j < 4; j++)
            if (j != i) weight[i] *= (x - (first + j)) / (double)(i - j);
    }
    return first;
}

double interpolated_amplitude(const Amplitudes *f, const double hkl[3])
{
    double wh[4], wk[4], wl[4];
    int h = cubic_weights(hkl[0], wh), k = cubic_weights(hkl[1], wk), l = cubic_weights(hkl[2], wl);
    double sum_h = 0.0;
    for (int i = 0; i < 4; i++) {
        double sum_k = 0.0;
        for (int j = 0; j < 4; j++) {
            const double *node = grid_point(f, h + i, k + j, l);
            sum_k += wk[j] * (node[0] * wl[0] + node[1] * wl[1] + node[2] * wl[2] + node[3] * wl[3]);
        }
        sum_h += wh[i] * sum_k;
    }
    return sum_h;
}
