#include "sources.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flags.h"
#include "refuse.h"

enum { COLUMNS = 5 };
static const char delimiters[] = " \t,;:!\r";

/* Fields of one line; columns that are absent or "nan" are not given. Returns the fields found. */
static int read_fields(char *line, Real field[COLUMNS], const char *name, int number)
{
    int found = 0;
    for (int i = 0; i < COLUMNS; i++) field[i].given = false;
    for (char *word = strtok(line, delimiters); word; word = strtok(0, delimiters)) {
        if (found == COLUMNS) break;
        double value = 0.0;
        bool missing = strcmp(word, "nan") == 0 || strcmp(word, "NaN") == 0 || strcmp(word, "NAN") == 0;
        if (!missing && !parse_number(word, &value)) refuse("%s line %d: '%s' is not a number", name, number, word);
        field[found++] = (Real){!missing, value};
    }
    return found;
}

typedef struct {
    Real (*row)[COLUMNS];
    int count;
} Table;

static Table read_table(const char *name, const char *what)
{
    size_t size;
    char *text = read_file(name, what, &size);
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    Table table = {allocate(lines, sizeof *table.row), 0};
    int number = 0;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        number++;
        if (line[strspn(line, delimiters)] == '#') continue;
        if (read_fields(line, table.row[table.count], name, number) > 0) table.count++;
    }
    free(text);
    if (table.count == 0) refuse("%s %s holds no entries", what, name);
    return table;
}

void check_table(const char *name) { free(read_table(name, "table").row); }

static void sources_from_file(Sources *sources, const char *name, Vec beam)
{
    Table table = read_table(name, "source file");
    sources->list = allocate((size_t)table.count, sizeof(Source));
    sources->count = table.count;
    sources->from_file = true;
    for (int i = 0; i < table.count; i++) {
        const Real *f = table.row[i];
        Source *s = &sources->list[i];
        s->position = vec(f[0].given ? f[0].value : -10.0 * beam.x, f[1].given ? f[1].value : -10.0 * beam.y,
                          f[2].given ? f[2].value : -10.0 * beam.z);
        s->weight = f[3].given ? f[3].value : 1.0;
        s->wavelength = f[4].given ? f[4].value : sources->wavelength;
        if (s->wavelength <= 0.0) refuse("%s: source %d has wavelength %g", name, i, s->wavelength);
        if (length(s->position) == 0.0) refuse("%s: source %d is at the sample", name, i);
    }
    free(table.row);
}

static bool trimmed_away(const Sources *s, double h, double v)
{
    if (s->horizontal.range <= 0.0 || s->vertical.range <= 0.0) return false;
    double even_h = s->horizontal.count % 2 == 0, even_v = s->vertical.count % 2 == 0;
    double hs = s->horizontal.step, vs = s->vertical.step;
    double test = (h * h - even_h * hs * hs / 4.0) / (s->horizontal.range * s->horizontal.range)
                  + (v * v - even_v * vs * vs / 4.0) / (s->vertical.range * s->vertical.range);
    return test * 4.0 > 1.1;
}

static void generate_sources(Sources *sources, const Request *r, const Detector *d)
{
    const Steps *hs = &sources->horizontal, *vs = &sources->vertical, *ws = &sources->dispersion;
    double room = (double)hs->count * vs->count * ws->count;
    if (room > 1e8) refuse("%g sources are too many", room);
    sources->list = allocate((size_t)room, sizeof(Source));
    for (int h = 0; h < hs->count; h++)
        for (int v = 0; v < vs->count; v++) {
            double dh = hs->step * h - hs->range / 2.0, dv = vs->step * v - vs->range / 2.0;
            if (!r->square_div && trimmed_away(sources, dh, dv)) continue;
            printf("divergence deviation: %g %g\n", dh, dv);
            Vec position = rotate_about(rotate_about(scale(-10.0, d->beam), d->polar_axis, dv), d->vertical, dh);
            for (int k = 0; k < ws->count; k++) {
                Source *s = &sources->list[sources->count++];
                s->position = position;
                s->wavelength = sources->wavelength * (1.0 + ws->step * k - ws->range / 2.0);
                if (s->wavelength <= 0.0) refuse("the dispersion makes a wavelength of %g m", s->wavelength);
            }
        }
    for (int k = 0; k < ws->count && k < sources->count; k++)
        printf("lambda%d = %.15g\n", k, sources->list[k].wavelength);
    if (sources->count == 0) refuse("the elliptical trimming leaves no source; try -square_div");
    for (int i = 0; i < sources->count; i++) sources->list[i].weight = 1.0 / sources->count;
}

Sources settle_sources(const Request *r, const Detector *d)
{
    Sources s = {0};
    s.wavelength = r->wavelength.given ? r->wavelength.value : 1e-10;
    s.horizontal = divergence_steps(r->divergence_steps[HORIZONTAL], r->divergence_range[HORIZONTAL],
                                    r->divergence_step[HORIZONTAL], "h");
    s.vertical = divergence_steps(r->divergence_steps[VERTICAL], r->divergence_range[VERTICAL],
                                  r->divergence_step[VERTICAL], "v");
    s.dispersion = dispersion_steps(r->dispersion_steps, r->dispersion);
    if (r->source_file)
        sources_from_file(&s, r->source_file, d->beam);
    else
        generate_sources(&s, r, d);
    double total = 0.0;
    bool differ = false;
    for (int i = 0; i < s.count; i++) total += s.list[i].weight;
    bool weighted = r->source_weights && r->source_file;
    if (weighted && !(total > 0.0)) refuse("the source weights sum to %g", total);
    for (int i = 0; i < s.count; i++) {
        Source *source = &s.list[i];
        Vec direction = unit(source->position);
        source->incident = vec(-direction.x, -direction.y, -direction.z);
        source->factor = weighted ? source->weight * s.count / total : 1.0;
        differ = differ || source->weight != s.list[0].weight;
    }
    if (differ && !r->source_weights)
        remark("WARNING: source weights are read and not used (D34); -source_weights uses them");
    return s;
}

void print_sources(const Sources *sources)
{
    printf("  created a total of %d sources:\n", sources->count);
    for (int i = 0; i < sources->count; i++) {
        const Source *s = &sources->list[i];
        printf("%g %g %g   %g %g\n", s->position.x, s->position.y, s->position.z, s->weight, s->wavelength);
    }
}
