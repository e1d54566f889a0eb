#include "refuse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void refuse(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fflush(stdout);
    fputs("ERROR: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(STATUS_REFUSED);
}

void remark(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
}

void *allocate(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size);
    if (!block) refuse("out of memory: %zu items of %zu bytes", count, size);
    return block;
}

char *read_file(const char *name, const char *what, size_t *size)
{
    FILE *file = fopen(name, "rb");
    if (!file) refuse("unable to open %s %s.", what, name);
    size_t room = 1 << 16, used = 0, got;
    char *text = allocate(room, 1);
    while ((got = fread(text + used, 1, room - used - 1, file)) > 0) {
        used += got;
        if (used < room - 1) continue;
        room *= 2;
        char *larger = realloc(text, room);
        if (!larger) refuse("out of memory reading %s", name);
        text = larger;
    }
    int failed = ferror(file);
    fclose(file);
    if (failed) refuse("unable to read %s %s.", what, name);
    text[used] = 0;
    *size = used;
    return text;
}
