#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "refuse.h"

enum { MOST_OUTPUTS = 16 };
static char *unfinished[MOST_OUTPUTS];

static void remove_unfinished(void)
{
    for (int i = 0; i < MOST_OUTPUTS; i++)
        if (unfinished[i]) remove(unfinished[i]);
}

static void remember(char *name)
{
    static bool registered;
    if (!registered) atexit(remove_unfinished);
    registered = true;
    for (int i = 0; i < MOST_OUTPUTS; i++)
        if (!unfinished[i]) {
            unfinished[i] = name;
            return;
        }
}

static void forget(const char *name)
{
    for (int i = 0; i < MOST_OUTPUTS; i++)
        if (unfinished[i] == name) unfinished[i] = 0;
}

Output open_output(const char *name)
{
    static int serial;
    Output output = {0};
    struct stat status;
    bool exists = stat(name, &status) == 0;
    output.name = strdup(name);
    if (exists && !S_ISREG(status.st_mode)) {
        output.file = S_ISDIR(status.st_mode) ? 0 : fopen(name, "wb");
    } else if (!exists || access(name, W_OK) == 0) {
        size_t room = strlen(name) + 48;
        output.temporary = allocate(room, 1);
        snprintf(output.temporary, room, "%s.%ld.%d.part", name, (long)getpid(), serial++);
        output.file = fopen(output.temporary, "wb");
        if (output.file) remember(output.temporary);
    }
    if (!output.file) refuse("unable to write %s.", name);
    return output;
}

void put(Output *output, const void *data, size_t size)
{
    if (fwrite(data, 1, size, output->file) != size) refuse("unable to write all of %s.", output->name);
}

void close_output(Output *output)
{
    if (fclose(output->file) != 0) refuse("unable to write all of %s.", output->name);
    if (output->temporary) {
        if (rename(output->temporary, output->name) != 0) refuse("unable to write %s.", output->name);
        forget(output->temporary);
        free(output->temporary);
    }
    free(output->name);
}
