/* Numbers on the command line, and the flags that do not fit the table's plain kinds. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "defects.h"
#include "flags.h"
#include "refuse.h"

bool parse_number(const char *word, double *value)
{
    if (!word[0] || word[strspn(word, "0123456789.eE+-")]) return false;
    char *end;
    *value = strtod(word, &end);
    return end != word && !*end && isfinite(*value);
}

static const char *word_at(const Words *words, int flag, int at)
{
    if (at >= words->count) refuse("%s lacks a value", words->word[flag]);
    return words->word[at];
}

double number_at(const Words *words, int flag, int at)
{
    const char *word = word_at(words, flag, at);
    double value;
    if (!parse_number(word, &value))
        refuse("%s needs a number, not '%s'", words->word[flag], word);
    return value;
}

int integer_at(const Words *words, int flag, int at)
{
    double value = number_at(words, flag, at);
    if (value != floor(value) || fabs(value) > 2147483647.0)
        refuse("%s needs a whole number, not '%s'", words->word[flag], words->word[at]);
    return (int)value;
}

double to_internal(double value, Unit unit)
{
    switch (unit) {
    case MM:
    case MRAD: return value / 1000.0;
    case MICRON: return value * 1e-6;
    case MICRON_WATER: return value / 1e6;
    case ANGSTROM: return value / 1e10;
    case ANGSTROM_DMIN: return value * 1e-10;
    case DEGREE: return value / DEGREES_PER_RADIAN;
    case PERCENT: return value / 100.0;
    default: return value;
    }
}

int read_cell(Request *request, const Words *words, int at)
{
    int taken = 0;
    while (taken < 6 && at + 1 + taken < words->count && words->word[at + 1 + taken][0] != '-') {
        double value = number_at(words, at, at + 1 + taken);
        request->cell[taken++] = (Real){true, value};
    }
    if (taken == 0) refuse("%s lacks a value", words->word[at]);
    return taken;
}

int read_misset(Request *request, const Words *words, int at)
{
    if (strstr(word_at(words, at, at + 1), "rand")) {
        request->misset = MISSET_RANDOM;
        return 1;
    }
    double angle[3];
    for (int i = 0; i < 3; i++) angle[i] = to_internal(number_at(words, at, at + 1 + i), DEGREE);
    request->misset = MISSET_ANGLES;
    request->misset_angles = vec(angle[0], angle[1], angle[2]);
    return 3;
}

int read_misset_seed(Request *request, const Words *words, int at)
{
    request->misset_seed = (Int){true, integer_at(words, at, at + 1)};
    if (DEFECTS && at + 3 < words->count) { /* D04 */
        request->misset = MISSET_ANGLES;
        request->misset_angles = vec(to_internal(atof(words->word[at + 1]), DEGREE),
                                     to_internal(atof(words->word[at + 2]), DEGREE),
                                     to_internal(atof(words->word[at + 3]), DEGREE));
    }
    return 1;
}

int read_energy(Request *request, const Words *words, int at)
{
    double energy = number_at(words, at, at + 1);
    if (energy <= 0.0) refuse("%s must be positive, not %s", words->word[at], words->word[at + 1]);
    request->wavelength = (Real){true, (12398.42 / energy) / 1e10};
    return 1;
}

int read_pivot(Request *request, const Words *words, int at)
{
    const char *word = word_at(words, at, at + 1);
    bool sample = strstr(word, "sample"), beam = strstr(word, "beam");
    if (!sample && !beam) refuse("%s must be sample or beam, not '%s'", words->word[at], word);
    request->pivot = beam ? PIVOT_BEAM : PIVOT_SAMPLE;
    return 1;
}

/* Command lines made for the C program carry a number behind this flag; it is skipped. */
int read_curved(Request *request, const Words *words, int at)
{
    double ignored;
    request->curved = 1;
    return at + 1 < words->count && parse_number(words->word[at + 1], &ignored);
}

int read_absorption(Request *request, const Words *words, int at)
{
    const char *word = word_at(words, at, at + 1);
    double depth = strcmp(word, "inf") == 0 ? 0.0 : number_at(words, at, at + 1);
    request->no_sensor = depth == 0.0;
    request->absorption = (Real){depth > 0.0, to_internal(depth, MICRON)};
    return 1;
}

int read_roi(Request *request, const Words *words, int at)
{
    for (int i = 0; i < 4; i++) request->roi[i] = integer_at(words, at, at + 1 + i);
    return 4;
}

int read_printout_pixel(Request *request, const Words *words, int at)
{
    for (int i = 0; i < 2; i++)
        request->printout_pixel[i] = (Int){true, integer_at(words, at, at + 1 + i)};
    request->printout = 1;
    return 2;
}

int read_trace_pixel(Request *request, const Words *words, int at)
{
    for (int i = 0; i < 2; i++)
        request->trace_pixel[i] = (Int){true, integer_at(words, at, at + 1 + i)};
    return 2;
}

int read_physics(Request *request, const Words *words, int at)
{
    (void)request;
    const char *word = word_at(words, at, at + 1);
    if (strcmp(word, "nanobragg") != 0)
        refuse("%s '%s': this program knows nanobragg only", words->word[at], word);
    return 1;
}

int read_never_existed(Request *request, const Words *words, int at)
{
    (void)request;
    double ignored;
    bool number = at + 1 < words->count && parse_number(words->word[at + 1], &ignored);
    if (!words->silent) remark("WARNING: %s does not exist and is ignored", words->word[at]);
    return number;
}
