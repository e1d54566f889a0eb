/* The table of command-line words (specification: cli.md, sections 2 to 7). */
#ifndef FLAGS_H
#define FLAGS_H

#include <stddef.h>

#include "request.h"

typedef enum {
    REAL,    /* one number */
    INTEGER, /* one whole number */
    TEXT,    /* one word */
    VECTOR,  /* three numbers */
    SWITCH,  /* none; stores a constant */
    SPECIAL  /* its own reader; returns the number of words it took */
} Kind;

typedef enum {
    PLAIN,
    MM,
    MICRON,
    MICRON_WATER,
    ANGSTROM,
    ANGSTROM_DMIN,
    DEGREE,
    MRAD,
    PERCENT
} Unit;

typedef enum {
    NOTHING,
    TO_BEAM,
    TO_SAMPLE,
    TO_CUSTOM,
    PGM_ON,
    NOISE_ON,
    POLAR_ON,
    NO_EFFECT_NOTE
} SideEffect;

typedef struct Words {
    int count;
    char **word;
    bool silent; /* first pass over the words: no remarks */
} Words;

typedef int (*Reader)(Request *request, const Words *words, int at);

typedef struct {
    const char *spelling; /* a trailing * stands for any continuation */
    Kind kind;
    size_t offset;
    int copies; /* adjacent fields that take the same value */
    Unit unit;
    int constant;
    SideEffect effect;
    Reader reader;
} Flag;

extern const Flag flag_table[];
extern const int flag_table_size;

/* Readers of the irregular flags (readers.c). `at` is the place of the flag itself. */
int read_cell(Request *, const Words *, int at);
int read_misset(Request *, const Words *, int at);
int read_misset_seed(Request *, const Words *, int at);
int read_energy(Request *, const Words *, int at);
int read_pivot(Request *, const Words *, int at);
int read_curved(Request *, const Words *, int at);
int read_absorption(Request *, const Words *, int at);
int read_roi(Request *, const Words *, int at);
int read_printout_pixel(Request *, const Words *, int at);
int read_trace_pixel(Request *, const Words *, int at);
int read_physics(Request *, const Words *, int at);
int read_never_existed(Request *, const Words *, int at);

/* Strict numbers: the whole word, finite, decimal. */
bool parse_number(const char *word, double *value);
double number_at(const Words *words, int flag, int at);
int integer_at(const Words *words, int flag, int at);
double to_internal(double value, Unit unit);

#endif
