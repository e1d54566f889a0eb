#include "args.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "defects.h"
#include "defects.h"
#include "flags.h"
#include "refuse.h"
#include "smv_header.h"
#include "version.h"

static const char *const kind_values[] = {"<number>", "<integer>", "<word>", "<x> <y> <z>", "", "..."};

void usage(int status)
{
    FILE *out = status ? stderr : stdout;
    fprintf(out, "usage: nanobragg_reference (-cell a b c al be ga | -mat file) (-hkl file | -default_F F) ...\n");
    for (int i = 0; status == 0 && i < flag_table_size; i++)
        fprintf(out, "  %-22s %s\n", flag_table[i].spelling, kind_values[flag_table[i].kind]);
    if (status)
        fprintf(out, "A cell or matrix, and structure factors (-hkl, a dump file or -default_F), are needed; "
                     "-h lists all flags.\n");
    exit(status);
}

static bool matches(const char *spelling, const char *word)
{
    size_t size = strlen(spelling);
    if (spelling[size - 1] == '*') return strncmp(spelling, word, size - 1) == 0;
    return strcmp(spelling, word) == 0;
}

static const Flag *find_flag(const char *word)
{
    for (int i = 0; i < flag_table_size; i++)
        if (strcmp(flag_table[i].spelling, word) == 0) return &flag_table[i];
    for (int i = 0; i < flag_table_size; i++)
        if (matches(flag_table[i].spelling, word)) return &flag_table[i];
    return 0;
}

/* Number of single-letter edits between a word and a spelling without its star. */
static int edits(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    int row[LONGEST + 1];
    int nb = (int)strcspn(b, "*");
    if (strlen(a) > LONGEST || nb > LONGEST) return 1000;
    for (int j = 0; j <= nb; j++) row[j] = j;
    for (int i = 0; a[i]; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 1; j <= nb; j++) {
            int best = diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j - 1]));
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

static _Noreturn void refuse_unknown(const char *said, const char *word)
{
    int best = 0;
    for (int i = 1; i < flag_table_size; i++)
        if (edits(word, flag_table[i].spelling) < edits(word, flag_table[best].spelling)) best = i;
    const char *name = flag_table[best].spelling;
    refuse("unknown flag %s; did you mean %.*s?", said, (int)strcspn(name, "*"), name);
}

static void apply_effect(Request *request, const Flag *flag, const Words *words, int at)
{
    switch (flag->effect) {
    case TO_BEAM: request->pivot = PIVOT_BEAM; break;
    case TO_SAMPLE: request->pivot = PIVOT_SAMPLE; break;
    case TO_CUSTOM: request->convention = CUSTOM; break;
    case PGM_ON: request->no_pgm = 0; break;
    case NOISE_ON: request->no_noise = 0; break;
    case POLAR_ON: request->no_polar = 0; break;
    case NO_EFFECT_NOTE:
        if (!words->silent) remark("note: %s has no effect", words->word[at]);
        break;
    default: break;
    }
    if (!words->silent && flag->offset == offsetof(Request, pix0_vector) && flag->kind == VECTOR)
        remark("note: the values of %s have no effect; the custom convention is selected", words->word[at]);
}

/* Stores the value of one flag and returns how many words it took besides itself. */
static int apply_flag(Request *request, const Flag *flag, const Words *words, int at)
{
    char *field = (char *)request + flag->offset;
    switch (flag->kind) {
    case REAL:
        for (int i = 0; i < flag->copies; i++)
            ((Real *)field)[i] = (Real){true, to_internal(number_at(words, at, at + 1), flag->unit)};
        return 1;
    case INTEGER:
        for (int i = 0; i < flag->copies; i++)
            ((Int *)field)[i] = (Int){true, integer_at(words, at, at + 1)};
        return 1;
    case TEXT:
        if (at + 1 >= words->count) refuse("%s lacks a value", words->word[at]);
        *(const char **)field = words->word[at + 1];
        return 1;
    case VECTOR: {
        double value[3];
        for (int i = 0; i < 3; i++) value[i] = to_internal(number_at(words, at, at + 1 + i), flag->unit);
        *(Axis *)field = (Axis){true, vec(value[0], value[1], value[2])};
        return 3;
    }
    case SWITCH: *(int *)field = flag->constant; return 0;
    default: return flag->reader(request, words, at);
    }
}

/* Flags that no original has. */
static bool is_extension(const char *word)
{
    static const char *const list[] = {"-physics", "-quiet", "-source_weights", "-pix0_override_mm", "-trace_pixel",
                                       "-trace_all"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(word, list[i]) == 0) return true;
    return false;
}

static void fold_words(Request *request, const Words *words)
{
    for (int at = 1; at < words->count; at++) {
        const char *said = words->word[at], *word = said;
        if (word[0] == '-' && word[1] == '-') word++;
        bool is_flag = word[0] == '-' && (isalpha((unsigned char)word[1]) || strcmp(word, "-4stol") == 0);
        if (DEFECTS && (!is_flag || !find_flag(word) || is_extension(word))) continue; /* D24 */
        if (!is_flag) refuse("'%s' is not a flag and no flag in front of it takes it", said);
        const Flag *flag = find_flag(word);
        if (!flag) refuse_unknown(said, word);
        int taken = apply_flag(request, flag, words, at);
        apply_effect(request, flag, words, at);
        at += taken;
    }
}

static Request initial_request(void)
{
    Request request = {0};
    request.convention = MOSFLM;
    request.pivot = PIVOT_BEAM;
    for (int i = 0; i < 4; i++) request.roi[i] = -1;
    return request;
}

static void check_seed(const char *name, Int seed)
{
    if (seed.given && (seed.value > 2147483646 || seed.value < -2147483646))
        refuse("%s must lie within +-2147483646", name);
}

Request parse_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-help") == 0) usage(0);
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-version") == 0) {
            printf("%s %s\n", PROGRAM_NAME, PROGRAM_VERSION);
            exit(0);
        }
    }
    Request names = initial_request();
    fold_words(&names, &(Words){argc, argv, true});
    Request request = initial_request();
    printf("%s %s\n", PROGRAM_NAME, PROGRAM_VERSION);
    if (names.mask) take_header(&request, names.mask, true);
    if (names.img) take_header(&request, names.img, false);
    fold_words(&request, &(Words){argc, argv, false});
    check_seed("-seed", request.seed);
    check_seed("-misset_seed", request.misset_seed);
    check_seed("-mosaic_seed", request.mosaic_seed);
    return request;
}
