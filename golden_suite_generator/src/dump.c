#include "dump.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "refuse.h"

bool announce_dump(const char *name)
{
    char folder[4096];
    const char *end = strrchr(name, '/');
    snprintf(folder, sizeof folder, "%.*s", end ? (int)(end - name) + 1 : 1, end ? name : ".");
    bool fine = access(name, F_OK) == 0 ? access(name, W_OK) == 0 : access(folder, W_OK) == 0;
    printf(fine ? "writing dump file for next time: %s\n" : "WARNING: unable to open dump file: %s\n", name);
    return fine;
}

void write_dump(const Amplitudes *f)
{
    const char *name = f->dump_to;
    Output output = open_output(name);
    char head[128];
    int size = snprintf(head, sizeof head, "%d %d %d %d %d %d\n\f", f->low[0], f->high[0], f->low[1], f->high[1],
                        f->low[2], f->high[2]);
    put(&output, head, (size_t)size);
    long long nh = span(f, 0), nk = span(f, 1), nl = span(f, 2);
    double *row = allocate((size_t)nl + 1, sizeof *row);
    for (long long h = 0; h <= nh; h++)
        for (long long k = 0; k <= nk; k++) {
            memset(row, 0, (size_t)(nl + 1) * sizeof *row);
            if (h < nh && k < nk)
                memcpy(row, grid_point(f, h + f->low[0], k + f->low[1], f->low[2]), (size_t)nl * sizeof *row);
            put(&output, row, (size_t)(nl + 1) * sizeof *row);
        }
    free(row);
    close_output(&output);
}
